/**
 * Without root the kernel refuses to open file handles (EPERM): files are then found through an index of names. The handles are
 * the same, so they outlive restarts, renames and a change from one mode to the other.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { type ReadableCheckout, readableCheckout } from './readable-checkout.fixture.ts';
import { ROOT, RpcClient, userCredential } from './rpc-client.fixture.ts';

const NOBODY = 65534;
const isRoot = process.geteuid!() === 0;
const uid = isRoot ? NOBODY : process.geteuid!();
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let checkout: ReadableCheckout;
beforeAll(() => {
  checkout = readableCheckout();
});
afterAll(() => checkout.remove());

let directory: { path: string; remove: () => void };
let server: ChildProcess | null;
let warnings: string[];
beforeEach(() => {
  directory = temporaryDirectory();
  server = null;
  warnings = [];
  if (isRoot) chownSync(directory.path, NOBODY, NOBODY);
});
afterEach(async () => {
  await stop();
  directory.remove();
});

async function stop(): Promise<void> {
  if (server === null || server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server!.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
}

/** As an ordinary user. Resolves with the port. */
function start(epoch: number): Promise<number> {
  const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const program = join(checkout.root, 'fileserver/data-path/data-thread-process.fixture.ts');
  // execArgv: the test runner's own names files of the checkout.
  const child = fork(program, { ...identity, execPath: checkout.node, execArgv: [], cwd: checkout.root });
  server = child;
  return new Promise((resolve, reject) => {
    child.on('message', (message: FromDataThread) => {
      if (message.kind === 'log') warnings.push(message.message);
      if (message.kind === 'opened') resolve(message.port);
      if (message.kind === 'openFailed') reject(new Error(message.message));
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`ended: ${code ?? signal}`)));
    child.send({ message: openMessage(directory.path, { epoch }), testing: {} });
  });
}

test('an ordinary user serves, and handles stay valid across restarts and renames', async () => {
  const client = await RpcClient.connect(await start(1));
  expect(warnings.join('\n')).toContain('the kernel does not open file handles here');
  const root = await mount(client, '/data');
  const where = { dir: root, name: bytes('file') };
  const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
  const made = await client.call('CREATE', { where, how }, { credential: userCredential(4711, 4711) });
  if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
  // For every client: it all belongs to the user that the server runs as.
  expect(made.obj_attributes?.uid).toBe(uid);
  const file = made.obj!;
  const data = bytes('content');
  await client.call('WRITE', { file, offset: 0, count: 7, stable: nfs.FILE_SYNC, data });
  client.close();
  await stop();

  mkdirSync(join(directory.path, 'a', 'b'), { recursive: true });
  renameSync(join(directory.path, 'file'), join(directory.path, 'a', 'b', 'moved'));
  writeFileSync(join(directory.path, 'file'), 'another');

  const again = await RpcClient.connect(await start(2));
  const read = await again.call('READ', { file, offset: 0, count: 100 });
  if (read.status !== nfs.NFS3_OK) throw new Error(`READ: ${read.status}`);
  expect(Buffer.from(read.data).toString()).toBe('content');
  // And moved once more while the server runs.
  renameSync(join(directory.path, 'a', 'b', 'moved'), join(directory.path, 'back'));
  const attributes = await again.call('GETATTR', { object: file });
  expect(attributes).toMatchObject({ status: nfs.NFS3_OK, obj_attributes: { size: 7 } });
  const removed = await again.call('REMOVE', { object: { dir: root, name: bytes('back') } });
  expect(removed.status).toBe(nfs.NFS3_OK);
  expect((await again.call('GETATTR', { object: file })).status).toBe(nfs.NFS3ERR_STALE);
  again.close();
});

test('what an ordinary user may not change, nobody may', async () => {
  writeFileSync(join(directory.path, 'theirs'), 'x');
  const owner = statSync(join(directory.path, 'theirs')).uid;
  const client = await RpcClient.connect(await start(1));
  const root = await mount(client, '/data');
  const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('theirs') } });
  if (found.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
  const chown = { ...nfs.SATTR3_NOTHING, uid: owner + 1 };
  const refused = await client.call(
    'SETATTR',
    { object: found.object, new_attributes: chown, guard: null },
    { credential: ROOT },
  );
  expect(refused.status).toBe(nfs.NFS3ERR_PERM);
  client.close();
});

test('a file that may be written and not read is committed: its whole file system is flushed', async () => {
  const client = await RpcClient.connect(await start(1));
  const root = await mount(client, '/data');
  const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o200 } };
  const made = await client.call('CREATE', { where: { dir: root, name: bytes('drop-box') }, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
  client.close();
  await stop();
  // A server that has not got the file open from its making.
  const again = await RpcClient.connect(await start(2));
  const committed = await again.call('COMMIT', { file: made.obj!, offset: 0, count: 0 });
  expect(nfs.nfsstat3Name(committed.status)).toBe('NFS3_OK');
  again.close();
});

test.runIf(isRoot)('the same handle serves with and without root', async () => {
  const thread = new TestDataThread();
  try {
    writeFileSync(join(directory.path, 'file'), 'content');
    const { port } = await thread.open(openMessage(directory.path, { epoch: 1 }));
    const client = await RpcClient.connect(port);
    const root = await mount(client, '/data');
    const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('file') } });
    if (found.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
    client.close();
    await thread.close('local', 'quiesce');
    const own = join(directory.path, '.filerpair');
    chownSync(own, NOBODY, NOBODY);
    for (const name of readdirSync(own)) chownSync(join(own, name), NOBODY, NOBODY);
    chownSync(join(directory.path, 'file'), NOBODY, NOBODY);
    const other = await RpcClient.connect(await start(2));
    const read = await other.call('READ', { file: found.object, offset: 0, count: 10 });
    expect(read.status).toBe(nfs.NFS3_OK);
    other.close();
  } finally {
    await thread.stop();
  }
});
