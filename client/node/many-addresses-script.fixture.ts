/**
 * So many virtual addresses, each of a pair of its own whose ports answer NULL alone, with a connection to each: one pair fails over,
 * then another program takes an element away. In the network namespace of many-addresses.test.ts. Prints what happened as JSON.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { KernelPath } from './kernel-path.ts';
import { openListeningSocket } from './listening-socket.ts';
import { Nftables, Transaction } from './netlink/nftables.ts';
import { nullServer } from './null-server.fixture.ts';
import { TABLE } from './ruleset.ts';
import type { AddressEvent } from './virtual-address.ts';

export interface ManyAddressesResult {
  /** Addresses whose connection was answered by its own pair, before and after. */
  readonly answered: { readonly before: number; readonly after: number };
  /** Addresses of which anything was written, or whose sockets or held connections were touched, during the failover. */
  readonly touched: readonly string[];
  /** Who answers a new connection to the address that failed over. */
  readonly partner: string;
  /** Elements of the table that are there for each address at the end: address, target, mark. */
  readonly elements: readonly number[];
  /** What the failover has written into the table, and the median time of one transaction of it. */
  readonly written: { readonly bytes: number; readonly medianMs: number };
  /** The same after an element was taken away by another program: the whole table is written, and the address serves. */
  readonly afterLoss: string;
  readonly routesAfterLoss: number;
}

const COUNT = Number(process.argv[2] ?? '200');
const FAILS = Math.floor(COUNT / 2);
const ANSWER_MS = 20_000;
const FIRST_PORT = 30_000;

const virtualOf = (index: number): string => `169.254.77.${index + 1}`;
const primaryPort = (index: number): number => FIRST_PORT + 2 * index;
const resolver = new Resolver(async (name) => [name]);
const events: { readonly virtual: string; readonly event: AddressEvent }[] = [];

// Only what routes write is counted: that the directors live is renewed for all of them each second.
let writtenBytes = 0;
let isRoute = false;
const { writeRoute } = KernelPath.prototype;
KernelPath.prototype.writeRoute = function (this: KernelPath, route) {
  isRoute = true;
  writeRoute.call(this, route);
  isRoute = false;
};
const { commit } = Nftables.prototype;
Nftables.prototype.commit = function (this: Nftables, transaction) {
  if (isRoute) for (const { body } of transaction.messages) writtenBytes += body.length;
  commit.call(this, transaction);
};

const servers = await Promise.all(
  Array.from({ length: COUNT }, (_, index) => nullServer(`pair ${index}`, '127.0.0.1', primaryPort(index))),
);
const path = new KernelPath({
  namespace: null,
  holders: [openListeningSocket('127.0.0.1', null)],
  onRestored: () => {},
  onError: (error) => process.stderr.write(`${error.stack}\n`),
});
// One after the other, as mounts come.
for (let index = 0; index < COUNT; index++) {
  const port = primaryPort(index);
  const parsed = parseNfsUrl(`nfs://127.0.0.1:${port}:${port + 1}/home?failover=127.0.0.1`);
  if (!parsed.ok) throw new Error(parsed.reason);
  const virtual = virtualOf(index);
  const onEvent = (event: AddressEvent) => void events.push({ virtual, event });
  path.add([{ virtual, index, url: parsed.url, resolver, onEvent }]);
}
while ([...path.addresses.values()].some(({ state }) => state.phase !== 'serve')) await delay(20);

function ask(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('silence'), ANSWER_MS);
    const end = (outcome: string) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    socket.once('data', (chunk: Buffer) => end(chunk.toString('latin1')));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? ''));
    socket.write('who');
  });
}

function dial(index: number): Socket {
  return connect({ host: virtualOf(index), port: 2049 }).on('error', () => {});
}

const sockets = Array.from({ length: COUNT }, (_, index) => dial(index));
const isRight = (outcome: string, index: number) => outcome === `pair ${index}`;
const before = await Promise.all(sockets.map(ask));

// One pair's server dies, and its partner serves at the other port.
events.length = 0;
writtenBytes = 0;
servers[FAILS]!.stop();
while (path.addresses.get(virtualOf(FAILS))!.state.phase !== 'hold') await delay(5);
const successor = await nullServer('partner', '127.0.0.1', primaryPort(FAILS) + 1);
while (path.addresses.get(virtualOf(FAILS))!.state.phase !== 'serve') await delay(5);
const touched = [
  ...new Set(events.flatMap(({ virtual, event }) => (event.kind === 'Search' ? [] : [virtual]))),
];
const writes = events.flatMap(({ event }) => (event.kind === 'Routed' ? [event.tookMs] : []));
writes.sort((a, b) => a - b);
const failoverBytes = writtenBytes;
const partner = await ask(dial(FAILS));
const after = await Promise.all(sockets.map((socket, index) => (index === FAILS ? 'moved' : ask(socket))));

const nftables = new Nftables();
const count = (set: string) => nftables.elements(2, TABLE, set)!.length;
const elements = ['addresses', 'targets', 'marks', 'current', 'hold'].map(count);

// What the next failover changes is not there.
nftables.commit(new Transaction(2, TABLE).flushSet('targets'));
successor.stop();
while (path.addresses.get(virtualOf(FAILS))!.state.phase !== 'hold') await delay(5);
const back = await nullServer('back', '127.0.0.1', primaryPort(FAILS));
while (path.addresses.get(virtualOf(FAILS))!.state.phase !== 'serve') await delay(5);
const afterLoss = await ask(dial(FAILS));

const result: ManyAddressesResult = {
  answered: { before: before.filter(isRight).length, after: after.filter(isRight).length },
  touched,
  partner,
  elements,
  written: { bytes: failoverBytes, medianMs: writes[Math.floor(writes.length / 2)] ?? 0 },
  afterLoss,
  routesAfterLoss: count('targets'),
};
for (const server of [...servers, successor, back]) server.stop();
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
