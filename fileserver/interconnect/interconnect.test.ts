/** Real sockets on loopback; two interconnects as two servers have them. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { type Incarnation, incarnationOf } from '../../pair/incarnation.ts';
import type { DiedMessage, PairMessage } from '../../pair/messages.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { keptLog } from '../logging/kept-log.fixture.ts';
import { OncePerMinute } from '../logging/log.ts';
import { certified } from './certificates.fixture.ts';
import type { InterconnectConnection } from './connection.ts';
import { ChangingCredentials } from './credentials.fixture.ts';
import { Dialer } from './dialer.ts';
import { Interconnect } from './interconnect.ts';

const authority = await makeAuthority('home', Date.now(), 3600_000);
const credentials = {
  'filer-a': new ChangingCredentials({ tls: [await certified(authority, 'filer-a', 'filer-b')] }),
  'filer-b': new ChangingCredentials({ tls: [await certified(authority, 'filer-b', 'filer-a')] }),
};
type Name = keyof typeof credentials;
const timing = { pingMs: 50, silenceMs: 300 };
const { log, lines } = keptLog();
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
  lines.length = 0;
});

interface End {
  readonly me: Incarnation;
  readonly interconnect: Interconnect;
  readonly port: number;
  readonly seen: string[];
  readonly messages: PairMessage[];
  readonly deaths: DiedMessage[];
}

async function start(server: Name, run: string, partnerPort: number): Promise<End> {
  const me = incarnationOf(server, 'machine', run);
  const seen: string[] = [];
  const messages: PairMessage[] = [];
  const deaths: DiedMessage[] = [];
  const interconnect = new Interconnect({
    pair: 'home',
    me,
    partner: server === 'filer-a' ? 'filer-b' : 'filer-a',
    credentials: credentials[server],
    listen: { host: '127.0.0.1', port: 0 },
    partnerAddress: { host: '127.0.0.1', port: partnerPort },
    timing,
    log,
    connected: (incarnation) => seen.push(`+${incarnation}`),
    disconnected: (incarnation) => seen.push(`-${incarnation}`),
    message: (_from, message) => messages.push(message),
    died: (died) => deaths.push(died),
  });
  const port = await interconnect.start();
  cleanUp.push(() => interconnect.stop(100));
  return { me, interconnect, port, seen, messages, deaths };
}

/** A TCP relay that can be cut: closed (RST at once) or silent (nothing gets through, nothing is closed). */
async function relay(): Promise<{ port: number; target: { port: number }; silence: (on: boolean) => void }> {
  const target = { port: 0 };
  let silent = false;
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(target.port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => silent || to.write(bytes));
      from.on('error', () => {});
      from.on('close', () => silent || to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    target,
    silence: (on) => {
      silent = on;
    },
  };
}

async function pairThroughRelay() {
  const [toA, toB] = [await relay(), await relay()];
  const a = await start('filer-a', '1', toB.port);
  const b = await start('filer-b', '1', toA.port);
  toA.target.port = a.port;
  toB.target.port = b.port;
  await assertEventually(() => expect([a.seen, b.seen]).toEqual([[`+${b.me}`], [`+${a.me}`]]));
  return {
    a,
    b,
    silence: (on: boolean) => {
      toA.silence(on);
      toB.silence(on);
    },
  };
}

it('connects two servers once each, although both dial, and carries messages in order', async () => {
  const { a, b } = await pairThroughRelay();
  const said: PairMessage[] = Array.from({ length: 100 }, (_, seq) => ({
    kind: 'heartbeat',
    seq,
    holdings: [],
  }));
  for (const message of said) a.interconnect.send(b.me, message);
  await assertEventually(() => expect(b.messages).toEqual(said));
  b.interconnect.send(a.me, { kind: 'leaseChanged', home: 'filer-a' });
  await assertEventually(() => expect(a.messages).toEqual([{ kind: 'leaseChanged', home: 'filer-a' }]));
  // To nobody: lost, without an error.
  a.interconnect.send(incarnationOf('filer-b', 'machine', '0'), { kind: 'leaseChanged', home: 'filer-a' });
});

it('detects a path that swallows everything by silence, and connects again soon after it is healed', async () => {
  const { a, b, silence } = await pairThroughRelay();
  silence(true);
  await assertEventually(() => expect(a.seen).toEqual([`+${b.me}`, `-${b.me}`]));
  silence(false);
  await assertEventually(() => expect(a.seen.at(-1)).toBe(`+${b.me}`));
  await assertEventually(() => expect(b.seen.at(-1)).toBe(`+${a.me}`));
});

it('tells a new incarnation of the partner from the old one', async () => {
  const toB = await relay();
  const a = await start('filer-a', '1', toB.port);
  const first = await start('filer-b', '1', a.port);
  toB.target.port = first.port;
  await assertEventually(() => expect(a.seen).toContain(`+${first.me}`));
  await first.interconnect.stop(100);
  const second = await start('filer-b', '2', a.port);
  toB.target.port = second.port;
  await assertEventually(() => expect(a.seen.at(-1)).toBe(`+${second.me}`));
  // Both dial: the second connection with the first incarnation may come up just when the first one ends.
  const others = a.seen.slice(0, -1);
  expect(others.length % 2).toBe(0);
  expect(others).toEqual(others.map((_, i) => `${i % 2 === 0 ? '+' : '-'}${first.me}`));
});

it('closes what a stranger opens, whether it is silent or chatty', async () => {
  const a = await start('filer-a', '1', 1);
  const heard = await Promise.all(
    ['', 'GET / HTTP/1.1\r\n\r\n', '\0\0\0\x02{}'].map(async (text) => {
      const socket = connect(a.port, '127.0.0.1');
      let size = 0;
      socket.on('data', (bytes) => (size += bytes.length));
      socket.on('error', () => {});
      socket.write(text);
      await once(socket, 'close');
      return size;
    }),
  );
  expect(heard).toEqual([0, 0, 0]);
  expect(a.seen).toEqual([]);
});

it('says once a minute, not each time, that strangers knock', async () => {
  const a = await start('filer-a', '1', 1);
  for (let i = 0; i < 20; i++) {
    const socket = connect(a.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
  }
  expect(lines.filter((line) => line.startsWith('Closed an interconnect connection'))).toHaveLength(1);
});

/** Dials filer-a as the sentinel of filer-b; resolves when it is in. `answers`: what it hears. */
async function sentinelAt(port: number, answers: unknown[] = []): Promise<InterconnectConnection> {
  const established = Promise.withResolvers<InterconnectConnection>();
  const sentinel = new Dialer({
    host: '127.0.0.1',
    port,
    credentials: credentials['filer-b'],
    identity: { pair: 'home', server: 'filer-b', incarnation: 'filer-b/machine/sentinel', role: 'sentinel' },
    partner: 'filer-a',
    timing,
    log,
    events: { message: (message) => answers.push(message), closed: () => {} },
    established: established.resolve,
  });
  sentinel.start();
  const connection = await established.promise;
  cleanUp.push(() => {
    sentinel.stop();
    connection.close('over');
  });
  return connection;
}

/** Holds 64 connections from this address, each opened again as soon as it is closed, and sends this on each; until the test ends. */
function flood(port: number, localAddress: string, sent: string): { readonly opened: () => number } {
  let opened = 0;
  let over = false;
  const sockets = new Set<Socket>();
  const knock = (): void => {
    if (over) return;
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('connect', () => {
      opened++;
      if (sent !== '') socket.write(sent);
    });
    socket.on('close', () => {
      sockets.delete(socket);
      setTimeout(knock, 20);
    });
  };
  for (let i = 0; i < 64; i++) knock();
  cleanUp.push(() => {
    over = true;
    for (const socket of sockets) socket.destroy();
  });
  return { opened: () => opened };
}

it.each([
  ['holds silent connections', '127.0.0.2', ''],
  ['holds silent connections from the same address', '127.0.0.1', ''],
  ['sends half a frame on each', '127.0.0.2', '\0\0'],
  ['sends half a frame on each from the same address', '127.0.0.1', '\0\0'],
  ['begins TLS on each', '127.0.0.2', '\x16\x03\x01'],
])(
  'lets the sentinel in at once while a stranger %s',
  async (_, address, sent) => {
    const a = await start('filer-a', '1', 1);
    const strangers = flood(a.port, address, sent);
    await assertEventually(() => expect(strangers.opened()).toBeGreaterThan(64));
    for (let i = 0; i < 10; i++) {
      // Each at once, instead of when it has the luck to find a free place.
      const connection = await sentinelAt(a.port);
      connection.close('next');
    }
  },
  20_000,
);

it('says little of many strangers, and forgets them', () => {
  let now = 0;
  let said = 0;
  const seldom = new OncePerMinute(() => now);
  for (let i = 0; i < 10_000; i++) seldom.tell(`stranger ${i}`, () => said++);
  expect(said).toBeLessThanOrEqual(64);
  now = 60_000;
  const leftOut: number[] = [];
  for (let i = 0; i < 3; i++) seldom.tell('stranger 9999', (count) => leftOut.push(count));
  now = 120_000;
  seldom.tell('stranger 9999', (count) => leftOut.push(count));
  expect(leftOut).toEqual([0, 2]);
});

it('lets a sentinel report deaths of its own server, and answers that it knows', async () => {
  const a = await start('filer-a', '1', 1);
  const answers: unknown[] = [];
  const connection = await sentinelAt(a.port, answers);
  const died = (server: string): DiedMessage => ({
    kind: 'died',
    incarnation: incarnationOf(server, 'machine', '1'),
    holdings: [{ home: server, epoch: 3 }],
    evidence: 'process 17 has exited',
  });
  connection.send(died('filer-a'));
  connection.send({ kind: 'heartbeat', seq: 1, holdings: [] });
  connection.send(died('filer-b'));
  await assertEventually(() =>
    expect(answers).toEqual([{ kind: 'deathNoted', incarnation: 'filer-b/machine/1' }]),
  );
  expect(a.deaths).toEqual([died('filer-b')]);
  expect(a.messages).toEqual([]);
  expect(a.seen).toEqual([]);
});

it('believes a server no word of a death: it has not seen one', async () => {
  const { a, b } = await pairThroughRelay();
  const died: DiedMessage = {
    kind: 'died',
    incarnation: incarnationOf('filer-a', 'machine', '1'),
    holdings: [{ home: 'filer-a', epoch: 3 }],
    evidence: 'process 17 has exited',
  };
  const heartbeat = { kind: 'heartbeat', seq: 7, holdings: [] } as const;
  a.interconnect.send(b.me, died as never);
  a.interconnect.send(b.me, { kind: 'deathNoted', incarnation: died.incarnation } as never);
  a.interconnect.send(b.me, heartbeat);
  await assertEventually(() => expect(b.messages).toContainEqual(expect.objectContaining({ seq: 7 })));
  expect(b.deaths).toEqual([]);
  expect(b.messages).toHaveLength(1);
});
