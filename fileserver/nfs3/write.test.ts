/**
 * A WRITE at the boundary of its procedure: what it answers and when, and what becomes of a copy of it. Besides the data it
 * leaves behind what an orderly stop and a freeze have to flush.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import type { Caller } from '../rpc/caller.ts';
import { LATER, LEASE_EXPIRED, type RpcCall } from '../rpc/rpc-program.ts';
import type { FlushOutcome } from '../storage/flush/data-flusher.ts';
import * as dataCalls from '../system/data-calls.ts';
import { SERVER_IDENTITY, startIoPool } from '../system/thread-identity.ts';
import { type Answer, ServedVolume, statusOf } from './served-volume.fixture.ts';
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
/** Of the volume's gate. */
let isOpen: boolean;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-write-'));
  isOpen = true;
  const gate = { begin: () => isOpen, end: () => {} };
  served = await ServedVolume.open(directory, 1, () => {}, undefined, gate);
  writeFileSync(join(directory, 'file'), 'old');
});
afterEach(async () => {
  vi.restoreAllMocks();
  isOpen = true;
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

const content = (): string => readFileSync(join(directory, 'file'), 'utf8');

function fileOf(name: string) {
  const { diskSet } = served;
  const root = diskSet.rootOf(diskSet.exports.all[0]!);
  const file = typeof root === 'string' ? root : diskSet.lookup(root, bytes(name), SERVER_IDENTITY);
  if (typeof file === 'string') throw new Error(file);
  return file;
}

interface Wanted {
  readonly xid?: number;
  readonly name?: string;
  readonly handle?: Uint8Array;
  readonly stable?: nfs.stable_how;
  readonly offset?: number | bigint;
  readonly count?: number;
  readonly data?: string;
  /** Behind the arguments. */
  readonly tail?: number;
}

/** What a WRITE gives back at once, and what its client is answered, as often as it is. */
interface Sent {
  /** LATER, LEASE_EXPIRED, or the status. */
  readonly outcome: number;
  readonly answers: Answer[];
  /** As metrics count it. */
  readonly byteCount: number;
}

function send(wanted: Wanted = {}): Sent {
  const { xid = 7, name = 'file', stable = nfs.FILE_SYNC, offset = 0, data = 'data', tail = 0 } = wanted;
  const args = new XdrWriter();
  // In place of the header: its XID.
  args.u32(xid);
  nfs.nfs3Procedures.WRITE.args.encode(args, {
    file: wanted.handle ?? fileOf(name).handle,
    offset,
    count: wanted.count ?? data.length,
    stable,
    data: bytes(data),
  });
  for (let i = 0; i < tail; i++) args.u32(0);
  const w = new XdrWriter();
  const answers: Answer[] = [];
  const call: RpcCall = {
    caller,
    r: new XdrReader(args.written(), 4),
    w,
    callStart: 0,
    byteCount: 0,
    announced: () => {},
    answerLater: () => (results) => answers.push(results === null ? null : results.slice()),
  };
  const outcome = write(call, served.context);
  if (outcome !== LATER && outcome !== LEASE_EXPIRED) answers.push(w.written().slice());
  return { outcome, answers, byteCount: call.byteCount };
}

/** Of an answer, to the last byte. */
function decoded(answer: Answer | undefined) {
  const r = new XdrReader(answer!);
  const results = nfs.nfs3Procedures.WRITE.res.decode(r) as unknown as {
    status: number;
    file_wcc?: { before: { size: unknown } | null; after: { size: unknown } | null };
    count?: number;
    committed?: number;
    verf?: Uint8Array;
  };
  r.expectEnd();
  return results;
}

async function answered(wanted: Wanted): Promise<ReturnType<typeof decoded>> {
  const { answers } = send(wanted);
  await assertEventually(() => expect(answers).toHaveLength(1));
  return decoded(answers[0]);
}

/** The next flush of a file ends when the test says so. */
function heldFlush(): { depth: string | null; end: (outcome: FlushOutcome) => void } {
  const held = { depth: null as string | null, end: (_outcome: FlushOutcome): void => {} };
  vi.spyOn(served.context.flusher, 'flush').mockImplementationOnce((_file, depth, done) => {
    held.depth = depth;
    held.end = done;
  });
  return held;
}

test.each([
  ['UNSTABLE', nfs.UNSTABLE, true],
  ['DATA_SYNC', nfs.DATA_SYNC, false],
  ['FILE_SYNC', nfs.FILE_SYNC, false],
] as const)(
  '%s: its results, and whether there is something left to flush',
  async (_name, stable, unstable) => {
    const { flusher } = served.context;
    const results = await answered({ stable, offset: 2 });
    expect(results.status).toBe(nfs.NFS3_OK);
    expect([Number(results.file_wcc!.before!.size), Number(results.file_wcc!.after!.size)]).toEqual([3, 6]);
    expect([results.count, results.committed]).toEqual([4, stable]);
    expect(Buffer.from(results.verf!)).toEqual(Buffer.from(served.volume.writeVerifier));
    expect(content()).toBe('oldata');
    expect(flusher.hasUnstable).toBe(unstable);
    expect([...(await flusher.flushUnstable())]).toEqual([]);
    expect(flusher.hasUnstable).toBe(false);
  },
);

test.each([
  ['FILE_SYNC', nfs.FILE_SYNC, 'all'],
  ['DATA_SYNC', nfs.DATA_SYNC, 'data'],
] as const)('%s is answered when its flush has ended', (_name, stable, depth) => {
  const held = heldFlush();
  const { outcome, answers } = send({ stable });
  expect([outcome, held.depth, answers.length]).toEqual([LATER, depth, 0]);
  held.end('ok');
  expect(statusOf(answers[0]!)).toBe(nfs.NFS3_OK);
});

test('on a volume that is written through UNSTABLE is DATA_SYNC, and the others are what they were', async () => {
  Object.assign(served.volume.spec, { writeThrough: true });
  expect((await answered({ stable: nfs.UNSTABLE })).committed).toBe(nfs.DATA_SYNC);
  expect((await answered({ stable: nfs.FILE_SYNC, xid: 8 })).committed).toBe(nfs.FILE_SYNC);
});

test('metrics count the bytes of one that succeeds at once, and none of one that fails', () => {
  expect(send({ stable: nfs.UNSTABLE }).byteCount).toBe(4);
  expect(send({ stable: nfs.UNSTABLE, xid: 8, count: 3 }).byteCount).toBe(0);
});

test('of nothing it writes nothing', async () => {
  const { count, status } = await answered({ data: '' });
  expect([status, count, content()]).toEqual([nfs.NFS3_OK, 0, 'old']);
});

describe('is answered with', () => {
  const withAttributes = (results: ReturnType<typeof decoded>): boolean =>
    results.file_wcc!.before !== null && results.file_wcc!.after !== null;

  test.each<[string, Wanted, number, () => void]>([
    ['ISDIR of a directory', { name: 'dir' }, nfs.NFS3ERR_ISDIR, () => mkdirSync(join(directory, 'dir'))],
    [
      'INVAL of a symbolic link',
      { name: 'link' },
      nfs.NFS3ERR_INVAL,
      () => symlinkSync('file', join(directory, 'link')),
    ],
    ['INVAL where count and data differ', { count: 3 }, nfs.NFS3ERR_INVAL, () => {}],
    ['FBIG behind the largest offset', { offset: 2n ** 63n - 4n }, nfs.NFS3ERR_FBIG, () => {}],
    [
      'NOSPC while the journal needs all the space',
      {},
      nfs.NFS3ERR_NOSPC,
      () => {
        vi.spyOn(served.volume.reserve, 'shortage', 'get').mockReturnValue('noSpace');
      },
    ],
    [
      'IO where it can not be opened',
      {},
      nfs.NFS3ERR_IO,
      () => {
        vi.spyOn(served.diskSet.table, 'writeFd').mockReturnValue(-constants.errno.EIO);
      },
    ],
  ])('%s, and attributes before and after', async (_what, wanted, status, prepare) => {
    prepare();
    const results = await answered(wanted);
    expect([results.status, withAttributes(results), content()]).toEqual([status, true, 'old']);
  });

  test('STALE without attributes of a file that is no more', async () => {
    const { handle } = fileOf('file');
    rmSync(join(directory, 'file'));
    served.diskSet.table.tick();
    vi.spyOn(served.diskSet, 'resolve').mockReturnValue('stale');
    const results = await answered({ handle });
    expect(results).toMatchObject({ status: nfs.NFS3ERR_STALE, file_wcc: { before: null, after: null } });
  });

  test('STALE without attributes where they can not be had', async () => {
    vi.spyOn(served.diskSet, 'attributes').mockReturnValue('stale');
    const results = await answered({});
    expect(results).toMatchObject({ status: nfs.NFS3ERR_STALE, file_wcc: { before: null, after: null } });
  });

  test('OK without attributes after it where they can not be had any more', async () => {
    const attributes = served.diskSet.attributes.bind(served.diskSet);
    vi.spyOn(served.diskSet, 'attributes').mockImplementationOnce(attributes).mockReturnValue('stale');
    const results = await answered({});
    expect(results.status).toBe(nfs.NFS3_OK);
    expect([results.file_wcc!.before === null, results.file_wcc!.after]).toEqual([false, null]);
  });

  test.each<[string, () => void]>([
    [
      'what it needs to write to the file can not be opened',
      () => vi.spyOn(served.diskSet.table, 'writeFd').mockReturnValueOnce(-constants.errno.ENOSPC),
    ],
    [
      'the disk has no space for the data',
      () => vi.spyOn(dataCalls, 'writeFrom').mockReturnValueOnce(-constants.errno.ENOSPC),
    ],
  ])('NOSPC where %s', async (_what, fail) => {
    fail();
    const results = await answered({});
    expect(results.status).toBe(nfs.NFS3ERR_NOSPC);
    expect(withAttributes(results)).toBe(true);
    expect(content()).toBe('old');
  });

  test('STALE where it was removed before its data was flushed', () => {
    const held = heldFlush();
    const { answers } = send();
    held.end('stale');
    expect(decoded(answers[0])).toMatchObject({
      status: nfs.NFS3ERR_STALE,
      file_wcc: { before: null, after: null },
    });
    expect(served.faults).toEqual([]);
  });

  test('nothing where its data may be lost: the volume has failed', () => {
    const held = heldFlush();
    const { answers } = send();
    held.end('ioError');
    expect([answers, served.faults]).toEqual([[], ['IoError']]);
  });

  test.each([nfs.UNSTABLE, nfs.FILE_SYNC] as const)(
    'nothing without the right, and it counts as one that never came (%i)',
    (stable) => {
      isOpen = false;
      const first = send({ stable });
      expect([first.outcome, first.answers, content()]).toEqual([LEASE_EXPIRED, [], 'old']);
      isOpen = true;
      send({ stable });
      expect(content()).toBe('data');
    },
  );

  test('nothing but an error for bytes behind its arguments', () => {
    expect(() => send({ tail: 1 })).toThrow();
    expect(content()).toBe('old');
  });
});

describe('a copy', () => {
  // The XID 0 lies in the first place of those that are remembered.
  test.each([
    [nfs.UNSTABLE, 7],
    [nfs.FILE_SYNC, 7],
    [nfs.UNSTABLE, 0],
  ] as const)(
    'of one that was executed is answered alike, with the attributes of now, and not executed (%i, XID %i)',
    async (stable, xid) => {
      const first = await answered({ stable, xid });
      writeFileSync(join(directory, 'file'), 'later');
      const { outcome, answers } = send({ stable, xid });
      expect(outcome).toBe(nfs.NFS3_OK);
      const again = decoded(answers[0]);
      expect(again).toMatchObject({ status: nfs.NFS3_OK, count: 4, committed: stable, verf: first.verf });
      expect([again.file_wcc!.before, Number(again.file_wcc!.after!.size)]).toEqual([null, 5]);
      expect(content()).toBe('later');
    },
  );

  test('of one that failed fails alike', async () => {
    await answered({ count: 3 });
    const again = decoded(send({ count: 3 }).answers[0]);
    expect(again.status).toBe(nfs.NFS3ERR_INVAL);
  });

  test('of one whose file is gone has its results without attributes', async () => {
    const { handle } = fileOf('file');
    const first = await answered({ handle });
    vi.spyOn(served.diskSet, 'resolve').mockReturnValue('stale');
    const again = decoded(send({ handle }).answers[0]);
    expect(again).toMatchObject({ status: nfs.NFS3_OK, count: 4, verf: first.verf });
    expect(again.file_wcc).toEqual({ before: null, after: null });
  });

  test('of one whose attributes can not be had now has none', async () => {
    await answered({});
    vi.spyOn(served.diskSet, 'attributes').mockReturnValue('stale');
    expect(decoded(send().answers[0]).file_wcc).toEqual({ before: null, after: null });
  });

  test('of one that is being flushed is answered with it', () => {
    const held = heldFlush();
    const first = send();
    const copy = send();
    expect([copy.outcome, copy.answers.length]).toEqual([LATER, 0]);
    held.end('ok');
    expect([first.answers.length, copy.answers.length]).toEqual([1, 1]);
    expect(copy.answers).toEqual(first.answers);
    expect(send().outcome).toBe(nfs.NFS3_OK);
  });

  test('differs in its data: another one, which is executed', async () => {
    await answered({});
    expect((await answered({ data: 'next' })).status).toBe(nfs.NFS3_OK);
    expect(content()).toBe('next');
  });
});

describe('behind a change of its file', () => {
  let ready: () => void;

  beforeEach(() => {
    const log = { whenUnchanging: (_key: string, go: () => void) => (ready = go) };
    vi.spyOn(served.context, 'logOf').mockReturnValue(log as never);
  });

  test('it is executed later with the data that it had, and is as stable as DATA_SYNC at least', async () => {
    served.volume.changing.add(fileOf('file').key);
    const { outcome, answers } = send({ stable: nfs.UNSTABLE });
    expect([outcome, content()]).toEqual([LATER, 'old']);
    const copy = send({ stable: nfs.UNSTABLE });
    expect(copy.outcome).toBe(LATER);
    ready();
    await assertEventually(() => expect(answers).toHaveLength(1));
    const results = decoded(answers[0]);
    expect(results).toMatchObject({ status: nfs.NFS3_OK, count: 4, committed: nfs.DATA_SYNC });
    expect(Number(results.file_wcc!.before!.size)).toBe(3);
    expect([content(), copy.answers]).toEqual(['data', answers]);
    served.volume.changing.remove(fileOf('file').key);
  });

  test('FILE_SYNC stays so', async () => {
    served.volume.changing.add(fileOf('file').key);
    const { answers } = send({});
    ready();
    await assertEventually(() => expect(answers).toHaveLength(1));
    expect(decoded(answers[0]).committed).toBe(nfs.FILE_SYNC);
    served.volume.changing.remove(fileOf('file').key);
  });

  test('what throws then costs it alone, and it counts as one that never came', () => {
    served.volume.changing.add(fileOf('file').key);
    const { answers } = send();
    const copy = send();
    vi.spyOn(served.diskSet, 'resolveHandle').mockImplementationOnce(() => {
      throw new Error('broken');
    });
    ready();
    expect([answers, copy.answers, served.said.length]).toEqual([[null], [null], 1]);
    served.volume.changing.remove(fileOf('file').key);
    const held = heldFlush();
    expect(send().outcome).toBe(LATER);
    expect(held.depth).toBe('all');
    held.end('ok');
  });

  test('without the right by then nothing is written or answered', () => {
    served.volume.changing.add(fileOf('file').key);
    const { answers } = send({});
    isOpen = false;
    ready();
    expect([answers, content()]).toEqual([[], 'old']);
    served.volume.changing.remove(fileOf('file').key);
  });

  test('a change of another file is none of its', async () => {
    served.volume.changing.add('another');
    expect((await answered({})).status).toBe(nfs.NFS3_OK);
    served.volume.changing.remove('another');
  });
});
