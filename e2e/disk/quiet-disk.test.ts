/**
 * Every kind of call is under way, of a client that waits and of one that has gone, on a disk that takes its time, when a hold
 * begins or an orderly stop. With `held`, and with `clean`, everything is on the disk and nothing more is written.
 */

import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { mount, openMessage, TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../testing/pause.ts';
import type { DiskEvent } from './disk-log.ts';
import { changeTimesOf, filesWrittenSince, treeAfterCrash, treeOf } from './quiet-disk.ts';
import { type FileSystemType, type LoopMount, missingForDisks, RecordingDisk } from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } } as const;
const TIMEOUT_MS = 300_000;
/** A flush takes so long. */
const SLOW_MS = 100;
/** Longer than the server waits until it writes who has mounted what. */
const LONGER_THAN_A_MOUNT_LIST_WAITS_MS = 1500;
const data = new Uint8Array(64 * 1024).fill(7);

interface Stage {
  readonly type: FileSystemType;
  readonly disk: RecordingDisk;
  mounted: LoopMount;
  readonly thread: TestDataThread;
  epoch: number;
  port: number;
  root: Uint8Array;
  /** Prepares calls, while the disk is fast. */
  client: RpcClient;
}

let stage: Stage | null = null;

async function set(type: FileSystemType): Promise<Stage> {
  const disk = await RecordingDisk.make(type, { record: true });
  const mounted = disk.mount();
  mkdirSync(join(mounted.path, 'volume'));
  stage = {
    type,
    disk,
    mounted,
    thread: new TestDataThread(),
    epoch: 0,
    port: 0,
    root: new Uint8Array(),
    client: null as unknown as RpcClient,
  };
  await open();
  return stage;
}

async function open(): Promise<void> {
  const one = stage!;
  one.epoch += 1;
  one.port = (await one.thread.open(openMessage(volume(), { epoch: one.epoch }))).port;
  one.client = await RpcClient.connect(one.port);
  one.root = await mount(one.client, '/data');
}

const volume = (): string => join(stage!.mounted.path, 'volume');
const logSize = (): number => statSync(join(stage!.disk.directory, 'log')).size;

afterEach(async () => {
  if (stage === null) return;
  const { disk, mounted, thread, client } = stage;
  stage = null;
  client.close();
  await disk.behave({});
  await thread.close('local', 'fence');
  await mounted.unmount();
  await thread.stop();
  await disk.discard();
}, TIMEOUT_MS);

type Prepared = {
  /** NFS3_OK, or what it is instead. */
  readonly call: (client: RpcClient) => Promise<{ status: number }>;
  /** It is being executed; without: the disk has been asked for something. */
  readonly begun?: () => boolean;
};

/** By its kind: prepares a call about objects of its own. */
const KINDS: Readonly<Record<string, (name: string) => Promise<Prepared>>> = {
  'WRITE UNSTABLE': async (name) => ({
    call: writing(await make(name), nfs.UNSTABLE),
    begun: () => statSync(join(volume(), name)).size > 0,
  }),
  'WRITE DATA_SYNC': async (name) => ({ call: writing(await make(name), nfs.DATA_SYNC) }),
  'WRITE FILE_SYNC': async (name) => ({ call: writing(await make(name), nfs.FILE_SYNC) }),
  COMMIT: async (name) => {
    const file = await make(name);
    await writing(file, nfs.UNSTABLE)(stage!.client);
    return { call: (client) => client.call('COMMIT', { file, offset: 0, count: 0 }) };
  },
  CREATE: async (name) => ({ call: (client) => client.call('CREATE', { where: at(name), how }) }),
  REMOVE: async (name) => {
    await make(name);
    return { call: (client) => client.call('REMOVE', { object: at(name) }) };
  },
  SETATTR: async (name) => {
    const object = await make(name);
    const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o600, size: 10_000 };
    return { call: (client) => client.call('SETATTR', { object, new_attributes, guard: null }) };
  },
  RENAME: async (name) => {
    await make(name);
    return { call: (client) => client.call('RENAME', { from: at(name), to: at(`${name}-renamed`) }) };
  },
  MKDIR: async (name) => ({
    call: (client) => client.call('MKDIR', { where: at(name), attributes: nfs.SATTR3_NOTHING }),
  }),
  SYMLINK: async (name) => {
    const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('some/where') };
    return { call: (client) => client.call('SYMLINK', { where: at(name), symlink }) };
  },
  LINK: async (name) => {
    const file = await make(name);
    return { call: (client) => client.call('LINK', { file, link: at(`${name}-too`) }) };
  },
  MOUNT: async () => {
    let answered = false;
    const call = async (client: RpcClient): Promise<{ status: number }> => {
      await mount(client, '/data');
      answered = true;
      return { status: nfs.NFS3_OK };
    };
    return { call, begun: () => answered };
  },
};

const at = (name: string) => ({ dir: stage!.root, name: bytes(name) });

async function make(name: string): Promise<Uint8Array> {
  const made = await stage!.client.call('CREATE', { where: at(name), how });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  return made.obj!;
}

const writing = (file: Uint8Array, stable: nfs.stable_how) => (client: RpcClient) =>
  client.call('WRITE', { file, offset: 0, count: data.length, stable, data });

/** A call that is being executed; `ends`: its connection ends meanwhile. Resolves with what becomes of it. */
async function begin(kind: string, ends: boolean): Promise<{ outcome: Promise<string> }> {
  const one = stage!;
  const { call, begun } = await KINDS[kind]!(`${kind} ${one.epoch} ${ends}`.replaceAll(' ', '-'));
  const client = await RpcClient.connect(one.port);
  await one.disk.behave({ flushMs: SLOW_MS });
  const before = logSize();
  const outcome = call(client).then(
    ({ status }) => nfs.nfsstat3Name(status),
    () => 'not answered',
  );
  await eventually('the call has begun', 20_000, begun ?? (() => logSize() > before));
  if (ends) client.close();
  void outcome.then(() => client.close());
  return { outcome };
}

async function hold(): Promise<void> {
  const held = stage!.thread.of('held');
  stage!.thread.post({ kind: 'hold', diskSet: 'local', id: 'one', msMax: TIMEOUT_MS });
  await held;
}

async function resume(): Promise<unknown> {
  const resumed = stage!.thread.of('resumed');
  stage!.thread.post({ kind: 'resume', diskSet: 'local', id: 'one' });
  return resumed;
}

async function isQuietWhileHeld(kind: string, ends: boolean): Promise<void> {
  const { type, disk } = stage!;
  const { outcome } = await begin(kind, ends);
  await hold();
  const events = disk.events();
  const title = `${kind}, ${ends ? 'gone' : 'waiting'}`;
  const shown = treeOf(volume());
  const times = changeTimesOf(volume());
  expect(await treeAfterCrash(disk, type, events, events.length, 'volume'), title).toEqual(shown);
  if (kind === 'MOUNT') await pause(LONGER_THAN_A_MOUNT_LIST_WAITS_MS, 'the list is written in that time');
  await disk.behave({});
  expect(filesWrittenSince(disk, events.length, volume()), title).toEqual([]);
  expect(changeTimesOf(volume()), title).toEqual(times);
  expect(await resume(), title).toMatchObject({ whole: true });
  if (!ends) expect(await outcome, title).toBe('NFS3_OK');
}

const OWNERSHIP = '.filerpair/ownership';
const isClean = (event: DiskEvent): boolean => event.kind === 'write' && event.data.includes('"clean":true');

function without(tree: ReadonlyMap<string, string>, path: string): ReadonlyMap<string, string> {
  return new Map([...tree].filter(([name]) => name !== path));
}

async function isQuietAfterClean(kind: string, ends: boolean): Promise<void> {
  const { type, disk, thread, client } = stage!;
  const { outcome } = await begin(kind, ends);
  const title = `${kind}, ${ends ? 'gone' : 'waiting'}`;
  await thread.close('local', 'quiesce');
  client.close();
  if (!ends) expect(await outcome, title).toBe('NFS3_OK');
  const events = disk.events();
  const clean = events.findLastIndex(isClean);
  expect(clean, title).toBeGreaterThan(0);
  const shown = treeOf(volume());
  const before = await treeAfterCrash(disk, type, events, clean, 'volume');
  expect(without(before, OWNERSHIP), title).toEqual(without(shown, OWNERSHIP));
  expect(await treeAfterCrash(disk, type, events, events.length, 'volume'), title).toEqual(shown);
  await disk.behave({});
  // A block of the file system may be smaller than the record, which then comes in several writes.
  expect(
    filesWrittenSince(disk, clean + 1, volume()).filter((path) => path !== OWNERSHIP),
    title,
  ).toEqual([]);
  const durable = events.findIndex((event) => event.kind === 'flushed' && event.covers > clean);
  expect(filesWrittenSince(disk, durable, volume()), title).toEqual([]);
  expect(readFileSync(join(volume(), OWNERSHIP), 'utf8')).toContain('"clean":true');
  await open();
}

for (const [type, clients] of [
  ['ext4', ['waiting', 'gone']],
  // As with those that wait, and harder.
  ['xfs', ['gone']],
] as const) {
  const possible = missingForDisks(type) === null && existsSync('/usr/sbin/filefrag');

  test.skipIf(!possible)(
    `${type}: with "held" everything is on the disk, and nothing is written until it ends`,
    async () => {
      await set(type);
      for (const kind of Object.keys(KINDS))
        for (const client of clients) await isQuietWhileHeld(kind, client === 'gone');
    },
    TIMEOUT_MS,
  );

  test.skipIf(!possible)(
    `${type}: before "clean" everything is on the disk, and afterwards nothing is written`,
    async () => {
      await set(type);
      for (const kind of Object.keys(KINDS))
        for (const client of clients) await isQuietAfterClean(kind, client === 'gone');
    },
    TIMEOUT_MS,
  );
}

test.skipIf(missingForDisks('ext4') !== null)(
  'a flush under way that fails in an orderly stop, of a client that has gone: not clean, and another verifier',
  async () => {
    const one = await set('ext4');
    const file = await make('file');
    const written = await one.client.call('WRITE', {
      file,
      offset: 0,
      count: 4,
      stable: nfs.UNSTABLE,
      data: bytes('data'),
    });
    if (written.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(written.status));
    // What the CREATE has left to be recorded is on the disk: only the COMMIT's flush is held.
    await pause(500, 'what the CREATE left to be recorded goes to the disk');
    await one.disk.behave({ stalled: true });
    const gone = await RpcClient.connect(one.port);
    const before = logSize();
    void gone.call('COMMIT', { file, offset: 0, count: 0 }).catch(() => {});
    await eventually('the call has begun', 20_000, () => logSize() > before);
    gone.close();
    const fault = one.thread.of('fault');
    const closed = one.thread.of('closed');
    one.thread.post({ kind: 'close', diskSet: 'local', mode: 'quiesce' });
    // A server that did not wait for that flush would write "clean" now.
    await pause(500, 'a server that does not wait would write "clean"');
    await one.disk.behave({ failFlushes: true });
    expect(await fault).toMatchObject({ reason: expect.stringMatching(/IoError|ReadOnly/) });
    one.thread.post({ kind: 'close', diskSet: 'local', mode: 'fence' });
    await closed;
    one.client.close();
    await one.mounted.unmount();
    await one.disk.behave({});
    one.mounted = one.disk.mount();
    expect(one.disk.events().filter(isClean)).toEqual([]);
    await open();
    const again = await one.client.call('COMMIT', { file, offset: 0, count: 0 });
    if (again.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(again.status));
    expect(Buffer.from(again.verf)).not.toEqual(Buffer.from(written.verf));
  },
  TIMEOUT_MS,
);
