/** What the server says to its sentinel, and when it connects again. The sentinel's side is the test's, on a real socket. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Incarnation } from '../../pair/incarnation.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { SentinelLink } from './sentinel-link.ts';

const ME = 'filer-a/machine/1' as Incarnation;
const holding = (epoch: number) => [{ home: 'filer-a', epoch }];

let directory: string;
let path: string;
let listener: Server;
let sockets: Socket[];
/** By connection. */
let said: unknown[][];
let warnings: string[];
let link: SentinelLink;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-link-'));
  path = join(directory, 'socket');
  sockets = [];
  said = [];
  // Of this test alone, whatever a link of an earlier one still does.
  const own: string[] = [];
  warnings = own;
  await listen();
  const log = { info: () => {}, warn: (message: string) => own.push(message) };
  link = new SentinelLink({ path, me: ME, log: log as never });
});
afterEach(() => {
  link.stop();
  vi.useRealTimers();
  for (const socket of sockets) socket.destroy();
  listener.close();
  rmSync(directory, { recursive: true, force: true });
});

async function listen(): Promise<void> {
  listener = createServer((socket) => {
    const lines: unknown[] = [];
    sockets.push(socket);
    said.push(lines);
    let rest = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const parts = (rest + data.toString()).split('\n');
      rest = parts.pop()!;
      for (const part of parts) lines.push(JSON.parse(part));
    });
  }).listen(path);
  await once(listener, 'listening');
}

const say = (message: unknown): boolean => sockets.at(-1)!.write(`${JSON.stringify(message)}\n`);
const lastSaid = (): unknown => said.at(-1)?.at(-1);
const register = { kind: 'register', incarnation: ME };
/** All that is ready runs. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

/** Registered and proved, on the newest connection. */
async function watch(): Promise<void> {
  await assertEventually(() => expect(said.at(-1)).toEqual([register]));
  say({ kind: 'prove', token: 'token' });
  await assertEventually(() => expect(link.watching).toBe(true));
  say({ kind: 'watching', pid: 5 });
}

test('registers, proves itself with what it holds then, and tells each change at once', async () => {
  link.setHoldings(holding(1));
  link.start();
  expect(link.watching).toBe(false);
  await assertEventually(() => expect(said).toEqual([[register]]));
  link.setHoldings(holding(2));
  say({ kind: 'prove', token: 'token' });
  const proof = { kind: 'proof', token: 'token', holdings: holding(2) };
  await assertEventually(() => expect(said[0]).toEqual([register, proof]));
  expect(link.watching).toBe(true);
  link.setHoldings([]);
  await assertEventually(() => expect(lastSaid()).toEqual({ kind: 'holdings', holdings: [] }));
  expect(warnings).toEqual([]);
});

test('connects again 250 ms after an end, and warns once until it is watched again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  link.start();
  const real = { timeout: 20_000, interval: 1 };
  const until = async (is: () => boolean): Promise<void> => {
    const limit = performance.now() + real.timeout;
    while (!is() && performance.now() < limit) await turn();
    expect(is()).toBe(true);
  };
  const watchNow = async (): Promise<void> => {
    await until(() => said.at(-1)!.length === 1);
    say({ kind: 'prove', token: 'token' });
    await until(() => link.watching);
    say({ kind: 'watching', pid: 5 });
    await turns();
  };
  await until(() => sockets.length === 1);
  await watchNow();
  sockets[0]!.destroy();
  await until(() => !link.watching);
  link.setHoldings(holding(4));
  expect(warnings).toEqual([expect.stringContaining('No sentinel at')]);
  vi.advanceTimersByTime(249);
  await turns();
  expect(sockets).toHaveLength(1);
  vi.advanceTimersByTime(1);
  await until(() => sockets.length === 2);
  await until(() => said[1]!.length === 1);
  // Not watched yet: the same trouble goes on.
  sockets[1]!.destroy();
  await until(() => sockets[1]!.closed);
  await turns();
  expect(warnings).toHaveLength(1);
  await until(() => {
    vi.advanceTimersByTime(250);
    return sockets.length === 3;
  });
  await watchNow();
  expect(said[2]![1]).toEqual({ kind: 'proof', token: 'token', holdings: holding(4) });
  sockets[2]!.destroy();
  await until(() => warnings.length === 2);
});

test('refused, it is not watched, and says so once', async () => {
  link.start();
  await watch();
  say({ kind: 'refused', reason: 'it did not prove itself' });
  await assertEventually(() => expect(link.watching).toBe(false));
  expect(warnings).toEqual([expect.stringContaining('does not watch this process: it did not prove itself')]);
  sockets[0]!.end();
  // It tries again, without another warning about the same.
  await assertEventually(() => expect(sockets).toHaveLength(2));
  expect(warnings).toHaveLength(1);
});

test('without a sentinel it goes on trying until it is stopped', async () => {
  listener.close();
  link.start();
  await assertEventually(() => expect(warnings).toHaveLength(1));
  await listen();
  await watch();
  sockets[0]!.destroy();
  await assertEventually(() => expect(link.watching).toBe(false));
  link.stop();
  await pause(400, 'another connection would be made');
  expect(sockets).toHaveLength(1);
});

test('stopped, it ends its connection and makes no other', async () => {
  link.start();
  await watch();
  link.stop();
  await assertEventually(() => expect(sockets[0]!.closed).toBe(true));
  await pause(400, 'another connection would be made');
  expect(sockets).toHaveLength(1);
  expect(warnings).toEqual([]);
});
