/** A freeze: for a moment nothing changes on the volumes, everything that was answered is on them, and no call is lost by it. */
import { cpSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const LONG_MS = 60_000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let client: RpcClient;
let root: Uint8Array;

beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(async () => {
  thread.messages.length = 0;
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  const { port } = await thread.open(openMessage(directory.path));
  client = await RpcClient.connect(port);
  root = await mount(client, '/data');
});
afterEach(async () => {
  client.close();
  await thread.close('local', 'fence');
  directory.remove();
});

const create = (name: string) => client.call('CREATE', { where: { dir: root, name: bytes(name) }, how });
const isThere = (name: string) => existsSync(join(directory.path, name));

async function freeze(id = 'one', msMax = LONG_MS): Promise<void> {
  const frozen = thread.of('held');
  thread.post({ kind: 'hold', diskSet: 'local', id, msMax });
  expect((await frozen).id).toBe(id);
}

async function thaw(id = 'one') {
  const thawed = thread.of('resumed');
  thread.post({ kind: 'resume', diskSet: 'local', id });
  return thawed;
}

test('while it lasts nothing changes, reads are answered, and afterwards every call is', async () => {
  await create('before');
  await freeze();
  const [created, removed] = [
    create('during'),
    client.call('REMOVE', { object: { dir: root, name: bytes('before') } }),
  ];
  // Without root the volume's thread finds files for reads too, and they wait with the rest.
  if (process.geteuid!() === 0) {
    const { port } = thread.messages.find((message) => message.kind === 'opened')!;
    const reader = await RpcClient.connect(port);
    expect((await reader.call('GETATTR', { object: await mount(reader, '/data') })).status).toBe(nfs.NFS3_OK);
    reader.close();
  }
  expect([isThere('before'), isThere('during')]).toEqual([true, false]);
  expect(await thaw()).toMatchObject({ whole: true, message: '' });
  expect([(await created).status, (await removed).status]).toEqual([nfs.NFS3_OK, nfs.NFS3_OK]);
  expect([isThere('before'), isThere('during')]).toEqual([false, true]);
});

test('a copy made meanwhile is a volume with all that was answered and nothing else', async () => {
  const answered: string[] = [];
  let going = true;
  const writing = (async () => {
    for (let i = 0; going; i++) {
      await create(`file-${i}`);
      answered.push(`file-${i}`);
    }
  })();
  await expect.poll(() => answered.length).toBeGreaterThan(20);
  await freeze();
  const before = [...answered];
  const copy = temporaryDirectory();
  cpSync(directory.path, copy.path, { recursive: true });
  expect(await thaw()).toMatchObject({ whole: true });
  going = false;
  await writing;
  expect(answered.length).toBeGreaterThan(before.length);
  const found = readdirSync(copy.path).filter((name) => name.startsWith('file-'));
  // One more may have been executed whose answer was on its way.
  expect(found.length - before.length).toBeLessThanOrEqual(1);
  expect(found).toEqual(expect.arrayContaining(before));
  const other = new TestDataThread();
  await other.open(openMessage(copy.path, { epoch: 2 }));
  await other.stop();
  copy.remove();
});

test('it ends by itself, and says that it was not whole', async () => {
  const thawed = thread.of('resumed');
  await freeze('short', 50);
  const created = create('during');
  expect(await thawed).toMatchObject({
    id: 'short',
    whole: false,
    message: expect.stringContaining('50 ms'),
  });
  expect((await created).status).toBe(nfs.NFS3_OK);
  // The word of somebody late is about nothing.
  thread.post({ kind: 'resume', diskSet: 'local', id: 'short' });
  await freeze('next');
  expect(await thaw('next')).toMatchObject({ whole: true });
  expect(thread.messages.filter(({ kind }) => kind === 'resumed')).toHaveLength(2);
});

test.each(['fence', 'quiesce'] as const)('a disk set that is closed (%s) meanwhile ends it', async (mode) => {
  await freeze();
  const created = create('during').catch(() => null);
  const thawed = thread.of('resumed');
  await thread.close('local', mode);
  expect(await thawed).toMatchObject({ whole: false });
  // Gracefully the call is finished; fenced, it never was.
  expect((await created)?.status === nfs.NFS3_OK).toBe(isThere('during'));
  if (mode === 'fence') expect(isThere('during')).toBe(false);
});

test('it is no disk that does not answer, also not in the moment in which it ends', async () => {
  const stalled = openMessage(directory.path, { volumeStalledMs: 1100, epoch: 2 });
  await thread.close('local', 'quiesce');
  const { port } = await thread.open(stalled);
  client = await RpcClient.connect(port);
  root = await mount(client, '/data');
  const thawed = thread.of('resumed');
  await freeze('long', 1500);
  const created = create('during');
  await thawed;
  expect((await created).status).toBe(nfs.NFS3_OK);
  const words = thread.messages.map((message) => (message.kind === 'log' ? message.message : message.kind));
  expect(words.filter((word) => word === 'stalled' || /has not answered/.test(word))).toEqual([]);
});

test('what is not served cannot be frozen', async () => {
  await thread.close('local', 'fence');
  const thawed = thread.of('resumed');
  thread.post({ kind: 'hold', diskSet: 'local', id: 'one', msMax: LONG_MS });
  expect(await thawed).toMatchObject({ whole: false, message: expect.stringContaining('closed') });
});

test('one freeze at a time', async () => {
  await freeze('one');
  const refused = thread.of('resumed');
  thread.post({ kind: 'hold', diskSet: 'local', id: 'two', msMax: LONG_MS });
  expect(await refused).toMatchObject({ id: 'two', whole: false });
  expect(await thaw('one')).toMatchObject({ id: 'one', whole: true });
});

/** Begins to truncate a file of this size, which is done in parts; its status. */
const LARGE_SIZE = 64 * 1024 * 1024;
async function beginTruncation(): Promise<{ path: string; status: Promise<number | null> }> {
  const path = join(directory.path, 'large');
  writeFileSync(path, Buffer.alloc(LARGE_SIZE, 'x'));
  const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('large') } });
  if (found.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(found.status));
  const new_attributes = { ...nfs.SATTR3_NOTHING, size: 0 };
  const answer = client.call('SETATTR', { object: found.object, new_attributes, guard: null });
  const status = answer.then(
    (results) => results.status,
    () => null,
  );
  while (statSync(path).size === LARGE_SIZE) await turn();
  return { path, status };
}

test('it waits for a truncation that has begun', async () => {
  const { path, status } = await beginTruncation();
  await freeze();
  expect(statSync(path).size).toBe(0);
  expect(await thaw()).toMatchObject({ whole: true });
  expect(await status).toBe(nfs.NFS3_OK);
});

test.each([
  ['quiesce', nfs.NFS3_OK],
  ['fence', null],
] as const)(
  'a truncation that has begun when the disk set is closed (%s) is completed, here or by the next owner',
  async (mode, answer) => {
    const { path, status } = await beginTruncation();
    await thread.close('local', mode);
    if (mode === 'quiesce') expect(statSync(path).size).toBe(0);
    await thread.open(openMessage(directory.path, { epoch: 2 }));
    expect(statSync(path).size).toBe(0);
    // Fenced, it may have been answered just before.
    expect([answer, nfs.NFS3_OK]).toContain(await status);
  },
);
