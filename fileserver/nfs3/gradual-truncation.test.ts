/** What frees much of a file holds up nobody else: real operations on a real volume and journal. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { startIoPool } from '../system/thread-identity.ts';
import { type Answer, ServedVolume, statusOf } from './served-volume.fixture.ts';

const MIB = 1024 * 1024;
/** Bytes stored of the file; every other MiB is a hole. */
const STORED_SIZE = 64 * MIB;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const user = { uid: process.geteuid!(), gid: process.getegid!(), groups: [] };

let directory: string;
let path: string;
let served: ServedVolume;
let epoch: number;
let count: number;
/** Parts that were cut off. */
let parts: number;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-truncated-'));
  path = join(directory, 'large');
  epoch = 0;
  count = 0;
  const fd = openSync(path, 'w');
  const data = Buffer.alloc(MIB, 'x');
  for (let at = 0; at < 2 * STORED_SIZE; at += 2 * MIB) writeSync(fd, data, 0, MIB, at);
  closeSync(fd);
  await open();
});
afterEach(async () => {
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<void> {
  epoch += 1;
  served = await ServedVolume.open(directory, epoch);
  parts = 0;
  served.onStep = countParts;
}

function countParts(operation: string, step: string): void {
  if (operation === 'SETATTR' && step === 'duringExecution') parts += 1;
}

/** The next owner, after a kill of this one at this moment. */
async function takeOver(): Promise<void> {
  await served.close();
  await open();
}

function root(): OpenFile {
  const { diskSet } = served;
  const dir = diskSet.rootOf(diskSet.exports.all[0]!);
  if (typeof dir === 'string') throw new Error(dir);
  return dir;
}

function large(): OpenFile {
  const file = served.diskSet.lookup(root(), bytes('large'), user);
  if (typeof file === 'string') throw new Error(file);
  return file;
}

function nextKey(): string {
  count += 1;
  return String(count).padStart(16, 'k');
}

/** Its answer. */
function setSize(size: number, guard: nfs.nfstime3 | null = null, key = nextKey()): Promise<Answer> {
  const w = new XdrWriter();
  nfs.nfs3Procedures.SETATTR.args.encode(w, {
    object: large().handle,
    new_attributes: { ...nfs.SATTR3_NOTHING, size },
    guard,
  });
  return served.submit(served.make(nfs.nfsproc3.SETATTR, w.written().slice(), key, user));
}

function create(name: string, how: nfs.createhow3['mode'] = nfs.GUARDED): Promise<Answer> {
  const w = new XdrWriter();
  const obj_attributes = { ...nfs.SATTR3_NOTHING, size: 0 };
  nfs.nfs3Procedures.CREATE.args.encode(w, {
    where: { dir: root().handle, name: bytes(name) },
    how: { mode: how as typeof nfs.GUARDED, obj_attributes },
  });
  return served.submit(served.make(nfs.nfsproc3.CREATE, w.written().slice(), nextKey(), user));
}

function changedAt(): nfs.nfstime3 {
  const { stat } = served.volume;
  expect(served.diskSet.attributes(large(), stat)).toBe('ok');
  return { seconds: stat.ctimeSeconds, nseconds: stat.ctimeNanoseconds };
}

test.each([
  ['SETATTR', () => setSize(0)],
  ['CREATE', () => create('large', nfs.UNCHECKED)],
])('%s of a large file: what came with it is answered before', async (_operation, cut) => {
  const answered: string[] = [];
  const say = (what: string) => (answer: Answer) => answered.push(`${what} ${statusOf(answer)}`);
  await Promise.all([cut().then(say('cut')), create('other').then(say('other'))]);
  expect(answered).toEqual(['other 0', 'cut 0']);
  expect(statSync(path).size).toBe(0);
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
});

test('other clients are answered between its parts, and what is about the same file comes after it', async () => {
  const answered: string[] = [];
  let creates = 0;
  const first = setSize(3 * MIB).then((answer) => {
    answered.push(`first ${statusOf(answer)}`);
    // The smaller size has been there before.
    expect(statSync(path).size).toBe(3 * MIB);
  });
  const second = setSize(4 * MIB).then((answer) => answered.push(`second ${statusOf(answer)}`));
  while (answered.length === 0) {
    expect(statusOf(await create(`other-${creates}`))).toBe(nfs.NFS3_OK);
    creates += 1;
  }
  await Promise.all([first, second]);
  expect(answered).toEqual(['first 0', 'second 0']);
  expect(statSync(path).size).toBe(4 * MIB);
  expect(parts).toBeGreaterThan(3);
  expect(creates).toBeGreaterThan(0);
});

test('a WRITE of the file waits, and is not cut off', async () => {
  const { key } = large();
  const sizes: number[] = [];
  served.onStep = (operation, step) => {
    countParts(operation, step);
    if (parts === 1) served.queue.whenUnchanging(key, () => sizes.push(statSync(path).size));
  };
  expect(statusOf(await setSize(5))).toBe(nfs.NFS3_OK);
  await served.idle();
  expect([...new Set(sizes)]).toEqual([5]);
});

test('who waits for the queue waits for it, as a hold and a close do', async () => {
  const answer = setSize(0);
  const cut = new Promise<void>((resolve) => {
    served.onStep = () => {
      if (statSync(path).size < 2 * STORED_SIZE - MIB) resolve();
    };
  });
  await cut;
  served.queue.freeze();
  expect(served.queue.isAtRest).toBe(false);
  await served.idle();
  expect(served.queue.isAtRest).toBe(true);
  expect(statSync(path).size).toBe(0);
  expect(statusOf(await answer)).toBe(nfs.NFS3_OK);
});

test('killed in the middle: completed by the next owner, once', async () => {
  const guard = changedAt();
  const key = nextKey();
  const killed = new Promise<void>((resolve) => {
    served.onStep = (operation, step) => {
      countParts(operation, step);
      if (parts < 3) return;
      served.kill();
      resolve();
    };
  });
  setSize(5, guard, key);
  await killed;
  const left = statSync(path).size;
  expect(left).toBeGreaterThan(5);
  expect(left).toBeLessThan(2 * STORED_SIZE);
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 1, forgotten: 0, putAside: [] });
  expect(statSync(path).size).toBe(5);
  // Somebody makes it longer: the call that is sent again does not cut it.
  truncateSync(path, 9);
  expect(statusOf(await setSize(5, guard, key))).toBe(nfs.NFS3_OK);
  expect(statSync(path).size).toBe(9);
});

test('its export is gone in the middle: it is completed with the rights that it was begun with', async () => {
  const { exports } = served.diskSet;
  served.onStep = (operation, step) => {
    countParts(operation, step);
    if (parts === 1 && exports === served.diskSet.exports)
      served.diskSet.exported.replace(ExportSpecs.of([]));
  };
  expect(statusOf(await setSize(0))).toBe(nfs.NFS3_OK);
  expect(statSync(path).size).toBe(0);
  expect(parts).toBeGreaterThan(1);
});

test('what throws in a part is completed as after a crash', async () => {
  served.onStep = (operation, step) => {
    countParts(operation, step);
    if (step !== 'duringExecution' || parts !== 2) return;
    throw new Error('thrown between two parts');
  };
  const answer = await setSize(0);
  expect(statusOf(answer)).toBe(nfs.NFS3_OK);
  expect(statSync(path).size).toBe(0);
  expect(served.said[0]).toContain('thrown between two parts');
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
});

test('without room for the journal in the middle it is completed when there is room', async () => {
  const { journal } = served.volume;
  const append = journal.append.bind(journal);
  const full = new Promise<void>((resolve) => {
    served.onStep = (operation, step) => {
      countParts(operation, step);
      if (parts !== 2) return;
      journal.append = () => -constants.errno.ENOSPC;
      resolve();
    };
  });
  const answer = setSize(0);
  await full;
  expect(statusOf(await create('refused'))).toBe(nfs.NFS3ERR_NOSPC);
  await expect.poll(() => parts > 3 && statSync(path).size < STORED_SIZE).toBe(true);
  expect(served.queue.isAtRest).toBe(false);
  journal.append = append;
  expect(statusOf(await answer)).toBe(nfs.NFS3_OK);
  expect(statSync(path).size).toBe(0);
  await served.idle();
  expect(served.volume.changing.size).toBe(0);
});

test('holes of any size are cut off in few parts', async () => {
  const end = 2 ** 43;
  truncateSync(path, end);
  const r = new XdrReader((await setSize(0))!);
  expect(r.u32()).toBe(nfs.NFS3_OK);
  expect(statSync(path).size).toBe(0);
  expect(parts).toBeLessThan(200);
});
