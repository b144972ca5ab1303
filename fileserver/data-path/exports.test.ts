/**
 * Exports that change while clients are served: who loses a right has lost it with `exportsReplaced`, whatever was in progress.
 */
import { existsSync, mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const TEAM: ExportSpec = { path: '/team', volume: 'data', directory: 'dept/team', ...EVERYBODY };
const DATA: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(() => {
  thread.messages.length = 0;
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterEach(async () => {
  await thread.close('local', 'fence');
  directory.remove();
});

function post(exports: readonly ExportSpec[]): void {
  thread.post({ kind: 'exports', diskSet: 'local', exports });
}

async function replace(exports: readonly ExportSpec[]): Promise<void> {
  const replaced = thread.of('exportsReplaced');
  post(exports);
  await replaced;
}

async function make(client: RpcClient, dir: Uint8Array, name: string): Promise<Uint8Array> {
  const how = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
  const made = await client.call('CREATE', { where: { dir, name: bytes(name) }, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  return made.obj!;
}

async function write(client: RpcClient, file: Uint8Array, size: number, stable: nfs.stable_how) {
  const data = new Uint8Array(size);
  return (await client.call('WRITE', { file, offset: 0, count: size, stable, data })).status;
}

test.each([
  ['becomes ReadOnly', [{ ...DATA, access: 'ReadOnly' as const }], nfs.NFS3ERR_ROFS],
  ['is for other clients', [{ ...DATA, clients: ['10.9.9.9'] }], nfs.NFS3ERR_ACCES],
  ['is gone', [], nfs.NFS3ERR_STALE],
])('an export that %s while COMMITs are in progress stays so', async (_title, changed, refusal) => {
  const { port } = await thread.open(openMessage(directory.path));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const files = await Promise.all(['a', 'b', 'c', 'd'].map((name) => make(client, root, name)));
  for (let round = 0; round < 12; round++) {
    await replace([DATA]);
    let going = true;
    let written = 0;
    const load = files.map(async (file) => {
      while (going) {
        await write(client, file, 65_536, nfs.UNSTABLE);
        await client.call('COMMIT', { file, offset: 0, count: 0 });
        written += 1;
      }
    });
    await expect.poll(() => written).toBeGreaterThan(20 + round);
    await replace(changed);
    const writes = await Promise.all(files.map((file) => write(client, file, 1, nfs.FILE_SYNC)));
    going = false;
    await Promise.all(load);
    const fresh = await RpcClient.connect(port);
    const later = await Promise.all(files.map((file) => write(fresh, file, 1, nfs.FILE_SYNC)));
    fresh.close();
    expect([...writes, ...later]).toEqual(Array.from({ length: 8 }, () => refusal));
  }
  client.close();
});

const answers = () =>
  thread.messages.flatMap((message) =>
    message.kind === 'exportsReplaced' || message.kind === 'exportsRefused' ? [message] : [],
  );

test('a change while the disk set is being opened counts from the first call on, and is answered', async () => {
  const opening = thread.open(openMessage(directory.path));
  post([{ ...DATA, path: '/first' }]);
  post([{ ...DATA, access: 'ReadOnly' }]);
  const { port } = await opening;
  const client = await RpcClient.connect(port);
  await expect(make(client, await mount(client, '/data'), 'file')).rejects.toThrow('ROFS');
  expect(answers()).toMatchObject([{ kind: 'exportsReplaced', exports: [{ access: 'ReadOnly' }] }]);
  client.close();
});

test('a change is answered while nothing is served, at the end of an opening that fails, and while it is closed', async () => {
  const other = { diskSet: 'partner', exports: [DATA] } as const;
  const untold = thread.of('exportsReplaced');
  thread.post({ kind: 'exports', ...other });
  expect(await untold).toMatchObject(other);
  const noVolume = openMessage(join(directory.path, 'missing'));
  const failing = thread.open(noVolume);
  post([DATA]);
  await expect(failing).rejects.toThrow('NotAVolume');
  await expect.poll(() => answers().length).toBe(2);
  await thread.open(openMessage(directory.path));
  const closed = thread.close('local', 'quiesce');
  post([{ ...DATA, access: 'ReadOnly' }]);
  await closed;
  await expect.poll(() => answers().length).toBe(3);
  expect(answers().map(({ kind }) => kind)).toEqual(Array.from({ length: 3 }, () => 'exportsReplaced'));
});

test('what is malformed is refused before any thread has it', async () => {
  const { port } = await thread.open(openMessage(directory.path));
  const client = await RpcClient.connect(port);
  const wrong: readonly (readonly [ExportSpec[], string])[] = [
    [[{ ...DATA, volume: 'none' }], 'there is no volume "none"'],
    [[DATA, { ...DATA, access: 'ReadOnly' }], 'the same path twice'],
    [[{ ...DATA, directory: '../up' }], 'is no directory inside a volume'],
    [[{ ...DATA, clients: ['10.0.0.0/33'] }], 'is no network'],
  ];
  for (const [exports, sentence] of wrong) {
    const refused = thread.of('exportsRefused');
    post(exports);
    expect((await refused).message).toContain(sentence);
    await make(client, await mount(client, '/data'), 'file');
  }
  client.close();
});

test('exports of a directory that comes and goes while they change: every change is answered, all else is served', async () => {
  const team = join(directory.path, 'dept', 'team');
  mkdirSync(team, { recursive: true });
  const { port } = await thread.open(openMessage(directory.path));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  for (let round = 0; round < 200; round++) {
    post([DATA, round % 3 === 0 ? { ...TEAM, access: 'ReadOnly' } : TEAM]);
    renameSync(team, `${team}-old`);
    if (round % 8 === 0) await make(client, root, 'file');
    renameSync(`${team}-old`, team);
  }
  await expect.poll(() => answers().length).toBe(200);
  expect(answers().every(({ kind }) => kind === 'exportsReplaced')).toBe(true);
  await expect.poll(() => mount(client, '/team').catch(() => null)).not.toBe(null);
  client.close();
});

test('an export whose directory is not there stops alone, is told, and is served when it is back', async () => {
  const exports = [DATA, TEAM, { ...TEAM, path: '/again', directory: 'none' }];
  const { port } = await thread.open(openMessage(directory.path, { exports }));
  const absent = () => thread.messages.findLast((message) => message.kind === 'absentExports')?.exports;
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  await make(client, root, 'file');
  await expect(mount(client, '/team')).rejects.toThrow('MNT /team: 2');
  await expect.poll(() => absent()?.map(({ path }) => path)).toEqual(['/team', '/again']);
  expect(absent()![0]!.reason).toBe(
    'export "/team" is not served: volume "data" has no directory "dept/team" (ENOENT)',
  );
  const team = join(directory.path, 'dept', 'team');
  mkdirSync(team, { recursive: true });
  mkdirSync(join(directory.path, 'none'));
  await expect.poll(absent, { timeout: 20_000 }).toEqual([]);
  const handle = await mount(client, '/team');
  const file = await make(client, handle, 'file');
  const getattr = async (object: Uint8Array) => (await client.call('GETATTR', { object })).status;
  // Moved on the server: what clients have of it is stale, whichever thread they ask.
  renameSync(team, `${team}-old`);
  await expect.poll(() => getattr(handle), { timeout: 20_000 }).toBe(nfs.NFS3ERR_STALE);
  const others = await Promise.all(Array.from({ length: 6 }, () => RpcClient.connect(port)));
  await expect
    .poll(async () =>
      Promise.all(others.map(async (one) => (await one.call('GETATTR', { object: file })).status)),
    )
    .toEqual(others.map(() => nfs.NFS3ERR_STALE));
  for (const one of others) one.close();
  expect(await write(client, file, 1, nfs.FILE_SYNC)).toBe(nfs.NFS3ERR_STALE);
  expect(await getattr(root)).toBe(nfs.NFS3_OK);
  renameSync(`${team}-old`, team);
  await expect.poll(() => getattr(file), { timeout: 20_000 }).toBe(nfs.NFS3_OK);
  const told = thread.messages.flatMap((one) =>
    one.kind === 'log' && one.message.includes('"/team"') ? [one] : [],
  );
  expect(told.map(({ level }) => level)).toEqual(['warn', 'info', 'warn', 'info']);
  client.close();
});

test('clients neither rename nor remove an exported directory, nor one above it', async () => {
  mkdirSync(join(directory.path, 'dept', 'team'), { recursive: true });
  const { port } = await thread.open(openMessage(directory.path, { exports: [DATA, TEAM] }));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const at = (dir: Uint8Array, name: string) => ({ dir, name: bytes(name) });
  const dept = (await client.call('LOOKUP', { what: at(root, 'dept') })) as { object: Uint8Array };
  await client.call('MKDIR', { where: at(root, 'free'), attributes: nfs.SATTR3_NOTHING });
  const refused = [
    await client.call('RENAME', { from: at(root, 'dept'), to: at(root, 'moved') }),
    await client.call('RENAME', { from: at(dept.object, 'team'), to: at(root, 'moved') }),
    await client.call('RENAME', { from: at(root, 'free'), to: at(dept.object, 'team') }),
    await client.call('RMDIR', { object: at(dept.object, 'team') }),
  ];
  expect(refused.map(({ status }) => status)).toEqual(refused.map(() => nfs.NFS3ERR_ACCES));
  await replace([DATA]);
  const moved = await client.call('RENAME', { from: at(dept.object, 'team'), to: at(root, 'moved') });
  expect(moved.status).toBe(nfs.NFS3_OK);
  rmdirSync(join(directory.path, 'moved'));
  client.close();
});
