/**
 * What the sentinel knows of a process when it says that it has ended. The process is a real one; when its words are read, and
 * how long they are waited for, the test says.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { Pidfd } from '../system/pidfd.ts';
import { serveRegistration, type WatchedProcess } from './watched-process.ts';

let directory: string;
let path: string;
let listener: Server;
let sockets: Socket[];
let child: ChildProcess | null;
/** What the registrations have told, in order; of a process its newest holdings then. */
let told: string[];
let watched: WatchedProcess[];
/** The kernel has said that a process has ended. */
let ended: PromiseWithResolvers<void>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-watched-'));
  path = join(directory, 'socket');
  sockets = [];
  child = null;
  told = [];
  watched = [];
  ended = Promise.withResolvers();
  const exit = Pidfd.prototype.exit;
  vi.spyOn(Pidfd.prototype, 'exit').mockImplementation(async function (this: Pidfd) {
    const result = await exit.call(this);
    ended.resolve();
    return result;
  });
  listener = createServer((socket) => {
    sockets.push(socket);
    serveRegistration(socket, 'filer-a', {
      watching: (process) => {
        watched.push(process);
        told.push(`watching ${process.incarnation}`);
      },
      exited: ({ holdings }) => told.push(`exited ${holdings.map(({ epoch }) => epoch).join()}`),
      refused: (reason) => told.push(`refused: ${reason}`),
    });
  }).listen(path);
  await once(listener, 'listening');
});
afterEach(() => {
  child?.kill('SIGKILL');
  for (const socket of sockets) socket.destroy();
  listener.close();
  vi.useRealTimers();
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

/** A server process that holds epoch 3. What it reads: an epoch that it takes, to be killed in the same moment. */
async function startServer(): Promise<Socket> {
  const link = new URL('./sentinel-link.ts', import.meta.url).href;
  const program = `
    import { SentinelLink } from ${JSON.stringify(link)};
    const log = { info: () => {}, warn: () => {} };
    const link = new SentinelLink({ path: ${JSON.stringify(path)}, me: 'filer-a/machine/1', log });
    link.setHoldings([{ home: 'filer-a', epoch: 3 }]);
    link.start();
    process.stdin.on('data', (data) => {
      link.setHoldings([{ home: 'filer-a', epoch: Number(data) }]);
      process.kill(process.pid, 'SIGKILL');
    });`;
  child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  await assertEventually(() => expect(told).toEqual(['watching filer-a/machine/1']));
  expect(watched[0]!.pid).toBe(child.pid);
  expect(watched[0]!.holdings).toEqual([{ home: 'filer-a', epoch: 3 }]);
  return sockets[0]!;
}

/** All that a callback may still set off. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

describe('of a process that has ended', () => {
  test('its last words are read, although its end is known before them', async () => {
    const socket = await startServer();
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const close = vi.spyOn(Pidfd.prototype, 'close');
    socket.pause();
    child!.stdin!.write('4\n');
    await ended.promise;
    await turns();
    expect(told).toHaveLength(1);
    socket.resume();
    await assertEventually(() => expect(told.slice(1)).toEqual(['exited 4']));
    expect(close).toHaveBeenCalledTimes(1);
  });

  test('they are not waited for longer than 20 ms', async () => {
    const socket = await startServer();
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    socket.pause();
    child!.stdin!.write('4\n');
    await ended.promise;
    await turns();
    vi.advanceTimersByTime(19);
    await turns();
    expect(told).toHaveLength(1);
    vi.advanceTimersByTime(1);
    await turns();
    expect(told.slice(1)).toEqual(['exited 3']);
  });

  test('nothing is said when only its connection ends, and its end is seen all the same', async () => {
    const socket = await startServer();
    socket.destroy();
    await once(socket, 'close');
    await turns();
    expect(told).toHaveLength(1);
    child!.kill('SIGKILL');
    await assertEventually(() => expect(told.slice(1)).toEqual(['exited 3']));
  });
});

/** A process on the socket that is no server: the lines that come back, and its end. */
function talk(...lines: readonly unknown[]): { socket: Socket; answers: () => unknown[] } {
  const socket = connect(path);
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  socket.on('error', () => {});
  for (const line of lines) socket.write(`${JSON.stringify(line)}\n`);
  const answers = (): unknown[] =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  return { socket, answers };
}

const register = { kind: 'register', incarnation: 'filer-a/machine/1' };

describe('is refused with the reason and never watched', () => {
  test.each([
    ['who answers a wrong token', [register, { kind: 'proof', token: 'x', holdings: [] }], 'did not prove'],
    ['who proves before it registers', [{ kind: 'proof', token: 'x', holdings: [] }], 'did not prove'],
    ['who speaks before it proves', [register, { kind: 'holdings', holdings: [] }], 'before it has proved'],
    ['who registers twice', [register, register], 'registered already on this connection'],
    ['another server', [{ kind: 'register', incarnation: 'filer-b/machine/1' }], 'no incarnation of filer-a'],
  ])('%s', async (_who, lines, reason) => {
    const close = vi.spyOn(Pidfd.prototype, 'close');
    const { socket, answers } = talk(...lines);
    await once(socket, 'close');
    await assertEventually(() => expect(sockets[0]!.closed).toBe(true));
    expect(answers().at(-1)).toEqual({ kind: 'refused', reason: expect.stringContaining(reason) });
    await assertEventually(() => expect(told).toEqual([expect.stringContaining(reason)]));
    // What was opened for it is given back.
    expect(close).toHaveBeenCalledTimes(answers().length - 1);
  });

  test('who proves twice', async () => {
    const { socket, answers } = talk(register);
    await assertEventually(() => expect(answers()).toHaveLength(1));
    const { token } = answers()[0] as { token: string };
    const proof = `${JSON.stringify({ kind: 'proof', token, holdings: [] })}\n`;
    socket.write(proof);
    await assertEventually(() => expect(answers()[1]).toEqual({ kind: 'watching', pid: process.pid }));
    socket.write(proof);
    await once(socket, 'close');
    expect(answers()[2]).toMatchObject({ kind: 'refused' });
    expect(told).toEqual(['watching filer-a/machine/1', expect.stringContaining('did not prove')]);
  });
});

test('the newest holdings of a process count', async () => {
  const { socket, answers } = talk(register);
  await assertEventually(() => expect(answers()).toHaveLength(1));
  const { token } = answers()[0] as { token: string };
  const say = (line: unknown): boolean => socket.write(`${JSON.stringify(line)}\n`);
  say({ kind: 'proof', token, holdings: [] });
  say({ kind: 'holdings', holdings: [{ home: 'filer-a', epoch: 5 }] });
  await assertEventually(() => expect(watched[0]?.holdings).toEqual([{ home: 'filer-a', epoch: 5 }]));
  expect(told).toHaveLength(1);
  socket.destroy();
});
