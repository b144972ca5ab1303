/**
 * One client asks for much at once. Another one's call is executed in between, and what a client has left behind is not executed.
 * Counted by the server, not by the clock: calls are held until all of them are there.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { slotNumber } from '../metrics/data-metrics.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const ENTRIES = 2000;
/** Of one connection: beyond some more the server reads no calls until replies are sent. */
const LISTINGS = 240;
const SLOT = slotNumber('local');
const PLACE = { cookie: 0n, cookieverf: new Uint8Array(8), dircount: 0, maxcount: 8192 };
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
let greedy: RpcClient;
let modest: RpcClient;
let root: Uint8Array;
let dir: Uint8Array;
let file: Uint8Array;

async function lookup(name: string): Promise<Uint8Array> {
  const found = await greedy.call('LOOKUP', { what: { dir: root, name: bytes(name) } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${found.status}`);
  return found.object.slice();
}

let epoch = 0;

beforeAll(() => {
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  mkdirSync(join(directory.path, 'd'));
  for (let i = 0; i < ENTRIES; i++) writeFileSync(join(directory.path, 'd', `entry-${i}`), '');
  writeFileSync(join(directory.path, 'file'), '');
  thread = new TestDataThread(undefined, { connections: 1, own: 1, partner: 1 });
});
afterAll(async () => {
  await thread.stop();
  directory.remove();
});
beforeEach(async () => {
  epoch += 1;
  thread.messages.length = 0;
  port = (await thread.open(openMessage(directory.path, { epoch }))).port;
  greedy = await RpcClient.connect(port);
  modest = await RpcClient.connect(port);
  root = await mount(greedy, '/data');
  dir = await lookup('d');
  file = await lookup('file');
  return async () => {
    for (const client of [greedy, modest]) client.close();
    await thread.close('local', 'fence');
  };
});

const hold = async (): Promise<void> => {
  const held = thread.of('held');
  thread.post({ kind: 'hold', diskSet: 'local', id: 'one', msMax: 600_000 });
  await held;
};
const resume = (): void => thread.post({ kind: 'resume', diskSet: 'local', id: 'one' });
/** Everything that it sent before is with the volume's thread, or on its way there. */
const sent = (client: RpcClient): Promise<unknown> =>
  client.raw(nfs.NFS_PROGRAM, nfs.NFS_V3, nfs.nfsproc3.NULL, () => {});
const listings = (client: RpcClient, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, () => client.call('READDIRPLUS', { dir, ...PLACE }));
const listed = (): number =>
  thread.figures.calls(SLOT, thread.figures.procedures.indexOf('READDIRPLUS'), nfs.NFS3_OK);

test('of 720 listings few are executed before the call of another client that came last', async () => {
  const greedyOnes = [greedy, await RpcClient.connect(port), await RpcClient.connect(port)];
  await hold();
  const all = greedyOnes.flatMap((client) => listings(client, LISTINGS));
  await Promise.all(greedyOnes.map(sent));
  const data = bytes('x');
  const write = modest.call('WRITE', { file, offset: 0, count: 1, stable: nfs.UNSTABLE, data });
  await sent(modest);
  const before = listed();
  resume();
  expect((await write).status).toBe(nfs.NFS3_OK);
  expect(listed() - before).toBeLessThan(all.length / 2);
  await Promise.all(all);
  expect(listed() - before).toBe(all.length);
  for (const client of greedyOnes) client.close();
});

test('calls of a connection that has ended are not executed when their turn comes', async () => {
  await hold();
  const left = [
    ...listings(greedy, LISTINGS),
    greedy.call('CREATE', { where: { dir: root, name: bytes('late') }, how }),
  ];
  await sent(greedy);
  const settled = Promise.allSettled(left);
  greedy.close();
  await settled;
  await expect.poll(() => thread.figures.connections(SLOT)).toBe(1);
  resume();
  // They are all answered, to nobody: only then is the disk set closed gracefully.
  await thread.close('local', 'quiesce');
  expect(existsSync(join(directory.path, 'late'))).toBe(false);
});
