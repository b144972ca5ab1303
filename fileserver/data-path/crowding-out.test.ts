/** Those who take room from others: addresses in no export, and halves of calls. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { STRANGER_MAX } from '../connection-limits/connections-by-address.ts';
import { LENT_MAX } from '../rpc/long-records.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const MIB = 1024 * 1024;
const THREADS = { connections: 1, own: 1, partner: 1 };

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
let sockets: Socket[];
beforeEach(async () => {
  sockets = [];
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  writeFileSync(join(directory.path, 'file'), '');
  thread = new TestDataThread(undefined, THREADS);
  const exports = [{ path: '/data', volume: 'data', ...EVERYBODY, clients: ['127.0.0.1'] }];
  port = (await thread.open(openMessage(directory.path, { exports }))).port;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

function open(localAddress: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('connect', () => resolve(socket));
    socket.once('close', () => resolve(socket));
    // What the other end says is read, and so its end is heard.
    socket.resume();
  });
}

const ended = (all: readonly Socket[]): number => all.filter(({ destroyed }) => destroyed).length;

test('of an address in no export a few connections are accepted, and they keep no client out', async () => {
  const strangers = await Promise.all(Array.from({ length: 60 }, () => open('127.0.0.2')));
  await expect.poll(() => ended(strangers)).toBe(60 - STRANGER_MAX);
  const said = (): string[] =>
    thread.messages.flatMap((message) => (message.kind === 'log' ? message.message : []));
  await expect
    .poll(said)
    .toContain(
      'connections from 127.0.0.2 are refused: it is in no export. Add it to the clients of an export, or look who connects there',
    );
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  expect((await client.call('GETATTR', { object: root })).status).toBe(nfs.NFS3_OK);
  client.close();
  // What has ended makes room for others.
  for (const stranger of strangers) stranger.destroy();
  await expect.poll(async () => ended([await open('127.0.0.2')])).toBe(0);
});

test('halves of calls take bounded memory, and clients that send whole ones get it', {
  timeout: 120_000,
}, async () => {
  const count = LENT_MAX * 5;
  const residentMiB = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const found = await client.call('LOOKUP', { what: { dir: root, name: new TextEncoder().encode('file') } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${found.status}`);
  const before = residentMiB();
  // Of a record of 1 MiB all but the last bytes.
  const half = new Uint8Array(MIB - 1024);
  half.set([0x80, 0x10, 0, 0]);
  const greedy = await Promise.all(Array.from({ length: count }, () => open('127.0.0.1')));
  for (const socket of greedy) socket.write(half);
  const data = new Uint8Array(MIB).fill(7);
  const write = { file: found.object, offset: 0, count: MIB, stable: nfs.UNSTABLE, data };
  expect((await client.call('WRITE', write)).status).toBe(nfs.NFS3_OK);
  expect(ended(greedy)).toBeGreaterThan(0);
  expect(residentMiB() - before).toBeLessThan(2 * LENT_MAX);
  expect(readFileSync(join(directory.path, 'file')).equals(data)).toBe(true);
  client.close();
});
