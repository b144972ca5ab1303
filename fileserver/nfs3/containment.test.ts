/** What throws costs one call: real operations on a real volume and journal, with exceptions at each place of one of them. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import { IdentityReader } from '../storage/handles/file-identity.ts';
import { decodeIntentRecord, encodeIntentRecord } from '../storage/journal/journal-payloads.ts';
import { PAYLOAD_SIZE_MAX } from '../storage/journal/journal-records.ts';
import { startIoPool } from '../system/thread-identity.ts';
import type { Request } from './journaled-procedure.ts';
import { changedPlan, planOf, ServedVolume, statusOf } from './served-volume.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const isRoot = process.geteuid!() === 0;
const user = { uid: process.geteuid!(), gid: process.getegid!(), groups: [] };
/** In no user namespace. */
const nobodyHere = { uid: 0xffffffff, gid: 0xffffffff, groups: [] };

let directory: string;
let served: ServedVolume;
let epoch: number;
let count: number;
let said: string[];
let onStep: ServedVolume['onStep'];

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-contained-'));
  epoch = 0;
  count = 0;
  onStep = () => {};
  await open();
});
afterEach(async () => {
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<void> {
  epoch += 1;
  const step = (operation: string, at: OperationStep): void => onStep(operation, at);
  served = await ServedVolume.open(directory, epoch, step);
  served.onStep = step;
  said = served.said;
}

/** What the next owner finds after a kill of this one at this moment. */
async function takeOver(): Promise<void> {
  await served.close();
  await open();
}

/** Of the answer that the cache has. */
function knownStatus(key: string): number | null {
  const found = served.cache.find(key);
  if (found === 'running') throw new Error('it is being executed');
  return statusOf(found);
}

interface Submitted {
  readonly operation: Request;
  /** The status; null: SYSTEM_ERR. */
  readonly answered: Promise<number | null>;
}

type Throwing = (operation: Request) => void;

/** CREATE of a file with attributes that take several steps. Resent: with the same key. */
function made(name: string, key = nextKey()): Request {
  const { diskSet } = served;
  const dir = diskSet.rootOf(diskSet.exports.all[0]!);
  if (typeof dir === 'string') throw new Error(dir);
  const w = new XdrWriter();
  const time = { how: nfs.SET_TO_CLIENT_TIME, time: { seconds: 7, nseconds: 0 } } as const;
  const attributes = { ...nfs.SATTR3_NOTHING, mode: 0o640, size: 5000, mtime: time };
  nfs.nfs3Procedures.CREATE.args.encode(w, {
    where: { dir: dir.handle, name: bytes(name) },
    how: { mode: nfs.GUARDED, obj_attributes: attributes },
  });
  return served.make(nfs.nfsproc3.CREATE, w.written().slice(), key, user);
}

function create(name: string, throwing: Throwing = () => {}, key = nextKey()): Submitted {
  const operation = made(name, key);
  throwing(operation);
  return { operation, answered: served.submit(operation).then(statusOf) };
}

function nextKey(): string {
  count += 1;
  return String(count).padStart(16, 'k');
}

function failing(place: 'check' | 'intent' | 'apply'): Throwing {
  const thrown = (): never => {
    throw new Error(`thrown in ${place}`);
  };
  return (operation) => {
    if (place === 'check') operation.check = thrown;
    else changedPlan(operation, { [place]: thrown });
  };
}

const tooLong: Throwing = (operation) =>
  changedPlan(operation, { intent: () => new Uint8Array(PAYLOAD_SIZE_MAX + 1) });

test.each([
  ['check', failing('check')],
  ['intent', failing('intent')],
  ['an intent that is longer than a record', tooLong],
])(
  'before it is executed, %s: its caller is told, the rest of the group goes on, and it can come again',
  async (_place, throwing) => {
    const others = [create('first'), create('second')];
    const { operation, answered } = create('poison', throwing);
    others.push(create('third'));
    expect(await answered).toBe(null);
    for (const one of others) expect(await one.answered).toBe(nfs.NFS3_OK);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(
      `CREATE ${Buffer.from(operation.key, 'latin1').toString('hex')}, before it was`,
    );
    await served.idle();
    expect(served.volume.changing.size).toBe(0);
    expect(await create('poison', undefined, operation.key).answered).toBe(nfs.NFS3_OK);
    await takeOver();
    expect(served.summary).toMatchObject({ answers: 4, completed: 0, forgotten: 0, putAside: [] });
    expect(served.faults).toEqual([]);
  },
);

test('while it is executed, nothing done yet: its caller is told, and what comes later is not taken for it', async () => {
  const { operation, answered } = create('poison', failing('apply'));
  const other = create('other');
  expect(await answered).toBe(null);
  expect(await other.answered).toBe(nfs.NFS3_OK);
  expect(existsSync(join(directory, 'poison'))).toBe(false);
  // Another request makes what the first one should have made.
  expect(await create('poison').answered).toBe(nfs.NFS3_OK);
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 0, forgotten: 0, putAside: [] });
  expect(served.cache.find(operation.key)).toBe(null);
  expect(await create('poison', undefined, operation.key).answered).toBe(nfs.NFS3ERR_EXIST);
});

test('while it is executed, half done: it is completed as after a crash, and answered', async () => {
  onStep = (_operation, step) => {
    if (step !== 'duringExecution') return;
    onStep = () => {};
    throw new Error('thrown between two system calls');
  };
  const { operation, answered } = create('half');
  expect(await answered).toBe(nfs.NFS3_OK);
  const { size, mode, mtimeMs } = statSync(join(directory, 'half'));
  expect([size, mode & 0o7777, mtimeMs]).toEqual([5000, 0o640, 7000]);
  expect(said[0]).toContain('while it was executed: thrown between two system calls');
  const results = served.cache.find(operation.key);
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
  await takeOver();
  expect(served.summary).toMatchObject({ answers: 1, completed: 0, forgotten: 0, putAside: [] });
  expect(served.cache.find(operation.key)).toEqual(results);
});

test('what can not be settled either is put aside: here, and by no owner to come', async () => {
  onStep = (_operation, step) => {
    if (step === 'duringExecution') throw new Error('thrown each time');
  };
  const { operation, answered } = create('poison');
  expect(await answered).toBe(null);
  expect(said.join('\n')).toContain('is put aside and may be half executed');
  onStep = () => {};
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
  await takeOver();
  expect(served.summary).toMatchObject({ answers: 0, completed: 0, forgotten: 0, putAside: [] });
  expect(served.cache.find(operation.key)).toBe(null);
});

test('an intent that the next owner can not settle is put aside with a sentence, and the rest is settled', async () => {
  const executed = made('executed');
  const decoded = decodeIntentRecord(planOf(executed).intent());
  const torn = encodeIntentRecord({ ...decoded, key: nextKey() }).slice(0, 30);
  // Without root every request runs as the server's own user, and no identity is put aside.
  const unmapped = isRoot ? [encodeIntentRecord({ ...decoded, key: nextKey(), identity: nobodyHere })] : [];
  const younger = encodeIntentRecord({ ...decoded, key: nextKey(), procedure: 99 });
  const { journal } = served.volume;
  expect(
    journal.append([], [torn, younger, ...unmapped, planOf(executed).intent()], {
      intents: () => [],
      replies: () => [],
    }),
  ).toBe(0);
  writeFileSync(join(directory, 'executed'), '');
  await takeOver();
  const { completed, forgotten, putAside } = served.summary;
  expect({ completed, forgotten }).toEqual({ completed: 1, forgotten: 0 });
  expect(putAside).toHaveLength(2 + unmapped.length);
  expect(putAside[1]).toMatch(
    /operation [0-9a-f]{32} can't be settled: this version has no operation with the number 99/,
  );
  expect(served.cache.find(executed.key)).not.toBe(null);
  expect(statSync(join(directory, 'executed')).size).toBe(5000);
  expect(await create('more').answered).toBe(nfs.NFS3_OK);
  await served.idle();
  // Once: the next owner finds nothing of them.
  await takeOver();
  expect(served.summary).toMatchObject({ answers: 2, completed: 0, forgotten: 0, putAside: [] });
});

test.each([
  ['an entry that can not be looked up', -constants.errno.EIO],
  ['no descriptor, no memory', -constants.errno.ENOMEM],
])('%s while an intent is settled: not known is not the same as not begun', async (_what, result) => {
  const executed = made('executed');
  expect(
    served.volume.journal.append([], [planOf(executed).intent()], { intents: () => [], replies: () => [] }),
  ).toBe(0);
  writeFileSync(join(directory, 'executed'), '');
  const look = vi.spyOn(IdentityReader.prototype, 'ofName').mockReturnValueOnce(result);
  await takeOver();
  look.mockRestore();
  expect(served.summary).toMatchObject({ completed: 0, forgotten: 0 });
  expect(served.summary.putAside[0]).toMatch(/CREATE [0-9a-f]{32} can't be settled: .* is not known/);
  // Sent again it is not executed again; and the next owner answers likewise.
  expect(knownStatus(executed.key)).toBe(nfs.NFS3ERR_IO);
  expect(await create('more').answered).toBe(nfs.NFS3_OK);
  await served.idle();
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 0, forgotten: 0, putAside: [] });
  expect(knownStatus(executed.key)).toBe(nfs.NFS3ERR_IO);
});

test('a listener that throws costs itself: others hear the answer', async () => {
  const key = nextKey();
  served.cache.admit(key, () => {
    throw new Error('a connection that is gone');
  });
  const heard = new Promise((resolve) => served.cache.admit(key, resolve));
  served.queue.submit(made('file', key));
  await heard;
  expect(said).toEqual(['what waited for an answer: a connection that is gone']);
  await served.idle();
});

test('what throws outside of an operation fails the volume, and no caller waits forever', async () => {
  served.volume.journal.append = () => {
    throw new Error('a fault of the journal');
  };
  create('file');
  await served.idle();
  expect(served.faults).toEqual(['InternalError']);
  expect(said).toEqual(['the queue of changes: a fault of the journal']);
});

const { CREATE, REMOVE, RENAME, LINK, SETATTR } = nfs.nfsproc3;
const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o640 } } as const;
const guard = null;
const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o700 };
/** A call about one directory, in which `old` is a file. */
type About = (w: XdrWriter, dir: Uint8Array, old: Uint8Array) => void;
const at = (dir: Uint8Array, name: string): nfs.diropargs3 => ({ dir, name: bytes(name) });

test.each<[string, number, About]>([
  ['CREATE', CREATE, (w, dir) => nfs.nfs3Procedures.CREATE.args.encode(w, { where: at(dir, 'new'), how })],
  ['REMOVE', REMOVE, (w, dir) => nfs.nfs3Procedures.REMOVE.args.encode(w, { object: at(dir, 'old') })],
  [
    'RENAME',
    RENAME,
    (w, dir) => nfs.nfs3Procedures.RENAME.args.encode(w, { from: at(dir, 'old'), to: at(dir, 'new') }),
  ],
  ['LINK', LINK, (w, dir, file) => nfs.nfs3Procedures.LINK.args.encode(w, { file, link: at(dir, 'new') })],
  [
    'SETATTR',
    SETATTR,
    (w, object) => nfs.nfs3Procedures.SETATTR.args.encode(w, { object, new_attributes, guard }),
  ],
])(
  'refused because the journal has no room, %s has no attributes before of another directory',
  async (_name, procedure, encode) => {
    const { diskSet, volume } = served;
    const root = diskSet.rootOf(diskSet.exports.all[0]!);
    if (typeof root === 'string') throw new Error(root);
    const operations = ['one', 'other'].map((name) => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'old'), '');
      const dir = diskSet.lookup(root, bytes(name), user);
      if (typeof dir === 'string') throw new Error(dir);
      const old = diskSet.lookup(dir, bytes('old'), user);
      if (typeof old === 'string') throw new Error(old);
      const w = new XdrWriter();
      encode(w, dir.handle, old.handle);
      return served.make(procedure, w.written().slice(), nextKey(), user);
    });
    volume.journal.append = () => -constants.errno.ENOSPC;
    const answers = await Promise.all(operations.map((one) => served.submit(one)));
    for (const answer of answers) {
      expect(statusOf(answer)).toBe(nfs.NFS3ERR_NOSPC);
      const r = new XdrReader(answer!);
      r.u32();
      if (procedure === LINK && r.bool()) nfs.fattr3.decode(r);
      const { before, after } = nfs.wcc_data.decode(r);
      expect(before).toBe(null);
      expect(after).not.toBe(null);
      if (procedure !== RENAME) continue;
      expect(nfs.wcc_data.decode(r).before).toBe(null);
    }
    expect(served.faults).toEqual([]);
  },
);
