import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { NfsProxy } from './proxy/proxy.ts';
import { ReservedPorts } from './reserved-ports.ts';
import { tcpAddress } from './transport-address.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

test('one port after the other, and any when none of them is to be had', () => {
  const ports = new ReservedPorts(() => {});
  const tried = Array.from({ length: 64 }, (_, tries) => ports.next(tries));
  expect(new Set(tried).size).toBe(64);
  expect(tried.every((port) => port > 512 && port < 1024)).toBe(true);
  expect(ports.failed('EADDRINUSE')).toBe(true);
  expect(ports.next(64)).toBe(0);
  expect(ports.failed('ECONNREFUSED')).toBe(false);
});

test('a process that may not is told so once, and goes on with any', () => {
  const said: string[] = [];
  const ports = new ReservedPorts((reason) => said.push(reason));
  for (let i = 0; i < 2; i++) expect(ports.failed('EACCES')).toBe(true);
  expect(said).toEqual(['EACCES']);
  expect(ports.next(0)).toBe(0);
});

describe.runIf(process.geteuid!() === 0)('through the proxy', () => {
  /** Ports from which connections come to a server behind the proxy, of a client with that local port. */
  async function portsSeen(localPort: number): Promise<number[]> {
    const seen: number[] = [];
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      seen.push(socket.remotePort!);
      sockets.add(socket);
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const endpoints = { primary: tcpAddress('127.0.0.1', port), secondary: null };
    const proxy = await NfsProxy.listen({ endpoints, host: '127.0.0.1', port: 0 });
    const client = connect({ port: proxy.port, host: '127.0.0.1', localPort });
    client.on('error', () => {});
    cleanUp.push(
      () => server.close(),
      () => proxy.close(),
      () => client.destroy(),
      () => {
        for (const socket of sockets) socket.destroy();
      },
    );
    await once(client, 'connect');
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    return seen;
  }

  test("a client of the machine's root gets a port below 1024, and nobody else does", async () => {
    for (const port of await portsSeen(933)) expect(port).toBeLessThan(1024);
    for (const port of await portsSeen(0)) expect(port).toBeGreaterThan(1023);
  });
});
