/**
 * The operator's port is one that every pod in the cluster may reach. A pod that holds connections open there, or asks without
 * end, must not have the kubelet start the operator again.
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startHealth } from './health.ts';

let server: Server;
let worked: number;
let opened: Socket[];
beforeEach(async () => {
  worked = 0;
  opened = [];
  const metrics = async (): Promise<string> => `up ${++worked}\n`;
  server = await startHealth({ port: 0, isReady: () => true, metrics });
});
afterEach(() => {
  for (const socket of opened) socket.destroy();
  server.close();
});

const portOf = (): number => (server.address() as AddressInfo).port;

/** A connection from this address of the machine's own, on which this is sent; `heard` is what comes back. */
async function knock(localAddress: string, sent: string): Promise<Socket & { heard: string }> {
  const socket = Object.assign(connect({ host: '127.0.0.1', port: portOf(), localAddress }), { heard: '' });
  opened.push(socket);
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => {
    socket.heard += bytes.toString();
  });
  await once(socket, 'connect');
  socket.write(sent);
  return socket;
}

/** As the kubelet: by a connection of its own. */
const probe = async (): Promise<number> => {
  const headers = { connection: 'close' };
  const response = await fetch(`http://127.0.0.1:${portOf()}/readyz`, { headers });
  await response.text();
  return response.status;
};

test.each([
  ['silent', '127.0.0.2', ''],
  ['silent, from the kubelet’s address', '127.0.0.1', ''],
  ['with half a question each', '127.0.0.2', 'GET /readyz HTTP/1.1\r\nX: '],
])(
  'every probe is answered while a stranger holds connections open, and no more than 64: %s',
  async (_how, from, sent) => {
    const strangers = await Promise.all(Array.from({ length: 70 }, () => knock(from, sent)));
    for (let i = 0; i < 20; i++) {
      strangers.push(...(await Promise.all(Array.from({ length: 4 }, () => knock(from, sent)))));
      expect(await probe()).toBe(200);
    }
    const count = await new Promise<number>((resolve, reject) =>
      server.getConnections((error, found) => (error === null ? resolve(found) : reject(error))),
    );
    expect(count).toBeLessThanOrEqual(64);
  },
);

test('a connection that asks nothing within seconds ends, and so does one that asks many things at once, or brings a body', async () => {
  const silent = await knock('127.0.0.1', '');
  const half = await knock('127.0.0.1', 'GET /readyz HTTP/1.1\r\n');
  const many = await knock('127.0.0.1', 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
  const body = await knock('127.0.0.1', 'POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n');
  for (const socket of [silent, half, many, body]) if (!socket.closed) await once(socket, 'close');
  for (const { heard } of [silent, half]) expect(heard).toMatch(/^HTTP\/1.1 408 /);
  expect(many.heard.split('up ').length - 1).toBeLessThanOrEqual(1);
}, 20_000);

test('metrics are worked out some times a second, however often they are asked for', async () => {
  const begun = performance.now();
  for (let i = 0; i < 100; i++) {
    const response = await fetch(`http://127.0.0.1:${portOf()}/metrics`);
    expect(await response.text()).toMatch(/^up \d+\n$/);
  }
  const seconds = Math.ceil((performance.now() - begun) / 1000) + 1;
  expect(worked).toBeLessThanOrEqual(20 * seconds);
});
