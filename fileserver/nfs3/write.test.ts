// What a WRITE leaves behind besides the data: an orderly stop and a freeze flush what was written unstable.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Caller } from '../rpc/caller.ts';
import { LATER } from '../rpc/rpc-program.ts';
import { SERVER_IDENTITY, startIoPool } from '../system/thread-identity.ts';
import { ServedVolume } from './served-volume.fixture.ts';
import { write } from './write.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const caller: Caller = {
  host: '10.0.0.1',
  port: 1,
  identify: () => {},
  origin: { host: 1, address: 1, number: 1 },
  hasOwnStamp: false,
  clientKey: { text: ''.padEnd(16), words: new Int32Array(4) },
  allowed: () => true,
  identity: () => SERVER_IDENTITY,
  userOf: () => () => SERVER_IDENTITY,
};

let directory: string;
let served: ServedVolume;
let handle: Uint8Array;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-write-'));
  served = await ServedVolume.open(directory, 1);
  writeFileSync(join(directory, 'file'), '');
  const { diskSet } = served;
  const root = diskSet.rootOf(diskSet.exports.all[0]!);
  const file = typeof root === 'string' ? root : diskSet.lookup(root, bytes('file'), SERVER_IDENTITY);
  if (typeof file === 'string') throw new Error(file);
  ({ handle } = file);
});
afterEach(async () => {
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The status. */
function written(stable: nfs.stable_how): Promise<number | null> {
  const args = new XdrWriter();
  // In place of the header: its XID.
  args.u32(7);
  nfs.nfs3Procedures.WRITE.args.encode(args, {
    file: handle,
    offset: 0,
    count: 4,
    stable,
    data: bytes('data'),
  });
  const w = new XdrWriter();
  return new Promise((resolve) => {
    const call = {
      caller,
      r: new XdrReader(args.written(), 4),
      w,
      callStart: 0,
      byteCount: 0,
      announced: () => {},
      answerLater: () => (_results: Uint8Array | null, status: number) => resolve(status),
    };
    const outcome = write(call, served.context);
    if (outcome !== LATER) resolve(outcome);
  });
}

test.each([
  ['UNSTABLE', nfs.UNSTABLE, true],
  ['DATA_SYNC', nfs.DATA_SYNC, false],
  ['FILE_SYNC', nfs.FILE_SYNC, false],
] as const)('%s: it is known whether there is something to flush', async (_name, stable, unstable) => {
  const { flusher } = served.context;
  expect(await written(stable)).toBe(nfs.NFS3_OK);
  expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('data');
  expect(flusher.hasUnstable).toBe(unstable);
  expect([...(await flusher.flushUnstable())]).toEqual([]);
  expect(flusher.hasUnstable).toBe(false);
});
