/**
 * More exports than an opening looks for before it serves: what is not known yet is found out when a call needs it, and nobody gets
 * more than with few exports.
 */
import { chmodSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { packed, unpacked } from '../exports/export-specs.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const COUNT = 1000;
/** See storage/directories/new-directories.ts. */
const UNFINISHED = 0o1000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const WHOLE: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };
const one = (i: number): ExportSpec => ({
  path: `/people/${i}`,
  volume: 'data',
  directory: `dept/people/${i}`,
  ...EVERYBODY,
});
const ALL = [WHOLE, ...Array.from({ length: COUNT }, (_, i) => one(i))];
/** Those that are looked for last: in the order of the numbers of their exports. */
const LAST = Array.from({ length: COUNT }, (_, i) => i)
  .toSorted((a, b) => exportIdOf(one(b).path) - exportIdOf(one(a).path))
  .slice(0, 20);
const unseen = (i: number): number => LAST[i]!;

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let epoch: number;
const clients: RpcClient[] = [];
beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(() => {
  thread.messages.length = 0;
  epoch = 0;
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  for (let i = 0; i < COUNT; i++)
    mkdirSync(join(directory.path, 'dept', 'people', `${i}`), { recursive: true });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await thread.close('local', 'fence');
  directory.remove();
});

/** Opens, and returns as soon as it is served. */
async function opened(exports = packed(ALL)): Promise<RpcClient> {
  epoch += 1;
  const { port } = await thread.open(openMessage(directory.path, { exports, epoch }));
  const client = await RpcClient.connect(port);
  clients.push(client);
  return client;
}

async function reopened(exports = packed(ALL)): Promise<RpcClient> {
  await thread.close('local', 'quiesce');
  thread.messages.length = 0;
  return opened(exports);
}

const count = (kind: string): number => thread.messages.filter((message) => message.kind === kind).length;
const at = (dir: Uint8Array, name: string) => ({ dir, name: bytes(name) });

test('every export is served from the first call on, whichever thread it comes to, and directories are known later', async () => {
  const first = await opened();
  const handles = new Map<number, Uint8Array>();
  for (let i = 0; i < COUNT; i += 50) handles.set(i, await mount(first, `/people/${i}`));
  const client = await reopened();
  const others = await Promise.all([opening(), opening(), opening()]);
  for (const [i, object] of handles) {
    for (const each of [client, ...others]) {
      expect((await each.call('GETATTR', { object })).status).toBe(nfs.NFS3_OK);
      // Its own root has nothing above it, also before the server has looked where that is.
      const above = await each.call('LOOKUP', { what: at(object, '..') });
      expect(above).toMatchObject({ status: nfs.NFS3_OK, object });
    }
    expect(Buffer.compare(await mount(client, `/people/${i}`), object)).toBe(0);
  }
  await expect.poll(() => count('directoriesKnown')).toBe(1);
  expect(count('absentExports')).toBe(0);
});

async function opening(): Promise<RpcClient> {
  const { port } = thread.messages.findLast((message) => message.kind === 'opened')!;
  const client = await RpcClient.connect(port);
  clients.push(client);
  return client;
}

test('what is absent is not served, and told together, before it is said that all is known', async () => {
  for (let i = 0; i < COUNT; i += 2)
    renameSync(join(directory.path, 'dept', 'people', `${i}`), join(directory.path, `gone-${i}`));
  const client = await opened();
  for (let i = 0; i < 20; i++) {
    const tried = mount(client, `/people/${unseen(i)}`);
    if (unseen(i) % 2 === 0) await expect(tried).rejects.toThrow(': 2');
    else await tried;
  }
  await expect.poll(() => count('directoriesKnown')).toBe(1);
  const told = thread.messages.filter((message) => message.kind === 'absentExports');
  expect(told.map(({ exports }) => exports.length)).toEqual([COUNT / 2]);
  const kinds = thread.messages.map(({ kind }) => kind);
  expect(kinds.indexOf('absentExports')).toBeLessThan(kinds.indexOf('directoriesKnown'));
});

test('a handle of an export whose directory is gone is stale, and serves again when it is back', async () => {
  const first = await opened();
  const object = await mount(first, '/people/7');
  const path = join(directory.path, 'dept', 'people', '7');
  await thread.close('local', 'quiesce');
  renameSync(path, join(directory.path, 'away'));
  const client = await opened();
  const getattr = async () => (await client.call('GETATTR', { object })).status;
  expect(await getattr()).toBe(nfs.NFS3ERR_STALE);
  renameSync(join(directory.path, 'away'), path);
  await expect.poll(getattr, { timeout: 20_000 }).toBe(nfs.NFS3_OK);
});

test('clients neither rename nor remove a directory above an export that nobody has looked for', async () => {
  const client = await opened();
  const root = await mount(client, '/data');
  const dept = (await client.call('LOOKUP', { what: at(root, 'dept') })) as { object: Uint8Array };
  const moved = await client.call('RENAME', { from: at(root, 'dept'), to: at(root, 'moved') });
  const person = await client.call('RENAME', { from: at(dept.object, 'people'), to: at(root, 'moved') });
  expect([moved.status, person.status]).toEqual([nfs.NFS3ERR_ACCES, nfs.NFS3ERR_ACCES]);
  const reborn = await reopened();
  const people = (await reborn.call('LOOKUP', { what: at(dept.object, 'people') })) as { object: Uint8Array };
  const removed = await reborn.call('RMDIR', { object: at(people.object, `${unseen(11)}`) });
  expect(removed.status).toBe(nfs.NFS3ERR_ACCES);
});

test('a directory whose maker has died in the middle is not mounted, looked for or not', async () => {
  const created = ALL.map((each) =>
    each.directory === undefined ? each : { ...each, create: { mode: 0o755, uid: 0, gid: 0 } },
  );
  for (let i = 0; i < COUNT; i++) chmodSync(join(directory.path, 'dept', 'people', `${i}`), UNFINISHED);
  const client = await opened(packed(created));
  const tries = Array.from({ length: 20 }, (_, i) => mount(client, `/people/${unseen(i)}`).catch(String));
  for (const tried of await Promise.all(tries)) expect(tried).toContain('MNT');
  // So that an ordinary user may remove them.
  await thread.close('local', 'fence');
  for (let i = 0; i < COUNT; i++) chmodSync(join(directory.path, 'dept', 'people', `${i}`), 0o700);
});

test('exports that change while directories are looked for: the last word counts, for each of them', async () => {
  const first = await opened();
  const seven = await mount(first, '/people/7');
  const client = await reopened();
  // Other directories under the same paths, read-only, and gone.
  const changes = {
    set: [
      { ...one(7), directory: 'dept/people/8' },
      { ...one(unseen(3)), access: 'ReadOnly' as const },
      { ...one(0), path: '/new', directory: 'dept/people/9' },
    ],
    removed: [`/people/${unseen(5)}`],
  };
  const changed = thread.of('exportsChanged');
  thread.post({ kind: 'exportChanges', diskSet: 'local', number: 1, changes });
  await changed;
  // A handle of the directory of before leads nowhere, though it has the export's number.
  expect((await client.call('GETATTR', { object: seven })).status).toBe(nfs.NFS3ERR_STALE);
  const eight = await mount(client, '/people/7');
  expect(await client.call('LOOKUP', { what: at(eight, '..') })).toMatchObject({ object: eight });
  await mount(client, '/new');
  await expect(mount(client, `/people/${unseen(5)}`)).rejects.toThrow(': 2');
  const readOnly = await mount(client, `/people/${unseen(3)}`);
  const made = await client.call('MKDIR', { where: at(readOnly, 'x'), attributes: nfs.SATTR3_NOTHING });
  expect(made.status).toBe(nfs.NFS3ERR_ROFS);
  await expect.poll(() => count('directoriesKnown')).toBe(1);
  // The same when all was looked for.
  expect((await client.call('GETATTR', { object: seven })).status).toBe(nfs.NFS3ERR_STALE);
  await expect(mount(client, `/people/${unseen(5)}`)).rejects.toThrow(': 2');
});

test('all exports replaced while directories are looked for: it is said once more when those are known', async () => {
  const client = await opened();
  const replaced = thread.of('exportsReplaced');
  thread.post({ kind: 'exports', diskSet: 'local', exports: ALL.slice(0, 500) });
  await replaced;
  await mount(client, `/people/${498}`);
  await expect(mount(client, `/people/${500}`)).rejects.toThrow(': 2');
  await expect.poll(() => thread.messages.at(-1)?.kind).toBe('directoriesKnown');
});

test('changes that were given with what is packed count', async () => {
  const changes = { set: [{ ...one(1), access: 'ReadOnly' as const }], removed: ['/people/2'] };
  const client = await opened({ ...packed(ALL), changes });
  const root = await mount(client, '/people/1');
  const made = await client.call('MKDIR', { where: at(root, 'x'), attributes: nfs.SATTR3_NOTHING });
  expect(made.status).toBe(nfs.NFS3ERR_ROFS);
  await expect(mount(client, '/people/2')).rejects.toThrow(': 2');
  const other = await reopened(unpacked([WHOLE]));
  await expect(mount(other, '/people/1')).rejects.toThrow(': 2');
});
