/** FilerShares from an API server, over a real data thread, to clients that mount them. */
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { SERVER_IDENTITY } from '../system/thread-identity.ts';
import { ShareApi } from './share-api.fixture.ts';
import { SharingServer } from './sharing-server.fixture.ts';

const isRoot = SERVER_IDENTITY.uid === 0;
const MNT_OK = 0;
const NOENT = 2;
const ACCES = 13;
const FINALIZER = 'filerpair.dev/share-directory';

let thread: TestDataThread;
let api: ShareApi;
let volume: { path: string; remove: () => void };
const servers: SharingServer[] = [];
beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(async () => {
  thread.messages.length = 0;
  api = await ShareApi.start();
  volume = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  await api.close();
  volume.remove();
});

async function started(epoch = 1, msMax = 10_000): Promise<SharingServer> {
  const server = new SharingServer(api, thread, volume.path, epoch);
  servers.push(server);
  await server.start(msMax);
  return server;
}

async function serving(epoch = 1): Promise<SharingServer> {
  const server = await started(epoch);
  await server.open();
  return server;
}

const inVolume = (...names: string[]): string => join(volume.path, ...names);
const copy = (): string => readFileSync(inVolume('.filerpair', 'exports.jsonl'), 'utf8');

test('the watch is of the shares of the pair alone; each is mounted, with its directory, and its status says so', async () => {
  api.put('team');
  api.put('stranger', { pairRef: { name: 'other' } });
  const server = await serving();
  const lists = api.api.seen.filter(({ path }) => path.endsWith('/filershares'));
  expect(lists.length).toBeGreaterThan(0);
  for (const { query } of lists) expect(query.get('fieldSelector')).toBe('spec.pairRef.name=nas');
  await assertEventually(async () => expect(await server.tryMount('/team')).toBe(MNT_OK));
  expect(await server.tryMount('/stranger')).toBe(NOENT);
  expect(statSync(inVolume('shares', 'team')).mode & 0o7777).toBe(0o755);
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('True Served'));
  expect(api.shares.get('team')?.status).toMatchObject({
    observedGeneration: 1,
    path: '/team',
    server: 'nas-a',
    conditions: [
      { type: 'Accepted', status: 'True', reason: 'Accepted', observedGeneration: 1 },
      { type: 'Ready', status: 'True', reason: 'Served', observedGeneration: 1 },
    ],
  });
});

test('what changes is in force within a second, without a new process: clients, path, and the end', async () => {
  const server = await serving();
  const within = async (change: () => void, path: string, wanted: number): Promise<number> => {
    change();
    const begun = performance.now();
    while ((await server.tryMount(path)) !== wanted) {
      if (performance.now() - begun > 5000) throw new Error(`${path} is not ${wanted}`);
    }
    return performance.now() - begun;
  };
  const took = [
    await within(() => api.put('team'), '/team', MNT_OK),
    await within(() => api.put('team', { clients: ['10.9.9.9'] }), '/team', ACCES),
    await within(() => api.put('team', { path: '/other' }), '/other', MNT_OK),
    await within(() => api.delete('team'), '/other', NOENT),
  ];
  expect(Math.max(...took)).toBeLessThan(1000);
  expect(server.thread.messages.filter(({ kind }) => kind === 'exportsReplaced')).toEqual([]);
});

test('a directory that is absent: told, and served when it is there', async () => {
  api.put('team', { directory: 'people' });
  const server = await serving();
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('False DirectoryAbsent'));
  expect(api.condition('team', 'Accepted')).toBe('True Accepted');
  expect(await server.tryMount('/team')).toBe(NOENT);
  mkdirSync(inVolume('people'));
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('True Served'));
  expect(await server.tryMount('/team')).toBe(MNT_OK);
});

test('of many shares nothing is said before it is known of each whether its directory is there', async () => {
  const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
  for (const [i, name] of names.entries()) {
    if (i % 2 === 0) mkdirSync(inVolume('people', name), { recursive: true });
    api.put(name, { directory: `people/${name}` });
  }
  await serving();
  await assertEventually(() => expect(api.statusWrites.length).toBeGreaterThanOrEqual(names.length));
  for (const [i, name] of names.entries())
    expect(api.condition(name, 'Ready')).toBe(i % 2 === 0 ? 'True Served' : 'False DirectoryAbsent');
  // Each once: none was said to be served, and then that it is not.
  expect(api.statusWrites.toSorted()).toEqual(names.toSorted());
});

test('a path that is taken, a volume that is not there: refused, and said by the owner', async () => {
  api.put('old', { path: '/home' });
  api.put('young', { path: '/home' }, { creationTimestamp: '2026-11-30T12:00:09Z' });
  api.put('astray', { volume: 'none' });
  await serving();
  await assertEventually(() => expect(api.condition('young', 'Ready')).toBe('False PathTaken'));
  expect(api.condition('young', 'Accepted')).toBe('False PathTaken');
  expect(api.message('young', 'Ready')).toContain('FilerShare "old"');
  await assertEventually(() => expect(api.condition('astray', 'Accepted')).toBe('False VolumeNotServed'));
  await assertEventually(() => expect(api.condition('old', 'Ready')).toBe('True Served'));
});

test('what the operator has said of a volume that the pair does not have stays said', async () => {
  api.put('astray', { volume: 'none' });
  const lastTransitionTime = '2026-11-30T12:00:00Z';
  const no = { status: 'False', reason: 'VolumeNotFound', message: '', lastTransitionTime } as const;
  api.setStatus('astray', {
    conditions: [
      { type: 'Accepted', ...no },
      { type: 'Ready', ...no },
    ],
  });
  api.put('team');
  await serving();
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('True Served'));
  expect(api.statusWrites).toEqual(['team']);
});

test('who does not serve the disk set says nothing', async () => {
  api.put('team', { server: 'filer-b' });
  api.put('mine');
  const server = await started();
  await pause(300, 'a status would be written');
  expect(api.statusWrites).toEqual([]);
  await server.open();
  await assertEventually(() => expect(api.condition('mine', 'Ready')).toBe('True Served'));
  await server.close();
  api.put('mine', { access: 'ReadOnly' });
  await pause(300, 'another status would be written');
  expect(api.statusWrites).toEqual(['mine']);
});

test('statuses that are right are not written again, by the next owner neither; those that differ come a few at a time', async () => {
  for (let i = 0; i < 120; i++) api.put(`share-${i}`);
  api.statusDelayMs = 20;
  const first = await serving();
  await assertEventually(() => expect(api.statusWrites).toHaveLength(120));
  expect(api.inFlightMax).toBeLessThanOrEqual(4);
  await first.close();
  await serving(2);
  api.put('share-7', { access: 'ReadOnly' });
  await assertEventually(() => expect(api.statusWrites).toHaveLength(121));
  await pause(1500, 'other shares would be written again');
  expect(api.statusWrites.slice(120)).toEqual(['share-7']);
}, 60_000);

test('a status that somebody changes is put right', async () => {
  api.put('team');
  await serving();
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('True Served'));
  api.setStatus('team', {});
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('True Served'));
});

test('a watch that is cut while the API is away comes back, with what has changed meanwhile', async () => {
  api.put('team');
  const server = await serving();
  await assertEventually(async () => expect(await server.tryMount('/team')).toBe(MNT_OK));
  api.answers = 503;
  api.cut();
  api.put('later');
  await pause(500, 'the list would be lost');
  expect(await server.tryMount('/team')).toBe(MNT_OK);
  api.answers = 200;
  await assertEventually(async () => expect(await server.tryMount('/later')).toBe(MNT_OK));
});

// -------------------------------------------------------------------------------------------------------- the copy

test('an owner that cannot list the shares serves what the last one has, and makes no directory for it', async () => {
  api.put('team', { clients: ['127.0.0.0/8'], access: 'ReadOnly' });
  api.put('gone');
  const first = await serving();
  await assertEventually(() => expect(copy()).toContain('/gone'));
  await first.close();
  await first.shares.stop();
  const { rmdirSync } = await import('node:fs');
  rmdirSync(inVolume('shares', 'gone'));
  api.answers = 503;
  const second = await started(2, 200);
  await second.open();
  expect(await second.tryMount('/team')).toBe(MNT_OK);
  expect(await second.tryMount('/gone')).toBe(NOENT);
  await pause(1200, 'its directory would be removed');
  expect(readdirSync(inVolume('shares'))).toEqual(['team']);
  api.shares.delete('team');
  api.put('fresh');
  api.answers = 200;
  await assertEventually(async () => expect(await second.tryMount('/fresh')).toBe(MNT_OK));
  expect(await second.tryMount('/team')).toBe(NOENT);
  await assertEventually(() => expect(copy()).not.toContain('/team'));
  expect(copy()).toContain('/fresh');
}, 60_000);

test('a copy that cannot be read is none', async () => {
  api.put('team');
  const first = await serving();
  await assertEventually(() => expect(copy()).toContain('/team'));
  await first.close();
  await first.shares.stop();
  for (const content of ['', '{', '{"format":2,"count":1}\n{}\n', copy().slice(0, -30)]) {
    writeFileSync(inVolume('.filerpair', 'exports.jsonl'), content);
    api.answers = 503;
    const next = await started(2 + servers.length, 100);
    await next.open();
    expect(await next.tryMount('/team')).toBe(NOENT);
    await next.close();
    await next.shares.stop();
  }
}, 60_000);

test('a copy is complete or the old one: a gate that closes in the middle leaves no half of it', async () => {
  api.put('team');
  const server = await serving();
  await assertEventually(() => expect(copy()).toContain('/team'));
  const before = copy();
  server.thread.revoke('local');
  api.put('later');
  await pause(1500, 'the copy would be written');
  expect(copy()).toBe(before);
});

// -------------------------------------------------------------------------------------------------- directories

test.runIf(isRoot)(
  'a directory is made as the share says, those above it for everybody to enter',
  async () => {
    api.put('team', { directory: 'x/y/z', createDirectory: { mode: '2770', uid: 1234, gid: 2345 } });
    const server = await serving();
    await assertEventually(async () => expect(await server.tryMount('/team')).toBe(MNT_OK));
    const { mode, uid, gid } = statSync(inVolume('x', 'y', 'z'));
    expect([mode & 0o7777, uid, gid]).toEqual([0o2770, 1234, 2345]);
    const above = statSync(inVolume('x', 'y'));
    expect([above.mode & 0o7777, above.uid, above.gid]).toEqual([0o755, 0, 0]);
  },
);

test.runIf(isRoot)(
  'a directory that is there keeps its attributes; one that a crash has left unfinished gets its own',
  async () => {
    mkdirSync(inVolume('there'), { mode: 0o700 });
    chownSync(inVolume('there'), 77, 88);
    mkdirSync(inVolume('half'));
    (await import('node:fs')).chmodSync(inVolume('half'), 0o1000);
    const createDirectory = { mode: '0750', uid: 1234, gid: 2345 };
    api.put('there', { directory: 'there', createDirectory });
    api.put('half', { directory: 'half', createDirectory });
    const server = await serving();
    for (const path of ['/there', '/half'])
      await assertEventually(async () => expect(await server.tryMount(path)).toBe(MNT_OK));
    const of = (name: string): number[] => {
      const { mode, uid, gid } = statSync(inVolume(name));
      return [mode & 0o7777, uid, gid];
    };
    expect(of('there')).toEqual([0o700, 77, 88]);
    await assertEventually(() => expect(of('half')).toEqual([0o750, 1234, 2345]));
  },
);

test('a directory is never made through a symbolic link', async () => {
  const outside = temporaryDirectory();
  symlinkSync(outside.path, inVolume('link'));
  api.put('team', { directory: 'link/team', createDirectory: {} });
  await serving();
  await assertEventually(() => expect(api.condition('team', 'Ready')).toBe('False DirectoryNotMade'));
  expect(api.message('team', 'Ready')).toMatch(/cannot be made.*(ELOOP|ENOTDIR)/);
  expect(readdirSync(outside.path)).toEqual([]);
  outside.remove();
});

const doomed = { deletionPolicy: 'Delete' } as const;
const finalized = { finalizers: [FINALIZER] };

test('a share that goes with its directory: all of it is deleted, nothing beside it, and the object may go', async () => {
  const outside = temporaryDirectory();
  writeFileSync(join(outside.path, 'treasure'), 'kept');
  api.put('team', doomed, finalized);
  api.put('stays', {}, finalized);
  const server = await serving();
  await assertEventually(async () => expect(await server.tryMount('/team')).toBe(MNT_OK));
  const deep = inVolume('shares', 'team', ...Array.from({ length: 40 }, (_, i) => `level-${i}`));
  mkdirSync(deep, { recursive: true });
  for (let i = 0; i < 200; i++) writeFileSync(join(deep, `file-${i}`), 'x');
  symlinkSync(outside.path, join(deep, 'link'));
  symlinkSync('/', inVolume('shares', 'team', 'root'));
  api.delete('team');
  await assertEventually(() => expect(api.condition('team', 'DirectoryDeleted')).toBe('True Deleted'));
  expect(existsSync(inVolume('shares', 'team'))).toBe(false);
  expect(readFileSync(join(outside.path, 'treasure'), 'utf8')).toBe('kept');
  expect(api.condition('team', 'Ready')).toBe('False Deleting');
  expect(readdirSync(inVolume('.filerpair', 'removed'))).toHaveLength(1);
  api.removeFinalizers('team');
  await assertEventually(() => expect(readdirSync(inVolume('.filerpair', 'removed'))).toEqual([]));
  api.delete('stays');
  await pause(300, 'the directory would be removed');
  expect(existsSync(inVolume('shares', 'stays'))).toBe(true);
  outside.remove();
});

test('a directory that another share has, or that has one in it, stays for as long as that, and the message says so', async () => {
  api.put('team', { ...doomed, directory: 'people', createDirectory: {} }, finalized);
  api.put('part', { directory: 'people/anna', createDirectory: {} });
  const server = await serving();
  await assertEventually(async () => expect(await server.tryMount('/part')).toBe(MNT_OK));
  api.delete('team');
  await assertEventually(() => expect(api.condition('team', 'DirectoryDeleted')).toBe('False InUse'));
  expect(api.message('team', 'DirectoryDeleted')).toContain('the export "/part" is in it');
  expect(await server.tryMount('/part')).toBe(MNT_OK);
  expect(await server.tryMount('/team')).toBe(NOENT);
  api.delete('part');
  await assertEventually(() => expect(api.condition('team', 'DirectoryDeleted')).toBe('True Deleted'));
  expect(existsSync(inVolume('people'))).toBe(false);
}, 60_000);

test('a directory that is not there, or is a symbolic link, counts as deleted, and nothing is', async () => {
  const outside = temporaryDirectory();
  mkdirSync(join(outside.path, 'team'));
  symlinkSync(outside.path, inVolume('link'));
  api.put('link', { ...doomed, directory: 'link' }, finalized);
  api.put('below', { ...doomed, directory: 'link/team' }, finalized);
  const { metadata } = api.put('absent', { ...doomed, directory: 'nothing/here' }, finalized);
  await serving();
  for (const name of ['link', 'below', 'absent']) {
    api.delete(name);
    await assertEventually(() =>
      expect(api.condition(name, 'DirectoryDeleted')).toBe('True DirectoryAbsent'),
    );
  }
  expect(readdirSync(outside.path)).toEqual(['team']);
  expect(existsSync(inVolume('link'))).toBe(true);
  // Asked for once more, as it is every 10 s as long as the FilerShare is there, it is still one that was not there.
  const id = metadata.uid!;
  const told = () =>
    thread.messages.flatMap((one) =>
      one.kind === 'directoryRemoved' && one.id === id ? [one.result.outcome] : [],
    );
  const before = told().length;
  thread.post({ kind: 'removeDirectory', diskSet: 'local', id, volume: 'data', directory: 'nothing/here' });
  await assertEventually(() => expect(told().length).toBeGreaterThan(before));
  expect(new Set(told())).toEqual(new Set(['absent']));
  outside.remove();
});

test('the next owner goes on where one was stopped in the middle, and what has the name by then is not touched', async () => {
  api.put('team', doomed, finalized);
  const first = await serving();
  await assertEventually(async () => expect(await first.tryMount('/team')).toBe(MNT_OK));
  for (let i = 0; i < 6000; i++) writeFileSync(inVolume('shares', 'team', `file-${i}`), '');
  api.delete('team');
  await assertEventually(() => expect(existsSync(inVolume('shares', 'team'))).toBe(false));
  first.thread.revoke('local');
  await first.close('fence');
  await first.shares.stop();
  const removed = inVolume('.filerpair', 'removed');
  const [id] = readdirSync(removed);
  const left = readdirSync(join(removed, id!, '0')).length;
  expect(left).toBeGreaterThan(1000);
  // The same name by somebody else.
  mkdirSync(inVolume('shares', 'team'));
  writeFileSync(inVolume('shares', 'team', 'other'), 'kept');
  expect(api.condition('team', 'DirectoryDeleted')).not.toContain('True');
  await serving(2);
  await assertEventually(() => expect(api.condition('team', 'DirectoryDeleted')).toBe('True Deleted'));
  expect(readdirSync(join(removed, id!))).toEqual([]);
  expect(readFileSync(inVolume('shares', 'team', 'other'), 'utf8')).toBe('kept');
}, 90_000);
