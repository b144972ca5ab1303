/**
 * What a new owner makes of an intent without an answer, when the file system shows something close to what the operation does.
 * Also what has to be on the disk before an operation is answered.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import { pause } from '../../testing/pause.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import * as setAttributes from '../storage/files/set-attributes.ts';
import { FlushSet } from '../storage/flush/flush-set.ts';
import { prepareVolume } from '../storage/volume/open-volume.ts';
import * as unshared from '../storage/volume/unshared-records.ts';
import { Volume } from '../storage/volume/volume.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import {
  asUser,
  type Identity,
  identityCanChange,
  SERVER_IDENTITY,
  startIoPool,
} from '../system/thread-identity.ts';
import type { Request } from './journaled-procedure.ts';
import { journaledProcedures } from './program.ts';
import { planOf, ServedVolume, statusOf } from './served-volume.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const nothing = nfs.SATTR3_NOTHING;

let directory: string;
let served: ServedVolume;
let epoch: number;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-recovery-'));
  epoch = 0;
  await open();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await served.close();
  // The thread is whose operation it has executed last.
  asUser(SERVER_IDENTITY, () => {});
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<void> {
  epoch += 1;
  served = await ServedVolume.open(directory, epoch);
}

const place = (name: string): string => join(directory, name);

const file = (name: string): OpenFile => served.file(name);
const operation: ServedVolume['operation'] = (...call) => served.operation(...call);

/** Its intent is all that its owner got done. */
function recordIntent(of: Request): void {
  const contents = { intents: () => [], replies: () => [] };
  expect(served.volume.journal.append([], [planOf(of).intent()], contents)).toBe(0);
}

async function takeOver(): Promise<void> {
  await served.close();
  await open();
}

const create = (name: string): Request =>
  operation('CREATE', {
    where: { dir: file('').handle, name: bytes(name) },
    how: { mode: nfs.GUARDED, obj_attributes: { ...nothing, mode: 0o640 } },
  });

test('CREATE: something else of that name was not made by it', async () => {
  recordIntent(create('new'));
  mkdirSync(place('new'));
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 0, forgotten: 1 });
  expect(statusOf(await served.submit(create('new')))).toBe(nfs.NFS3ERR_EXIST);
});

const rename = (): Request =>
  operation('RENAME', {
    from: { dir: file('').handle, name: bytes('old') },
    to: { dir: file('').handle, name: bytes('new') },
  });

test('RENAME: the old name is gone, but what is under the new one is something else', async () => {
  writeFileSync(place('old'), 'moved');
  recordIntent(rename());
  unlinkSync(place('old'));
  writeFileSync(place('new'), 'another');
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 0, forgotten: 1 });
  expect(statusOf(await served.submit(rename()))).toBe(nfs.NFS3ERR_NOENT);
});

test('RENAME: the same, moved', async () => {
  writeFileSync(place('old'), 'moved');
  recordIntent(rename());
  renameSync(place('old'), place('new'));
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 1, forgotten: 0 });
  expect(statusOf(await served.submit(rename()))).toBe(nfs.NFS3_OK);
});

test('SETATTR: what was executed completely stays as it is, to the nanosecond', async () => {
  writeFileSync(place('file'), 'content that is cut');
  const time = { how: nfs.SET_TO_CLIENT_TIME, time: { seconds: 2_000_000, nseconds: 0 } } as const;
  const changes = { ...nothing, mode: 0o604, size: 7, mtime: time };
  const setattr = operation('SETATTR', { object: file('file').handle, new_attributes: changes, guard: null });
  // So that the change shows on a clock that ticks.
  await pause(20, 'the change shows on a clock that ticks');
  recordIntent(setattr);
  truncateSync(place('file'), 7);
  chmodSync(place('file'), 0o604);
  utimesSync(place('file'), statSync(place('file')).atime, new Date(2_000_000_000));
  const { ctimeNs } = statSync(place('file'), { bigint: true });
  await pause(20, 'a second change would show on that clock');
  await takeOver();
  expect(served.summary).toMatchObject({ completed: 1, forgotten: 0 });
  expect(statSync(place('file'), { bigint: true }).ctimeNs).toBe(ctimeNs);
});

/** The directory `d`, in which `file` is. */
const where = (name: string): nfs.diropargs3 => ({ dir: file('d').handle, name: bytes(name) });
const changes = { ...nothing, mode: 0o640 };
const cut = { mode: nfs.UNCHECKED, obj_attributes: { ...nothing, size: 3 } } as const;
/** So that a change of attributes shows on a clock that ticks. */
const tick = (): Promise<void> => pause(20, 'a change shows on a clock that ticks');

// null: it was not begun, so it is forgotten, and a copy of it is executed as if it had never come. Else the status of its answer.
test.each<[string, () => Request, () => void, number | null]>([
  [
    'CREATE: nothing',
    () => operation('CREATE', { where: where('new'), how: { mode: nfs.GUARDED, obj_attributes: changes } }),
    () => {},
    null,
  ],
  [
    'CREATE: the file that it made',
    () => operation('CREATE', { where: where('new'), how: { mode: nfs.GUARDED, obj_attributes: changes } }),
    () => writeFileSync(place('d/new'), ''),
    nfs.NFS3_OK,
  ],
  [
    'CREATE EXCLUSIVE: the file that it made',
    () =>
      operation('CREATE', {
        where: where('new'),
        how: { mode: nfs.EXCLUSIVE, verf: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      }),
    () => writeFileSync(place('d/new'), ''),
    nfs.NFS3_OK,
  ],
  [
    'CREATE that cuts: a file that has not changed',
    () => operation('CREATE', { where: where('file'), how: cut }),
    () => {},
    null,
  ],
  [
    'CREATE that cuts: the file, cut',
    () => operation('CREATE', { where: where('file'), how: cut }),
    () => truncateSync(place('d/file'), 3),
    nfs.NFS3_OK,
  ],
  [
    'CREATE that cuts: no file of that name',
    () => operation('CREATE', { where: where('file'), how: cut }),
    () => unlinkSync(place('d/file')),
    null,
  ],
  [
    'MKDIR: the directory that it made',
    () => operation('MKDIR', { where: where('new'), attributes: changes }),
    () => mkdirSync(place('d/new')),
    nfs.NFS3_OK,
  ],
  [
    'MKDIR: a file of that name',
    () => operation('MKDIR', { where: where('new'), attributes: changes }),
    () => writeFileSync(place('d/new'), ''),
    null,
  ],
  [
    'SYMLINK: the link that it made',
    () =>
      operation('SYMLINK', {
        where: where('new'),
        symlink: { symlink_attributes: nothing, symlink_data: bytes('file') },
      }),
    () => symlinkSync('file', place('d/new')),
    nfs.NFS3_OK,
  ],
  [
    'MKNOD: nothing',
    () => operation('MKNOD', { where: where('new'), what: { type: nfs.NF3FIFO, pipe_attributes: nothing } }),
    () => {},
    null,
  ],
  ['REMOVE: what it was to remove', () => operation('REMOVE', { object: where('file') }), () => {}, null],
  [
    'REMOVE: nothing of that name',
    () => operation('REMOVE', { object: where('file') }),
    () => unlinkSync(place('d/file')),
    nfs.NFS3_OK,
  ],
  [
    'REMOVE: another file of that name',
    () => operation('REMOVE', { object: where('file') }),
    () => {
      writeFileSync(place('d/another'), '');
      renameSync(place('d/another'), place('d/file'));
    },
    nfs.NFS3_OK,
  ],
  [
    'RENAME: what it was to move, under the old name',
    () => operation('RENAME', { from: where('file'), to: where('new') }),
    () => {},
    null,
  ],
  [
    'RENAME: the same under the new name',
    () => operation('RENAME', { from: where('file'), to: where('new') }),
    () => renameSync(place('d/file'), place('d/new')),
    nfs.NFS3_OK,
  ],
  [
    'RENAME: the same under the new name, and something else under the old one',
    () => operation('RENAME', { from: where('file'), to: where('new') }),
    () => {
      renameSync(place('d/file'), place('d/new'));
      writeFileSync(place('d/file'), '');
    },
    nfs.NFS3_OK,
  ],
  [
    'RENAME: the same under both names',
    () => operation('RENAME', { from: where('file'), to: where('new') }),
    () => linkSync(place('d/file'), place('d/new')),
    null,
  ],
  [
    'RENAME: neither name',
    () => operation('RENAME', { from: where('file'), to: where('new') }),
    () => unlinkSync(place('d/file')),
    null,
  ],
  [
    'LINK: no such name',
    () => operation('LINK', { file: file('d/file').handle, link: where('new') }),
    () => {},
    null,
  ],
  [
    'LINK: the name of that file',
    () => operation('LINK', { file: file('d/file').handle, link: where('new') }),
    () => linkSync(place('d/file'), place('d/new')),
    nfs.NFS3_OK,
  ],
  [
    'LINK: the name of another file',
    () => operation('LINK', { file: file('d/file').handle, link: where('new') }),
    () => writeFileSync(place('d/new'), ''),
    null,
  ],
  [
    'SETATTR: an object that has not changed',
    () => operation('SETATTR', { object: file('d/file').handle, new_attributes: changes, guard: null }),
    () => {},
    null,
  ],
  [
    'SETATTR: an object that has',
    () => operation('SETATTR', { object: file('d/file').handle, new_attributes: changes, guard: null }),
    () => truncateSync(place('d/file'), 3),
    nfs.NFS3_OK,
  ],
])('%s: what the next owner makes of it', async (_what, make, before, status) => {
  mkdirSync(place('d'));
  writeFileSync(place('d/file'), 'content');
  await tick();
  const intent = make();
  recordIntent(intent);
  before();
  const added: string[] = [];
  const { add } = FlushSet.prototype;
  vi.spyOn(FlushSet.prototype, 'add').mockImplementation(function (this: FlushSet, one) {
    added.push(one.key);
    add.call(this, one);
  });
  const all = vi.spyOn(FlushSet.prototype, 'addAll');
  await takeOver();
  const completed = status === null ? 0 : 1;
  expect(served.summary).toMatchObject({ completed, forgotten: 1 - completed, putAside: [] });
  const known = served.cache.find(intent.key);
  if (status === null) {
    expect(known).toBe(null);
    return;
  }
  // Answered at once when it comes again, with the attributes of now and none from before: those nobody knows any more.
  const procedure = nfs.nfs3Procedures[intent.operation as 'REMOVE' | 'RENAME'];
  const r = new XdrReader(known as Uint8Array);
  const results = procedure.res.decode(r) as unknown as Record<string, unknown>;
  r.expectEnd();
  expect(results['status']).toBe(status);
  const wccs = Object.entries(results).filter(([name]) => name.endsWith('_wcc'));
  expect(wccs.length).toBeGreaterThan(0);
  for (const [, wcc] of wccs)
    expect(wcc).toMatchObject({ before: null, after: { fileid: expect.anything() } });
  // Its directory, or the object that it changed, is flushed before anything is served.
  const changed = ['d', 'd/file'].filter((name) => existsSync(place(name))).map((name) => file(name).key);
  if (!added.some((key) => changed.includes(key))) expect(all, 'flushes').toHaveBeenCalled();
});

/** Not the one as whom the server runs. */
const other: Identity = { uid: 4711, gid: 4711, groups: [] };

test.runIf(identityCanChange)(
  'what its user may not complete any more fails, and is answered so',
  async () => {
    mkdirSync(place('d'));
    chmodSync(directory, 0o755);
    writeFileSync(place('d/file'), 'content');
    chownSync(place('d/file'), other.uid, other.gid);
    await tick();
    const args = { object: file('d/file').handle, new_attributes: changes, guard: null };
    const intent = operation('SETATTR', args, 'k', other);
    recordIntent(intent);
    asUser(SERVER_IDENTITY, () => chownSync(place('d/file'), 0, 0));
    await takeOver();
    expect(served.summary).toMatchObject({ completed: 1, forgotten: 0, putAside: [] });
    expect(statusOf(served.cache.find(intent.key) as Uint8Array)).toBe(nfs.NFS3ERR_PERM);
  },
);

test.each<[string, () => Request, () => void]>([
  [
    'a file is cut',
    () => operation('CREATE', { where: where('file'), how: cut }),
    () => truncateSync(place('d/file'), 5),
  ],
  [
    'a new file is given its attributes',
    () =>
      operation('CREATE', {
        where: where('new'),
        how: { mode: nfs.GUARDED, obj_attributes: { ...changes, size: 7 } },
      }),
    () => writeFileSync(place('d/new'), ''),
  ],
])(
  'an error of the disk while %s is the answer, and of a new file nothing is left',
  async (_what, make, begin) => {
    mkdirSync(place('d'));
    writeFileSync(place('d/file'), 'content');
    await tick();
    const intent = make();
    recordIntent(intent);
    begin();
    vi.spyOn(setAttributes, 'applyAttributeChanges').mockReturnValueOnce('ioError');
    await takeOver();
    expect(served.summary).toMatchObject({ completed: 1, forgotten: 0, putAside: [] });
    expect(statusOf(served.cache.find(intent.key) as Uint8Array)).toBe(nfs.NFS3ERR_IO);
    expect(readdirSync(place('d'))).toEqual(['file']);
  },
);

test('what was settled is on the disk before anything is served, or nothing is', async () => {
  const flush = vi.spyOn(FlushSet.prototype, 'flush').mockImplementation((done) => done(-5, true));
  await expect(takeOver()).rejects.toThrow("can't be flushed (errno 5)");
  expect(flush).toHaveBeenCalledOnce();
  vi.restoreAllMocks();
  await open();
});

test('everything is flushed after an intent that is put aside: it may be half executed', async () => {
  recordIntent(create('new'));
  vi.spyOn(journaledProcedures, 'get').mockReturnValueOnce(undefined);
  const all = vi.spyOn(FlushSet.prototype, 'addAll');
  await takeOver();
  expect(served.summary.putAside).toHaveLength(1);
  expect(all).toHaveBeenCalled();
});

test('an intent that the owner before records after its journal was read is settled', async () => {
  const before = served;
  const prepared = await prepareVolume({ name: 'data', path: directory });
  const intent = create('new');
  recordIntent(intent);
  writeFileSync(place('new'), '');
  epoch += 1;
  served = await ServedVolume.open(directory, epoch, () => {}, undefined, OPEN, prepared);
  await before.close();
  expect(served.summary).toMatchObject({ completed: 1, forgotten: 0 });
});

/** Of the next opening, before it settles anything. */
function onOpening(change: (volume: Volume) => void): void {
  const take = Volume.prototype.takeRecoveredJournal;
  vi.spyOn(Volume.prototype, 'takeRecoveredJournal').mockImplementation(function (this: Volume) {
    change(this);
    return take.call(this);
  });
}

test.each<[string, boolean, boolean, (volume: Volume) => void]>([
  ['with an intent', true, true, () => {}],
  ['without one', false, false, () => {}],
  ['that is written through', false, true, ({ spec }) => Object.assign(spec, { writeThrough: true })],
  [
    'that may have no space for the write-back',
    false,
    true,
    ({ reserve }) => Object.defineProperty(reserve, 'failsLate', { value: true }),
  ],
])(
  'the journal of a volume %s is on the disk before it is served',
  async (_what, withIntent, flushes, change) => {
    if (withIntent) recordIntent(create('new'));
    let flushed = false;
    onOpening((volume) => {
      change(volume);
      const { journal } = volume;
      const flush = journal.flush.bind(journal);
      vi.spyOn(journal, 'flush').mockImplementation((done) => {
        flush((error) => {
          flushed = true;
          done(error);
        });
      });
    });
    await takeOver();
    expect(flushed).toBe(flushes);
  },
);

test('a volume whose journal can not be flushed is not served', async () => {
  recordIntent(create('new'));
  onOpening(({ journal }) => {
    vi.spyOn(journal, 'flush').mockImplementation((done) => done(new Error('no disk')));
  });
  await expect(takeOver()).rejects.toThrow('no disk');
  vi.restoreAllMocks();
  await open();
});

test.each([true, false])(
  'the reserve and records of one’s own, where a write in place may need space: %s',
  async (needed) => {
    const unshare = vi.spyOn(unshared, 'unshareRecords').mockResolvedValue();
    let begun = 0;
    onOpening(({ reserve }) => {
      Object.defineProperty(reserve, 'needed', { value: needed });
      vi.spyOn(reserve, 'begin').mockImplementation(() => {
        begun += 1;
      });
    });
    await takeOver();
    expect([unshare.mock.calls.length, begun]).toEqual([needed ? 1 : 0, 1]);
  },
);

test('nothing is settled before the ownership record is on the disk', async () => {
  recordIntent(create('new'));
  const recorded = Promise.withResolvers<void>();
  const take = Volume.prototype.takeRecoveredJournal;
  vi.spyOn(Volume.prototype, 'takeRecoveredJournal').mockImplementation(function (this: Volume) {
    Object.defineProperty(this, 'recorded', { value: recorded.promise });
    return take.call(this);
  });
  const flush = vi.spyOn(FlushSet.prototype, 'flush');
  const opening = takeOver();
  // Far longer than everything else of an opening takes.
  await pause(300, 'far longer than everything else of an opening takes');
  expect(flush).not.toHaveBeenCalled();
  recorded.resolve();
  await opening;
  expect(flush).toHaveBeenCalledOnce();
});

// It is on a machine that was paused as a whole: it has seen no time pass, and answers until it finds the new ownership record.
test('what the owner before answers after its journal was read is found', async () => {
  const before = served;
  const prepared = await prepareVolume({ name: 'data', path: directory });
  const answer = await before.submit(create('new'));
  expect(statusOf(answer)).toBe(nfs.NFS3_OK);
  epoch += 1;
  served = await ServedVolume.open(directory, epoch, () => {}, undefined, OPEN, prepared);
  await before.close();
  expect(await served.submit(create('new'))).toEqual(answer);
});

/** Names of what is flushed before these operations are answered. */
async function flushedBy(of: Request, ordered: boolean): Promise<string[]> {
  Object.defineProperty(served.volume, 'orderedMetadata', { value: ordered, configurable: true });
  const added: OpenFile[] = [];
  const all = vi.spyOn(FlushSet.prototype, 'addAll');
  const add = FlushSet.prototype.add;
  vi.spyOn(FlushSet.prototype, 'add').mockImplementation(function (this: FlushSet, one) {
    added.push(one);
    add.call(this, one);
  });
  expect(statusOf(await served.submit(of))).toBe(nfs.NFS3_OK);
  await served.idle();
  const names = ['', 'a', 'b', 'a/file', 'a/new', 'b/file'];
  const known = new Map(
    names.filter((name) => existsSync(place(name))).map((name) => [file(name).key, name]),
  );
  const flushed = [...new Set(added.map(({ key }) => known.get(key) ?? '?'))].sort();
  return all.mock.calls.length > 0 ? ['everything', ...flushed] : flushed;
}

const newIn = (changed: Partial<nfs.sattr3>) => () =>
  operation('CREATE', {
    where: { dir: file('a').handle, name: bytes('new') },
    how: { mode: nfs.GUARDED, obj_attributes: { ...nothing, mode: 0o640, ...changed } },
  });
const moved = () =>
  operation('RENAME', {
    from: { dir: file('a').handle, name: bytes('file') },
    to: { dir: file('b').handle, name: bytes('file') },
  });
const removed = () => operation('REMOVE', { object: { dir: file('a').handle, name: bytes('file') } });
const linked = () =>
  operation('LINK', { file: file('a/file').handle, link: { dir: file('b').handle, name: bytes('file') } });
const linkedLink = () =>
  operation('LINK', { file: file('a/link').handle, link: { dir: file('b').handle, name: bytes('new') } });
const set = (name: string) => () =>
  operation('SETATTR', {
    object: file(name).handle,
    new_attributes: { ...nothing, mode: 0o700 },
    guard: null,
  });
const symlinked = () =>
  operation('SYMLINK', {
    where: { dir: file('a').handle, name: bytes('new') },
    symlink: { symlink_attributes: nothing, symlink_data: bytes('file') },
  });
const made = () =>
  operation('MKDIR', {
    where: { dir: file('a').handle, name: bytes('new') },
    attributes: { ...nothing, mode: 0o750 },
  });

test.each<[string, () => Request, string[], string[]]>([
  ['CREATE', newIn({}), ['a'], ['a', 'a/new']],
  ['CREATE with attributes that come late', newIn({ size: 9 }), ['a', 'a/new'], ['a', 'a/new']],
  ['MKDIR', made, ['a'], ['a', 'a/new']],
  ['REMOVE', removed, ['a'], ['a']],
  ['RENAME', moved, ['a', 'b'], ['everything']],
  ['LINK', linked, ['b'], ['b', 'b/file']],
  ['LINK of a symbolic link', linkedLink, ['b'], ['everything', 'b']],
  ['SYMLINK', symlinked, ['a'], ['everything', 'a']],
  ['SETATTR', set('a/file'), ['a/file'], ['a/file']],
  ['SETATTR of a directory', set('a'), ['a'], ['a']],
])('%s flushes what makes it durable', async (_name, make, ordered, unordered) => {
  for (const [isOrdered, expected] of [
    [true, ordered],
    [false, unordered],
  ] as const) {
    for (const name of ['a', 'b']) {
      rmSync(place(name), { recursive: true, force: true });
      mkdirSync(place(name));
    }
    writeFileSync(place('a/file'), '');
    symlinkSync('file', place('a/link'));
    const one = make();
    Object.defineProperty(one, 'key', { value: (isOrdered ? 'o' : 'u').padEnd(16, '.') });
    expect(await flushedBy(one, isOrdered)).toEqual(expected);
    vi.restoreAllMocks();
  }
});

test('answers for which the journal has no room are recorded with the next ones', async () => {
  const { journal } = served.volume;
  const append = journal.append.bind(journal);
  let refused = 0;
  vi.spyOn(journal, 'append').mockImplementation((replies, intents, contents) => {
    if (intents.length > 0 || refused > 0) return append(replies, intents, contents);
    refused += 1;
    return -28;
  });
  expect(statusOf(await served.submit(create('first')))).toBe(nfs.NFS3_OK);
  expect(refused).toBe(1);
  const second = operation('REMOVE', { object: { dir: file('').handle, name: bytes('first') } }, 'second');
  expect(statusOf(await served.submit(second))).toBe(nfs.NFS3_OK);
  await served.idle();
  await takeOver();
  expect(served.summary).toMatchObject({ answers: 2, completed: 0, forgotten: 0 });
  expect(statusOf(await served.submit(create('first')))).toBe(nfs.NFS3_OK);
  expect(existsSync(place('first'))).toBe(false);
});
