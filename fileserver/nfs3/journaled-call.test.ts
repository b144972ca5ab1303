/**
 * The call of a journaled procedure, up to the operation log: a copy is told from a new request, and what is refused is so at
 * once.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Caller } from '../rpc/caller.ts';
import { LATER, type Outcome, type RpcCall } from '../rpc/rpc-program.ts';
import { SERVER_IDENTITY, startIoPool } from '../system/thread-identity.ts';
import { callJournaled } from './journaled-call.ts';
import { journaledProcedures } from './program.ts';
import { type Answer, ServedVolume, statusOf } from './served-volume.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const callerOf = (client: string, allowed = true): Caller => ({
  host: '10.0.0.1',
  port: 1,
  identify: () => {},
  origin: { host: 1, address: 1, number: 1 },
  hasOwnStamp: false,
  clientKey: { text: client.padEnd(16), words: new Int32Array(4) },
  allowed: () => allowed,
  identity: () => SERVER_IDENTITY,
  userOf: () => () => (allowed ? SERVER_IDENTITY : 'notAllowed'),
});

let directory: string;
let served: ServedVolume;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-call-'));
  served = await ServedVolume.open(directory, 1);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

function rootHandle(): Uint8Array {
  const root = served.diskSet.rootOf(served.diskSet.exports.all[0]!);
  if (typeof root === 'string') throw new Error(root);
  return root.handle;
}

interface Sent {
  readonly outcome: Outcome;
  /** Given at once, or later. */
  readonly answered: Promise<Answer>;
}

/** MKDIR of `name`. */
function send(
  name: string,
  { xid = 7, caller = callerOf('one'), dir = rootHandle(), w = new XdrWriter() } = {},
): Sent {
  const args = new XdrWriter();
  // In place of the header: its XID.
  args.u32(xid);
  const attributes = { ...nfs.SATTR3_NOTHING, mode: 0o755 };
  nfs.nfs3Procedures.MKDIR.args.encode(args, { where: { dir, name: bytes(name) }, attributes });
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const start = w.position;
  const call: RpcCall = {
    caller,
    r: new XdrReader(args.written().slice(), 4),
    w,
    callStart: 0,
    byteCount: 0,
    announced: () => {},
    answerLater: () => (results) => resolve(results === null ? null : results.slice()),
  };
  const outcome = callJournaled(journaledProcedures.get(nfs.nfsproc3.MKDIR)!, call, served.context);
  if (outcome !== LATER) resolve(w.bytes.slice(start, w.position));
  return { outcome, answered: promise };
}

test('a request is executed once: copies that come meanwhile and later get its answer', async () => {
  const first = send('new');
  const copy = send('new');
  expect([first.outcome, copy.outcome]).toEqual([LATER, LATER]);
  const answer = await first.answered;
  expect(statusOf(answer)).toBe(nfs.NFS3_OK);
  expect(await copy.answered).toEqual(answer);
  // Behind the header of a reply that has filled its buffer.
  const w = new XdrWriter(16);
  w.opaqueFixed(new Uint8Array(16));
  const later = send('new', { w });
  expect([later.outcome, await later.answered]).toEqual([nfs.NFS3_OK, answer]);
});

test.each<[string, Parameters<typeof send>[1]]>([
  ['has another XID', { xid: 8 }],
  ['comes from another client', { caller: callerOf('other') }],
])('what looks alike and %s is another request', async (_what, other) => {
  expect(statusOf(await send('new').answered)).toBe(nfs.NFS3_OK);
  expect(statusOf(await send('new', other).answered)).toBe(nfs.NFS3ERR_EXIST);
});

test('who may not use the export, and a handle of a volume that is not open here, are refused at once', async () => {
  const denied = send('new', { caller: callerOf('one', false) });
  expect([denied.outcome, statusOf(await denied.answered)]).toEqual([nfs.NFS3ERR_ACCES, nfs.NFS3ERR_ACCES]);
  const dir = rootHandle().map((byte) => byte ^ 1);
  const strange = send('new', { dir });
  expect(strange.outcome).toBe(statusOf(await strange.answered));
  expect([nfs.NFS3ERR_STALE, nfs.NFS3ERR_BADHANDLE]).toContain(strange.outcome);
  expect(readdirSync(directory)).not.toContain('new');
});

test('on a volume whose operations another thread executes nothing is done', async () => {
  vi.spyOn(served.context, 'logOf').mockReturnValue(null);
  const { outcome } = send('new');
  expect(outcome).toBe(nfs.NFS3ERR_XDEV);
  expect(readdirSync(directory)).not.toContain('new');
});
