/**
 * Operations that an error interrupts, as they run and as a new owner settles them. What cannot be looked up is not taken for
 * absent; what was made is undone; and what was begun is completed, though its user has lost the right to it.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import { pause } from '../../testing/pause.ts';
import * as setAttributes from '../storage/files/set-attributes.ts';
import { FlushSet } from '../storage/flush/flush-set.ts';
import { decodeIntentRecord } from '../storage/journal/journal-payloads.ts';
import * as fileCalls from '../system/file-calls.ts';
import {
  asUser,
  type Identity,
  identityCanChange,
  SERVER_IDENTITY,
  startIoPool,
} from '../system/thread-identity.ts';
import type { Request } from './journaled-procedure.ts';
import { planOf, ServedVolume, statusOf } from './served-volume.fixture.ts';

const { EIO, EMFILE, ESTALE } = constants.errno;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const nothing = nfs.SATTR3_NOTHING;
/** Not the one as whom the server runs. */
const other: Identity = { uid: 4711, gid: 4711, groups: [] };

let directory: string;
let served: ServedVolume;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-interrupted-'));
  chmodSync(directory, 0o755);
  served = await ServedVolume.open(directory, 1);
  mkdirSync(place('d'));
  writeFileSync(place('d/file'), 'content');
  // So that a change of attributes shows on a clock that ticks.
  await pause(20, 'a change shows on a clock that ticks');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await served.close();
  // The thread is whose operation it has executed last.
  asUser(SERVER_IDENTITY, () => {});
  rmSync(directory, { recursive: true, force: true });
});

const place = (name: string): string => join(directory, name);
const flushes = (): FlushSet => new FlushSet(served.volume, served.diskSet.table);
const where = (name: string): nfs.diropargs3 => ({ dir: served.file('d').handle, name: bytes(name) });
const created = (name: string, changed: Partial<nfs.sattr3> = {}, user?: Identity): Request =>
  served.operation(
    'CREATE',
    { where: where(name), how: { mode: nfs.UNCHECKED, obj_attributes: { ...nothing, ...changed } } },
    'k',
    user,
  );
const made = (name: string, changed: Partial<nfs.sattr3> = {}): Request =>
  served.operation('MKDIR', { where: where(name), attributes: { ...nothing, ...changed } });
const removed = (name: string): Request => served.operation('REMOVE', { object: where(name) });
const moved = (from: string, to: string): Request =>
  served.operation('RENAME', { from: where(from), to: where(to) });
const linked = (to: string): Request =>
  served.operation('LINK', { file: served.file('d/file').handle, link: where(to) });
const set = (changed: Partial<nfs.sattr3>, user?: Identity): Request =>
  served.operation(
    'SETATTR',
    { object: served.file('d/file').handle, new_attributes: { ...nothing, ...changed }, guard: null },
    'k',
    user,
  );

/** Its intent is all that its owner gets done; then `meanwhile` happens, and the partner takes over. */
async function settledAfter(request: Request, meanwhile: () => void): Promise<void> {
  const contents = { intents: () => [], replies: () => [] };
  expect(served.volume.journal.append([], [planOf(request).intent()], contents)).toBe(0);
  asUser(SERVER_IDENTITY, meanwhile);
  await served.close();
  served = await ServedVolume.open(directory, 2);
}

/** The answer that a new owner has recorded; undefined: it has none. */
function answerTo({ key }: Request): number | null | undefined {
  const known = served.cache.find(key);
  return known instanceof Uint8Array ? statusOf(known) : undefined;
}

/** What name_to_handle_at says of a name, from now on. */
function namesFail(count: number, result: number): void {
  const { identity } = served.volume;
  const ofName = identity.ofName.bind(identity);
  let calls = 0;
  vi.spyOn(identity, 'ofName').mockImplementation((dir, name) =>
    ++calls === count ? result : ofName(dir, name),
  );
}

describe('a name that cannot be looked up', () => {
  test.each<[string, () => Request, number]>([
    ['CREATE', () => created('new'), 1],
    ['MKDIR', () => made('new'), 1],
    ['REMOVE', () => removed('file'), 1],
    ['RENAME, of the old name', () => moved('file', 'new'), 1],
    ['RENAME, of the new name', () => moved('file', 'new'), 2],
    ['LINK', () => linked('new'), 1],
  ])('%s is refused, and nothing is changed', (_what, make, count) => {
    const request = make();
    namesFail(count, -EIO);
    const { plan, results } = request.check();
    expect([plan, statusOf(results)]).toEqual([null, nfs.NFS3ERR_IO]);
    expect(readdirSync(place('d'))).toEqual(['file']);
  });

  test.each<[string, () => Request, () => void, number]>([
    ['CREATE that cuts', () => created('file', { size: 3 }), () => truncateSync(place('d/file'), 3), 1],
    ['MKDIR', () => made('new'), () => mkdirSync(place('d/new')), 1],
    ['REMOVE', () => removed('file'), () => unlinkSync(place('d/file')), 1],
    [
      'RENAME, of the old name',
      () => moved('file', 'new'),
      () => renameSync(place('d/file'), place('d/new')),
      1,
    ],
    [
      'RENAME, of the new name',
      () => moved('file', 'new'),
      () => renameSync(place('d/file'), place('d/new')),
      2,
    ],
    ['LINK', () => linked('new'), () => linkSync(place('d/file'), place('d/new')), 1],
  ])('%s: a new owner does not take it for an answer', (_what, make, execute, count) => {
    const request = make();
    // What an operation before it has found, and is about another object.
    served.volume.identity.ofName(served.file('').pathFd, bytes('d'));
    const before = stateBefore(request);
    execute();
    namesFail(count, -EIO);
    expect(request.recover(before, flushes())).toBeNull();
  });
});

/** What recover() is given of it. */
function stateBefore(request: Request): XdrReader {
  return new XdrReader(decodeIntentRecord(planOf(request).intent()).evidence.slice());
}

describe('what was found before is not taken for what is not there now', () => {
  // The last look at a name was at the very object that is gone, by another name of it.
  test('REMOVE: the file has another name', () => {
    linkSync(place('d/file'), place('d/same'));
    const request = removed('file');
    const before = stateBefore(request);
    unlinkSync(place('d/file'));
    served.volume.identity.ofName(served.file('d').pathFd, bytes('same'));
    expect(statusOf(request.recover(before, flushes())!.results)).toBe(nfs.NFS3_OK);
  });

  test('MKDIR: it was not begun, and another directory was looked at last', () => {
    const request = made('new');
    const before = stateBefore(request);
    served.volume.identity.ofName(served.file('').pathFd, bytes('d'));
    expect(request.recover(before, flushes())).toBeNull();
  });

  test('CREATE that cuts: its file is gone, and another one is left as it is', () => {
    writeFileSync(place('d/another'), 'content');
    const request = created('file', { size: 3 });
    const before = stateBefore(request);
    unlinkSync(place('d/file'));
    served.volume.identity.ofName(served.file('d').pathFd, bytes('another'));
    expect(request.recover(before, flushes())).toBeNull();
    expect(readFileSync(place('d/another'), 'utf8')).toBe('content');
  });
});

test('LINK makes no name that the server keeps for itself', () => {
  const link = { dir: served.file('').handle, name: bytes('.filerpair') };
  const { plan, results } = served.operation('LINK', { file: served.file('d/file').handle, link }).check();
  expect([plan, statusOf(results)]).toEqual([null, nfs.NFS3ERR_ACCES]);
});

test('nothing is moved from one export to another, though both lie on one volume', () => {
  mkdirSync(place('e'));
  const to = { dir: served.file('e').handle, name: bytes('new') };
  const request = served.operation('RENAME', { from: where('file'), to });
  const resolve = served.diskSet.resolveHandle.bind(served.diskSet);
  vi.spyOn(served.diskSet, 'exports', 'get').mockReturnValue({ all: [] } as never);
  vi.spyOn(served.diskSet, 'resolveHandle').mockImplementation((handle) => {
    const file = resolve(handle);
    if (typeof file === 'string' || !Buffer.from(handle).equals(to.dir)) return file;
    return Object.create(file, { tree: { value: { ...file.tree } } });
  });
  const { plan, results } = request.check();
  expect([plan, statusOf(results)]).toEqual([null, nfs.NFS3ERR_XDEV]);
});

test('SETATTR that is refused tells the attributes as they were, which its guard was compared with', () => {
  const { results } = served
    .operation('SETATTR', {
      object: served.file('d/file').handle,
      new_attributes: { ...nothing, mode: 0o600 },
      guard: { seconds: 1, nseconds: 1 },
    })
    .check();
  const { status, obj_wcc } = nfs.nfs3Procedures.SETATTR.res.decode(new XdrReader(results));
  expect(status).toBe(nfs.NFS3ERR_NOT_SYNC);
  expect(obj_wcc.before).toMatchObject({ size: 7 });
});

test('a directory that an operation has changed, and then failed in, is read again by the next one', () => {
  const beforeOf = (results: Uint8Array): unknown => {
    const r = new XdrReader(results);
    r.u32();
    return nfs.wcc_data.decode(r).before;
  };
  served.onStep = () => {
    throw new Error('a fault of the program');
  };
  const first = planOf(made('one'));
  const second = removed('nothing');
  expect(() => first.apply(flushes())).toThrow('a fault of the program');
  served.onStep = () => {};
  const { ctimeNs } = statSync(place('d'), { bigint: true });
  expect(beforeOf(second.check().results)).toMatchObject({
    ctime: { seconds: Number(ctimeNs / 1_000_000_000n), nseconds: Number(ctimeNs % 1_000_000_000n) },
  });
});

test('a directory that cannot be opened is the reason why nothing is made in it', () => {
  const plan = planOf(made('new'));
  const { key } = served.file('d');
  const pathFd = served.diskSet.pathFd.bind(served.diskSet);
  const read = vi.spyOn(served.context.directory, 'read').mockReturnValue('ok');
  vi.spyOn(served.diskSet, 'pathFd').mockImplementation((one) => (one.key === key ? -ESTALE : pathFd(one)));
  const mkdir = vi.spyOn(fileCalls, 'makeDirectoryAt');
  expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_STALE);
  expect(mkdir).not.toHaveBeenCalled();
  read.mockRestore();
});

test('CREATE makes room for the descriptor of its file', () => {
  for (let i = 0; i < 4; i++) {
    writeFileSync(place(`d/${i}`), '');
    served.diskSet.table.readFd(served.file(`d/${i}`));
  }
  const plan = planOf(created('new'));
  const open = vi.spyOn(fileCalls, 'createAt').mockReturnValueOnce(-EMFILE);
  expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3_OK);
  expect(open).toHaveBeenCalledTimes(2);
});

describe('what was made and could not be given its attributes is undone', () => {
  /** Like a quota that is used up. */
  const failing = (before: () => void = () => {}): void => {
    vi.spyOn(setAttributes, 'applyAttributeChanges').mockImplementationOnce(() => {
      before();
      return 'ioError';
    });
  };
  const owner = { uid: 0, gid: 0 };

  test.each<[string, () => Request]>([
    ['CREATE', () => created('new', owner)],
    ['MKDIR', () => made('new', owner)],
  ])('%s', (_what, make) => {
    const plan = planOf(make());
    failing();
    const noted = vi.spyOn(served.volume, 'noted');
    expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_IO);
    expect(readdirSync(place('d'))).toEqual(['file']);
    expect(noted.mock.calls.filter(([call]) => call === 'unlinkat')).toEqual([]);
  });

  test('what cannot be undone is counted as an error of the volume', () => {
    const plan = planOf(created('new', owner));
    failing();
    const noted = vi.spyOn(served.volume, 'noted');
    vi.spyOn(fileCalls, 'unlinkAt').mockReturnValueOnce(-EIO);
    expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_IO);
    expect(noted).toHaveBeenCalledWith('unlinkat', -EIO);
  });

  test('what somebody else has removed meanwhile is not removed again', () => {
    const plan = planOf(made('new', owner));
    failing(() => rmdirSync(place('d/new')));
    const unlink = vi.spyOn(fileCalls, 'unlinkAt');
    expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_IO);
    expect(unlink).not.toHaveBeenCalled();
  });

  test('but not on a volume that has failed: the next owner settles it', () => {
    const plan = planOf(created('new', owner));
    failing(() => served.volume.fail('IoError', 'the disk is gone'));
    plan.apply(flushes());
    expect(readdirSync(place('d'))).toEqual(['file', 'new']);
  });
});

test('what was made and given its attributes stays as it is, to the nanosecond', async () => {
  const time = { how: nfs.SET_TO_CLIENT_TIME, time: { seconds: 2_000_000, nseconds: 0 } } as const;
  const request = made('new', { mode: 0o751, mtime: time });
  let ctimeNs = 0n;
  await settledAfter(request, () => {
    mkdirSync(place('d/new'));
    chmodSync(place('d/new'), 0o751);
    utimesSync(place('d/new'), statSync(place('d/new')).atime, new Date(2_000_000_000));
    ({ ctimeNs } = statSync(place('d/new'), { bigint: true }));
  });
  expect(served.summary).toMatchObject({ completed: 1, forgotten: 0 });
  expect(statSync(place('d/new'), { bigint: true }).ctimeNs).toBe(ctimeNs);
});

// Nobody can take a right away through the server while an operation relies on it. Somebody at the server's own disk can.
describe.runIf(identityCanChange)('a right that its user has lost since the operation was begun', () => {
  const chown = (uid: number): void => chownSync(place('d/file'), uid, uid);
  beforeEach(() => chown(other.uid));

  test.each<[string, () => Request, boolean]>([
    ['CREATE that cuts, half executed', () => created('file', { size: 3 }, other), true],
    ['SETATTR of the size, half executed', () => set({ size: 3 }, other), true],
    // The ctime of its file has moved: what moved it cannot be told from the operation, which might have come before.
    ['CREATE that cuts, not begun', () => created('file', { size: 3 }, other), false],
  ])('%s: it is completed, as if it had come before', async (_what, make, isBegun) => {
    const request = make();
    await settledAfter(request, () => {
      if (isBegun) truncateSync(place('d/file'), 5);
      chown(0);
      chmodSync(place('d/file'), 0o400);
    });
    expect(served.summary).toMatchObject({ completed: 1, forgotten: 0, putAside: [] });
    asUser(SERVER_IDENTITY, () => {});
    expect([answerTo(request), readFileSync(place('d/file'), 'utf8')]).toEqual([nfs.NFS3_OK, 'con']);
    expect(statSync(place('d/file')).mode & 0o777).toBe(0o400);
  });

  test('what was not begun is forgotten, and refused when it is sent again', async () => {
    const request = created('new', {}, other);
    const { args } = request;
    await settledAfter(request, () => chmodSync(place('d'), 0o700));
    expect(served.summary).toMatchObject({ completed: 0, forgotten: 1, putAside: [] });
    const again = served.make(nfs.nfsproc3.CREATE, args, request.key, other);
    expect(statusOf((await served.submit(again)) as Uint8Array)).toBe(nfs.NFS3ERR_ACCES);
  });
});
