/**
 * A call of which a client sends no more than a part ends its connection, in a server whose seconds are short (half-record.ts has
 * the times in ticks). Who sends nothing, or goes on, stays.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const TICK_MS = 10;
/** Thirty ticks are over by then, three hundred are not. */
const WATCHED_MS = 100 * TICK_MS;

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
let sockets: Socket[];
beforeEach(async () => {
  sockets = [];
  directory = temporaryDirectory();
  thread = new TestDataThread({ tickMs: TICK_MS }, { connections: 1, own: 1, partner: 1 });
  port = (await thread.open(openMessage(directory.path))).port;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

async function sending(bytes: readonly number[]): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  sockets.push(socket);
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  socket.write(Uint8Array.from(bytes));
  return socket;
}

/** The mark of a record of 64 KiB, and its first bytes. */
const HALF = [0x80, 0x01, 0x00, 0x00, 1, 2, 3, 4];

test.each([
  ['within its mark', HALF.slice(0, 3)],
  ['behind its mark', HALF.slice(0, 4)],
  ['within a call', HALF],
])('a client that stops %s is ended', async (_where, bytes) => {
  const [silent, slow] = [await sending([]), await sending(HALF)];
  const byte = setInterval(() => slow.write(Uint8Array.of(0)), 5 * TICK_MS);
  const client = await RpcClient.connect(port);
  try {
    const half = await sending(bytes);
    const begun = performance.now();
    // With a reset: once() of node:events would reject.
    await new Promise<void>((resolve) => half.once('close', () => resolve()));
    // It had its time: a timer of the server is never early.
    expect(performance.now() - begun).toBeGreaterThan(20 * TICK_MS);
    await pause(WATCHED_MS, 'what stays open by mistake is not seen earlier');
    expect([silent.closed, slow.closed]).toEqual([false, false]);
    const root = await mount(client, '/data');
    expect((await client.call('GETATTR', { object: root })).status).toBe(nfs.NFS3_OK);
  } finally {
    clearInterval(byte);
    client.close();
  }
});
