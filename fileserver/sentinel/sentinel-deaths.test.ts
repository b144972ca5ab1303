/**
 * Which deaths the sentinel reports, over which connections, and until when. The registrations and the connection with the
 * partner are the test's own; the socket that servers connect to is a real one.
 */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import type { EndOptions } from '../interconnect/connection.ts';
import { Sentinel } from './sentinel.ts';
import type { RegistrationEvents, WatchedProcess } from './watched-process.ts';

interface Dialing {
  options: EndOptions;
  started: boolean;
  stopped: boolean;
  connection: { send: (message: unknown) => void; close: (reason: string) => void } | null;
}

const doubles = vi.hoisted(() => ({
  dialer: null as unknown as Dialing,
  registrations: [] as { server: string; events: RegistrationEvents }[],
}));

vi.mock('../interconnect/dialer.ts', () => ({
  Dialer: class {
    options: EndOptions;
    started = false;
    stopped = false;
    connection = null;
    constructor(options: EndOptions) {
      this.options = options;
      doubles.dialer = this as Dialing;
    }
    start(): void {
      this.started = true;
    }
    stop(): void {
      this.stopped = true;
    }
  },
}));
vi.mock('./watched-process.ts', () => ({
  serveRegistration: (_socket: unknown, server: string, events: RegistrationEvents) =>
    doubles.registrations.push({ server, events }),
}));

const HELD = [{ home: 'filer-a', epoch: 3 }];

let directory: string;
let path: string;
let sentinel: Sentinel;
let logged: string[];
let registration: RegistrationEvents;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-deaths-'));
  path = join(directory, 'socket');
  logged = [];
  doubles.registrations.length = 0;
  const log = (message: string): void => {
    logged.push(message);
  };
  sentinel = new Sentinel({
    pair: 'home',
    server: 'filer-a',
    partner: 'filer-b',
    partnerAddress: { host: '127.0.0.1', port: 1 },
    credentials: {} as never,
    path,
    timing: {} as never,
    log: { info: log, warn: log } as never,
  });
  await sentinel.start();
  connect(path).on('error', () => {});
  await assertEventually(() => expect(doubles.registrations).toHaveLength(1));
  registration = doubles.registrations[0]!.events;
});
afterEach(() => {
  vi.useRealTimers();
  sentinel.stop();
  rmSync(directory, { recursive: true, force: true });
});

const processOf = (number: number): WatchedProcess => ({
  pid: number,
  incarnation: `filer-a/machine/${number}` as WatchedProcess['incarnation'],
  holdings: HELD,
});

/** A new connection; what is sent over it. */
function reach(): { sent: unknown[]; closed: string[] } {
  const sent: unknown[] = [];
  const closed: string[] = [];
  const { dialer } = doubles;
  dialer.connection = {
    send: (message) => sent.push(message),
    close: (reason) => closed.push(reason),
  };
  dialer.options.established({ peer: { incarnation: 'filer-b/machine/1' }, ...dialer.connection } as never);
  return { sent, closed };
}

const confirm = (number: number): void =>
  doubles.dialer.options.events.message(
    { kind: 'deathNoted', incarnation: processOf(number).incarnation },
    {} as never,
  );

const died = (number: number) => ({
  kind: 'died',
  incarnation: `filer-a/machine/${number}`,
  holdings: HELD,
  evidence: `the sentinel of filer-a saw process ${number} exit`,
});

/** Whether it has resolved after all that is ready has run. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await turn();
  return done;
}

test('its socket is for its own user, and that of a sentinel that was killed is replaced', async () => {
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(doubles.dialer.started).toBe(true);
  expect(doubles.registrations[0]!.server).toBe('filer-a');
  const left = join(directory, 'left');
  writeFileSync(left, '');
  const options = { path: left, server: 'filer-a', log: { info: () => {} } };
  const next = new Sentinel({ partnerAddress: {}, ...options } as never);
  await next.start();
  expect(statSync(left).isSocket()).toBe(true);
  next.stop();
});

test('a path that can not be had is an error', async () => {
  const options = { path: join(path, 'below'), server: 'filer-a', log: { info: () => {} } };
  const next = new Sentinel({ partnerAddress: {}, ...options } as never);
  await expect(next.start()).rejects.toThrow('ENOTDIR');
});

test('it dials the partner as the sentinel of its server', () => {
  const { identity, partner, host } = doubles.dialer.options;
  expect(identity).toMatchObject({ pair: 'home', server: 'filer-a', role: 'sentinel' });
  expect([partner, host]).toEqual(['filer-b', '127.0.0.1']);
});

describe('a death', () => {
  test('is reported at once, again over each later connection, and not after it was confirmed', () => {
    const first = reach();
    registration.watching(processOf(7));
    expect(sentinel.watchedCount).toBe(1);
    registration.exited({ ...processOf(7) });
    expect([first.sent, sentinel.watchedCount]).toEqual([[], 1]);
    const process = processOf(8);
    registration.watching(process);
    registration.exited(process);
    expect([first.sent, sentinel.watchedCount]).toEqual([[died(8)], 1]);
    const second = reach();
    expect(second.sent).toEqual([died(8)]);
    confirm(8);
    expect(reach().sent).toEqual([]);
  });

  test('without a connection is reported over the next one', () => {
    const process = processOf(7);
    registration.watching(process);
    registration.exited(process);
    expect(logged.at(-1)).toMatch(/has exited; it held filer-a at epoch 3. .* as soon as it can be reached/);
    expect(reach().sent).toEqual([died(7)]);
  });

  test('of a process that has registered again is reported once, with what the later registration knows', () => {
    const { sent } = reach();
    const [earlier, later] = [processOf(7), { ...processOf(7), holdings: [] }];
    registration.watching(earlier);
    registration.watching(later);
    registration.exited(earlier);
    expect(sent).toEqual([]);
    registration.exited(later);
    registration.exited(later);
    expect(sent).toEqual([{ ...died(7), holdings: [] }]);
  });

  test('makes the sentinel forget the oldest of more than 16 that are not confirmed', () => {
    for (let number = 1; number <= 17; number++) {
      registration.watching(processOf(number));
      const process = processOf(number);
      registration.watching(process);
      registration.exited(process);
    }
    expect(reach().sent).toEqual(Array.from({ length: 16 }, (_, index) => died(index + 2)));
  });
});

describe('asked to stop, it has finished', () => {
  test('at once without a process and a death', async () => {
    expect(await isDone(sentinel.finished(1000))).toBe(true);
  });

  test('when the last process has exited and the partner has confirmed it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const [one, other] = [processOf(1), processOf(2)];
    registration.watching(one);
    registration.watching(other);
    const finished = sentinel.finished(1000);
    registration.exited(one);
    confirm(1);
    expect(await isDone(finished)).toBe(false);
    reach();
    registration.exited(other);
    expect(await isDone(finished)).toBe(false);
    confirm(2);
    expect(await isDone(finished)).toBe(true);
  });

  test('when the partner was not reached for the time given after the last one', async () => {
    const process = processOf(1);
    registration.watching(process);
    const finished = sentinel.finished(20);
    expect(await isDone(finished)).toBe(false);
    registration.exited(process);
    expect(await isDone(finished)).toBe(false);
    await finished;
  });
});

test('stopped, it accepts, dials and keeps no connection', async () => {
  const { closed } = reach();
  sentinel.stop();
  expect([closed, doubles.dialer.stopped]).toEqual([['the sentinel stops'], true]);
  await assertEventually(() => expect(existsSync(path)).toBe(false));
  // The address is free.
  const next = createServer().listen(path);
  next.close();
});

test('the end of a connection is logged, unless another one stands', () => {
  const { options } = doubles.dialer;
  options.events.closed('silence', {} as never);
  expect(logged.at(-1)).toContain('The connection with filer-b has ended: silence');
  reach();
  const { length } = logged;
  options.events.closed('new credentials', {} as never);
  expect(logged).toHaveLength(length);
});

test('why a process is not watched is logged', () => {
  registration.refused('it did not prove itself');
  expect(logged.at(-1)).toBe('A process of filer-a is not watched: it did not prove itself');
});
