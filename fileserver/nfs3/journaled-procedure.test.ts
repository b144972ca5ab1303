/** What each journaled procedure says before it is executed: what it locks and relies on, what it needs, and why it is refused. */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import * as setAttributes from '../storage/files/set-attributes.ts';
import { FlushSet } from '../storage/flush/flush-set.ts';
import { PathIndex } from '../storage/volume/path-index.ts';
import * as fileCalls from '../system/file-calls.ts';
import { asUser, identityCanChange, SERVER_IDENTITY, startIoPool } from '../system/thread-identity.ts';
import { EVERY_PATH, Request } from './journaled-procedure.ts';
import { journaledProcedures } from './program.ts';
import { ServedVolume, statusOf } from './served-volume.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const nothing = nfs.SATTR3_NOTHING;

let directory: string;
let served: ServedVolume;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-procedure-'));
  served = await ServedVolume.open(directory, 1);
  for (const name of ['d', 'e']) {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, 'file'), 'content');
  }
  linkSync(join(directory, 'd/file'), join(directory, 'd/same'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

const file = (name: string): OpenFile => served.file(name);
const operation: ServedVolume['operation'] = (...call) => served.operation(...call);

const where = (path: string): nfs.diropargs3 => {
  const at = path.lastIndexOf('/');
  return { dir: file(path.slice(0, at)).handle, name: bytes(path.slice(at + 1)) };
};
const created = (path: string, changes: Partial<nfs.sattr3> = {}) =>
  operation('CREATE', {
    where: where(path),
    how: { mode: nfs.UNCHECKED, obj_attributes: { ...nothing, ...changes } },
  });
const VERIFIER = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2);
const exclusive = (path: string) =>
  operation('CREATE', { where: where(path), how: { mode: nfs.EXCLUSIVE, verf: VERIFIER } });
const made = (path: string) =>
  operation('MKDIR', { where: where(path), attributes: { ...nothing, mode: 0o750 } });
const removed = (path: string) => operation('REMOVE', { object: where(path) });
const moved = (from: string, to: string) => operation('RENAME', { from: where(from), to: where(to) });
const linked = (path: string, to: string) => operation('LINK', { file: file(path).handle, link: where(to) });
const set = (path: string, changes: Partial<nfs.sattr3>, guard: nfs.nfstime3 | null = null) =>
  operation('SETATTR', { object: file(path).handle, new_attributes: { ...nothing, ...changes }, guard });

/** Keys, with the names of this test for objects: "d", and "d>new" for a name in it. */
function readable(keys: readonly string[]): string[] {
  const names = ['d', 'e', 'd/file', 'e/file'].filter((name) => existsSync(join(directory, name)));
  return keys
    .map((key) => {
      const name = names.find((one) => key === file(one).key || key.startsWith(`${file(one).key}/`));
      return name === undefined ? key : key.replace(file(name).key, name).replace(`${name}/`, `${name}>`);
    })
    .sort();
}

/** Files are found by their paths, as on a server without the right to open handles. */
function byPath(): void {
  const index = new PathIndex(served.volume.rootFd, file('').key, served.volume.identity);
  Object.defineProperty(served.volume, 'pathIndex', { value: index });
}

/** locks, relies on; and the same of a volume with a path index where that differs. */
test.each<[string, () => Request, string[], string[], (string[] | undefined)?, string[]?]>([
  ['CREATE', () => created('d/new'), ['d>new'], ['d'], undefined, ['d', EVERY_PATH]],
  [
    'CREATE that cuts',
    () => created('d/file', { size: 3 }),
    ['d/file', 'd>file'],
    ['d'],
    undefined,
    ['d', EVERY_PATH],
  ],
  [
    'CREATE of what is there',
    () => created('d/file'),
    ['d/file', 'd>file'],
    ['d'],
    undefined,
    ['d', EVERY_PATH],
  ],
  ['CREATE EXCLUSIVE', () => exclusive('d/file'), ['d>file'], ['d'], undefined, ['d', EVERY_PATH]],
  ['MKDIR', () => made('d/new'), ['d>new'], ['d'], undefined, ['d', EVERY_PATH]],
  ['REMOVE', () => removed('d/file'), ['d/file', 'd>file'], ['d'], undefined, ['d', EVERY_PATH]],
  [
    'RENAME',
    () => moved('d/file', 'd/new'),
    ['d/file', 'd>file', 'd>new'],
    ['d', 'd'],
    undefined,
    ['d', 'd', EVERY_PATH],
  ],
  [
    'RENAME to another directory, over what is there',
    () => moved('d/file', 'e/file'),
    ['d/file', 'd>file', 'e/file', 'e>file'],
    ['d', 'e'],
    ['d/file', 'd>file', 'e/file', 'e>file', EVERY_PATH],
    ['d', 'e'],
  ],
  ['LINK', () => linked('d/file', 'e/new'), ['d/file', 'e>new'], ['e'], undefined, ['e', EVERY_PATH]],
  ['SETATTR of the size', () => set('d/file', { size: 3 }), ['d/file'], [], undefined, [EVERY_PATH]],
  ['SETATTR of the mode', () => set('d', { mode: 0o700 }), ['d'], [], ['d', EVERY_PATH], []],
  ['SETATTR of the owner', () => set('d', { uid: 0 }), ['d'], [], ['d', EVERY_PATH], []],
  ['SETATTR of the group', () => set('d', { gid: 0 }), ['d'], [], ['d', EVERY_PATH], []],
])(
  '%s: what it locks, and what it relies on',
  (_name, make, locks, relies, pathLocks = locks, pathRelies = relies) => {
    const check = make().check();
    expect([readable(check.lockKeys), readable(check.reliesOn)]).toEqual([locks, relies]);
    byPath();
    const other = make().check();
    expect([readable(other.lockKeys), readable(other.reliesOn)]).toEqual([pathLocks, pathRelies]);
  },
);

test.each<[string, () => Request, boolean]>([
  ['CREATE', () => created('d/new'), true],
  ['CREATE that cuts', () => created('d/file', { size: 3 }), false],
  ['MKDIR', () => made('d/new'), true],
  ['REMOVE', () => removed('d/file'), false],
  ['RENAME', () => moved('d/file', 'd/new'), false],
  ['LINK', () => linked('d/file', 'e/new'), true],
  ['SETATTR', () => set('d/file', { size: 3 }), false],
])('%s: whether it needs space on the disk', (_name, make, needsSpace) => {
  const { plan } = make().check();
  expect(plan).toMatchObject({ needsSpace, isLong: false });
});

test.each<[string, () => Request]>([
  ['SETATTR', () => set('d/file', { size: 0 })],
  ['CREATE', () => created('d/file', { size: 0 })],
])('%s that cuts much off takes long, and is done in parts that end', (_name, make) => {
  writeFileSync(join(directory, 'd/file'), Buffer.alloc(300 * 1024 * 1024));
  const steps: string[] = [];
  served.onStep = (_operation, step) => steps.push(step);
  const plan = make().check().plan!;
  expect(plan.isLong).toBe(true);
  let parts = 0;
  while (plan.applyPart()) parts += 1;
  expect(parts).toBeGreaterThan(0);
  expect(steps).toEqual(new Array(parts).fill('duringExecution'));
  plan.apply(new FlushSet(served.volume, served.diskSet.table));
  expect(statSync(join(directory, 'd/file')).size).toBe(0);
});

describe('is answered without being executed', () => {
  const ctime = (name: string): nfs.nfstime3 => {
    const { ctimeNs } = statSync(join(directory, name), { bigint: true });
    return { seconds: Number(ctimeNs / 1_000_000_000n), nseconds: Number(ctimeNs % 1_000_000_000n) };
  };
  test.each<[string, () => Request, number]>([
    ['CREATE of what is there', () => created('d/file'), nfs.NFS3_OK],
    ['CREATE of a directory', () => created('/e'), nfs.NFS3ERR_EXIST],
    ['MKDIR of what is there', () => made('d/file'), nfs.NFS3ERR_EXIST],
    ['MKDIR of ..', () => made('d/..'), nfs.NFS3ERR_EXIST],
    ['MKDIR in a file', () => made('d/file/new'), nfs.NFS3ERR_NOTDIR],
    ['REMOVE of nothing', () => removed('d/new'), nfs.NFS3ERR_NOENT],
    ['RENAME of nothing', () => moved('d/new', 'd/other'), nfs.NFS3ERR_NOENT],
    ['RENAME of ..', () => moved('d/..', 'd/new'), nfs.NFS3ERR_INVAL],
    ['RENAME to .', () => moved('d/file', 'e/.'), nfs.NFS3ERR_INVAL],
    ['RENAME to another name of the same file', () => moved('d/file', 'd/same'), nfs.NFS3_OK],
    ['LINK to what is there', () => linked('d/file', 'e/file'), nfs.NFS3ERR_EXIST],
    ['LINK to itself', () => linked('d/file', 'd/file'), nfs.NFS3ERR_EXIST],
    ['LINK to ..', () => linked('d/file', 'd/..'), nfs.NFS3ERR_EXIST],
    ['SETATTR of nothing', () => set('d/file', {}), nfs.NFS3_OK],
    [
      'SETATTR with a guard of another second',
      () => set('d/file', { mode: 0o600 }, { ...ctime('d/file'), seconds: 1 }),
      nfs.NFS3ERR_NOT_SYNC,
    ],
    [
      'SETATTR with a guard of another nanosecond',
      () => set('d/file', { mode: 0o600 }, { ...ctime('d/file'), nseconds: 999_999_999 }),
      nfs.NFS3ERR_NOT_SYNC,
    ],
  ])('%s', (_what, make, status) => {
    const request = make();
    const { plan, results } = request.check();
    expect([plan, statusOf(results)]).toEqual([null, status]);
    // All of it can be decoded, and what is shown of objects is there.
    const r = new XdrReader(results);
    const decoded = nfs.nfs3Procedures[request.operation as 'REMOVE'].res.decode(r) as unknown as Record<
      string,
      unknown
    >;
    r.expectEnd();
    for (const [name, value] of Object.entries(decoded))
      if (name.endsWith('_wcc')) expect(value, name).toMatchObject({ before: {}, after: {} });
    expect(readdirSync(join(directory, 'd'))).toEqual(['file', 'same']);
  });

  test('whatever cannot look at its objects', () => {
    for (const make of [
      () => set('d/file', { mode: 0o600 }),
      () => linked('d/file', 'e/new'),
      () => created('d/file', { size: 3 }),
    ]) {
      const request = make();
      vi.spyOn(served.diskSet, 'attributes').mockReturnValue('ioError');
      const { plan, results } = request.check();
      vi.restoreAllMocks();
      expect([plan, statusOf(results)]).toEqual([null, nfs.NFS3ERR_IO]);
      const r = new XdrReader(results);
      nfs.nfs3Procedures[request.operation as 'REMOVE'].res.decode(r);
      r.expectEnd();
    }
  });
});

test('arguments with something behind them are malformed', () => {
  const { args } = made('d/new');
  expect(() =>
    served.make(nfs.nfsproc3.MKDIR, Uint8Array.of(...args, 0, 0, 0, 0), 'k', SERVER_IDENTITY),
  ).toThrow();
});

test('a caller to whom the export is closed, and a handle that is none, are refused whenever they are asked about', () => {
  const { args } = made('d/new');
  const mkdir = journaledProcedures.get(nfs.nfsproc3.MKDIR)!;
  const denied = new Request(served.context, 'k'.padEnd(16), mkdir, args, () => 'notAllowed');
  expect(denied.bind()).toBe('accessDenied');
  expect(statusOf(denied.check().results)).toBe(nfs.NFS3ERR_ACCES);
  const none = args.slice();
  none[20]! ^= 1;
  const strange = new Request(served.context, 'k'.padEnd(16), mkdir, none, () => SERVER_IDENTITY);
  expect(strange.check().plan).toBeNull();
  expect(
    strange.recover(new XdrReader(new Uint8Array(12)), new FlushSet(served.volume, served.diskSet.table)),
  ).toBeNull();
});

test('its files are looked for once, and again when exports have changed', () => {
  const resolve = vi.spyOn(served.diskSet, 'resolveHandle');
  const request = set('d/file', { size: 3 });
  for (let again = 0; again < 3; again++) request.check();
  expect(resolve).toHaveBeenCalledTimes(1);
  vi.spyOn(served.diskSet, 'exports', 'get').mockReturnValue({ all: [] } as never);
  for (let again = 0; again < 3; again++) request.check();
  expect(resolve).toHaveBeenCalledTimes(2);
});

test('a change that fails is answered so: what it was to change is told as it was and is', () => {
  for (const make of [() => set('d/file', { size: 3 }), () => created('d/file', { size: 3 })]) {
    const request = make();
    const plan = request.check().plan!;
    vi.spyOn(setAttributes, 'applyAttributeChanges').mockReturnValueOnce('ioError');
    const results = plan.apply(new FlushSet(served.volume, served.diskSet.table));
    vi.restoreAllMocks();
    expect(statusOf(results)).toBe(nfs.NFS3ERR_IO);
  }
});

/** The wcc_data of results that begin with it. */
function wccOf(results: Uint8Array): { before: unknown; after: unknown } {
  const r = new XdrReader(results);
  r.u32();
  return nfs.wcc_data.decode(r);
}
const flushes = (): FlushSet => new FlushSet(served.volume, served.diskSet.table);

test('whose directory cannot be read any more is not executed; attributes from before are not shown', () => {
  const unread = made('d/new').check().plan!;
  vi.spyOn(served.context.directory, 'read').mockReturnValueOnce('ioError');
  const results = unread.apply(flushes());
  expect([statusOf(results), wccOf(results).before]).toEqual([nfs.NFS3ERR_IO, null]);
  expect(readdirSync(join(directory, 'd'))).toEqual(['file', 'same']);
});

test('what was made and cannot be looked up is not said to be made well', () => {
  const plan = made('d/new').check().plan!;
  vi.spyOn(served.diskSet, 'lookup').mockReturnValueOnce('ioError');
  expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_IO);
});

test('attributes from before are those of its own objects, whatever was checked or refused before it', () => {
  const what = { type: nfs.NF3REG } as never;
  const refused = () => operation('MKNOD', { where: where('e/new'), what });
  const request = set('d/file', { size: 3 });
  made('d/new').check();
  expect(wccOf(refused().check().results).before).toBeNull();
  made('d/new').check();
  const recovered = request.recover(new XdrReader(new Uint8Array(12)), flushes());
  expect(wccOf(recovered!.results).before).toBeNull();
});

test('the record of its intent says the same, whatever was answered since it was checked', () => {
  const plan = removed('d/file').check().plan!;
  const intent = plan.intent();
  removed('d/new').check();
  expect(plan.intent()).toEqual(intent);
});

test('refused because its export is gone, it shows nothing of its objects', () => {
  const request = set('d/file', { size: 3 });
  request.check();
  vi.spyOn(served.diskSet, 'exports', 'get').mockReturnValue({ all: [] } as never);
  vi.spyOn(served.diskSet, 'resolveHandle').mockReturnValue('stale');
  expect(wccOf(request.check().results)).toEqual({ before: null, after: null });
});

test('what it has created is named where attributes come late, until they are recorded', () => {
  const late = created('d/late', { size: 5 }).check().plan!;
  late.apply(flushes());
  expect(late.createdKey).toBe(file('d/late').key);
  const empty = created('d/empty', { size: 0 }).check().plan!;
  empty.apply(flushes());
  expect(empty.createdKey).toBeNull();
});

test('CREATE EXCLUSIVE finds the file that it has made itself by both halves of its verifier, as long as it is empty', () => {
  exclusive('d/new').check().plan!.apply(flushes());
  const status = () => statusOf(exclusive('d/new').check().results);
  const path = join(directory, 'd/new');
  expect(status()).toBe(nfs.NFS3_OK);
  for (const [atime, mtime] of [
    [3, 2],
    [1, 3],
  ] as const) {
    utimesSync(path, atime, mtime);
    expect(status(), `${atime} ${mtime}`).toBe(nfs.NFS3ERR_EXIST);
  }
  writeFileSync(path, 'x');
  utimesSync(path, 1, 2);
  expect(status()).toBe(nfs.NFS3ERR_EXIST);
});

test.runIf(identityCanChange)('root alone gives what it makes to others', () => {
  created('d/given', { uid: 4711 }).check().plan!.apply(flushes());
  expect(statSync(join(directory, 'd/given')).uid).toBe(4711);
  chmodSync(directory, 0o755);
  chmodSync(join(directory, 'd'), 0o777);
  const { args } = created('d/own', { uid: 0, gid: 0 });
  const procedure = journaledProcedures.get(nfs.nfsproc3.CREATE)!;
  const user = { uid: 4711, gid: 4711, groups: [] };
  const results = new Request(served.context, 'k'.padEnd(16), procedure, args, () => user)
    .check()
    .plan!.apply(flushes());
  asUser(SERVER_IDENTITY, () => {});
  expect(statusOf(results)).toBe(nfs.NFS3_OK);
  expect(statSync(join(directory, 'd/own')).uid).toBe(4711);
});

test('an object that cannot be read is no reason to change another', () => {
  for (const [make, name] of [
    [() => linked('d/file', 'e/new'), 'd/file'],
    [() => created('d/file', { size: 3 }), 'd/file'],
  ] as const) {
    const request = make();
    const { key } = file(name);
    const attributes = served.diskSet.attributes.bind(served.diskSet);
    vi.spyOn(served.diskSet, 'attributes').mockImplementation((one, stat) =>
      one.key === key ? 'ioError' : attributes(one, stat),
    );
    const { plan, results } = request.check();
    vi.restoreAllMocks();
    expect([plan, statusOf(results)]).toEqual([null, nfs.NFS3ERR_IO]);
  }
});

test('RENAME says what it has moved to another directory, where it lies now, and what it has replaced', () => {
  byPath();
  const learn = vi.spyOn(PathIndex.prototype, 'learn');
  const losing = vi.spyOn(served.diskSet, 'losingName');
  const { table } = served.diskSet;
  const rename = (from: string, to: string): [number, number] => {
    const { key } = file(from);
    const before = [table.generation, losing.mock.calls.length] as const;
    const plan = moved(from, to).check().plan!;
    expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3_OK);
    expect(
      learn.mock.calls.some(([one, , name]) => one === key && Buffer.from(name).toString() === to.slice(2)),
    ).toBe(true);
    return [table.generation - before[0], losing.mock.calls.length - before[1]];
  };
  expect(rename('d/file', 'd/new')).toEqual([0, 0]);
  expect(rename('d/new', 'e/new')).toEqual([1, 0]);
  expect(rename('e/new', 'e/file')).toEqual([0, 1]);
});

test('a file that cannot be made is not there, and its client is told why', () => {
  const plan = created('d/new').check().plan!;
  vi.spyOn(fileCalls, 'createAt').mockReturnValueOnce(-constants.errno.ENOSPC);
  expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_NOSPC);
  expect(readdirSync(join(directory, 'd'))).toEqual(['file', 'same']);
});

test('LINK of a file that cannot be opened fails', () => {
  const plan = linked('d/file', 'e/new').check().plan!;
  const { key } = file('d/file');
  const pathFd = served.diskSet.pathFd.bind(served.diskSet);
  vi.spyOn(served.diskSet, 'pathFd').mockImplementation((one) =>
    one.key === key ? -constants.errno.EIO : pathFd(one),
  );
  expect(statusOf(plan.apply(flushes()))).toBe(nfs.NFS3ERR_IO);
  expect(readdirSync(join(directory, 'e'))).toEqual(['file']);
});
