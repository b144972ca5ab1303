/**
 * Several virtual addresses, of both versions of IP, on the running kernel, with servers that answer NULL alone: in the network
 * namespace of addresses.test.ts. Prints what happened as JSON.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { KernelPath } from './kernel-path.ts';
import { openListeningSocket } from './listening-socket.ts';
import { Nftables } from './netlink/nftables.ts';
import { nullServer } from './null-server.fixture.ts';
import { TABLE } from './ruleset.ts';
import type { AddressEvent } from './virtual-address.ts';

export interface AddressesResult {
  /** Whose server greets on a connection to each address. */
  readonly greetings: readonly string[];
  /** Of the first address while its server is dead, and of the others meanwhile. */
  readonly whileDead: readonly string[];
  /** Who greets the connection that waited, once the pair serves at another address. */
  readonly moved: string;
  /** Connections that a new director found and broke, and whether one from before still carries data. */
  readonly replaced: { readonly broken: number; readonly carries: boolean };
  /** Routes of the first version of IP, of two, after one address was taken out. */
  readonly leftAfterRemoval: number;
}

const PORT = 22049;
const ADDRESSES = ['169.254.77.1', '169.254.77.2', 'fd46:5046:5046:77::1'];
/** What comes comes at once, or on a busy machine some seconds later. Ms. */
const ANSWER_MS = 20_000;
/** What is held hears nothing for so long. Ms. */
const SILENCE_MS = 500;
let localPort = 800;

interface Dialled {
  readonly socket: Socket;
  readonly outcome: string;
}

/** What a connection hears when it asks, its error, or silence. */
async function dial(virtual: string, msMax = ANSWER_MS): Promise<Dialled> {
  const socket = connect({ host: virtual, port: 2049, localPort: localPort-- });
  socket.on('error', () => {});
  socket.write('who');
  return { socket, outcome: await heard(socket, msMax) };
}

function heard(socket: Socket, msMax: number): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('silence'), msMax);
    const end = (outcome: string) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    socket.once('data', (chunk: Buffer) => end(chunk.toString('latin1')));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? ''));
  });
}

/** Where the name of the first pair leads to: its pod may get another address. */
let podAddress = '127.0.0.1';
const resolver = new Resolver(async () => [podAddress]);
const events: AddressEvent[] = [];

function directed(): KernelPath {
  const path = new KernelPath({
    namespace: null,
    holders: [openListeningSocket('127.0.0.1', null), openListeningSocket('::1', null)],
    onRestored: () => {},
    onError: (error) => process.stderr.write(`${error.stack}\n`),
  });
  const urls = [
    `nfs://pod:${PORT}/home?alone`,
    `nfs://127.0.0.1:${PORT + 1}/home?alone`,
    `nfs://[::1]:${PORT}/home?alone`,
  ];
  path.add(
    ADDRESSES.map((virtual, index) => {
      const parsed = parseNfsUrl(urls[index]!);
      if (!parsed.ok) throw new Error(parsed.reason);
      return { virtual, index, url: parsed.url, resolver, onEvent: (event) => events.push(event) };
    }),
  );
  return path;
}

async function allServe(path: KernelPath): Promise<void> {
  while ([...path.addresses.values()].some(({ state }) => state.phase !== 'serve')) await delay(5);
}

const one = await nullServer('one', '127.0.0.1', PORT);
const two = await nullServer('two', '127.0.0.1', PORT + 1);
const six = await nullServer('six', '::1', PORT);
let path = directed();
await allServe(path);
const first = await Promise.all(ADDRESSES.map((virtual) => dial(virtual)));
const greetings = first.map(({ outcome }) => outcome);

// The first pair's pod dies, and comes back with another address.
one.stop();
while (path.addresses.get(ADDRESSES[0]!)!.state.phase !== 'hold') await delay(5);
const dead = await Promise.all(
  ADDRESSES.map((virtual, index) => dial(virtual, index === 0 ? SILENCE_MS : ANSWER_MS)),
);
const whileDead = dead.map(({ outcome }) => outcome);
const elsewhere = await nullServer('elsewhere', '127.0.0.2', PORT);
podAddress = '127.0.0.2';
while (path.addresses.get(ADDRESSES[0]!)!.state.phase !== 'serve') await delay(5);
const { outcome: moved } = await dial(ADDRESSES[0]!);

// A director is replaced; what was connected before goes on.
path.close();
events.length = 0;
path = directed();
await allServe(path);
const old = first[1]!.socket;
old.write('who');
const carries = (await heard(old, ANSWER_MS)) === 'two';
const broken = events.reduce((sum, event) => sum + (event.kind === 'Sockets' ? event.broken : 0), 0);

path.remove(ADDRESSES[1]!);
const table = new Nftables();
const left = table.elements(2, TABLE, 'targets')!.length;
const result: AddressesResult = {
  greetings,
  whileDead,
  moved,
  replaced: { broken, carries },
  leftAfterRemoval: left,
};
for (const server of [two, six, elsewhere]) server.stop();
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
