/** What the codecs do to the running kernel, in the network namespace of kernel.test.ts: prints it as JSON. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import {
  HOLDER_ZONE,
  installTransaction,
  MARK_MASK_SERVER,
  markOf,
  routesTransaction,
  ruleCount,
  TABLE,
} from '../ruleset.ts';
import { canonicalAddress } from './address.ts';
import { decodeAttributes, text, u16be } from './attributes.ts';
import { Conntrack } from './conntrack.ts';
import { NETFILTER_HEADER_SIZE, NLM_F_DUMP, netfilterMessage } from './message.ts';
import {
  change,
  compare,
  destinationNat,
  mapped,
  payload,
  REGISTERS,
  readProtocol,
} from './nft-expressions.ts';
import { Nftables, Transaction } from './nftables.ts';
import { originalDestination } from './original-destination.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.ts';
import { SocketTable } from './socket-table.ts';

export interface KernelAnswers {
  /** The expressions of two rules as the kernel lists them. Hexadecimal. */
  readonly rules: readonly string[];
  readonly families: readonly FamilyAnswers[];
}

export interface FamilyAnswers {
  readonly rulesInstalled: number;
  readonly rulesExpected: number;
  readonly rulesAfterSecondInstall: number;
  /** Who got the connections, in order. */
  readonly servers: readonly string[];
  readonly originals: readonly (string | null)[];
  readonly socketState: string | undefined;
  readonly entryFound: boolean;
  readonly destroyed: number;
  readonly isThereAfterDestroy: boolean;
  /** The entry of the next connection from the same port, to another server, after the earlier one was deleted. */
  readonly laterStays: boolean;
  readonly broken: number;
  /** Entries of the connection that waits: in the holder's zone, and where those to servers are. */
  readonly held: { readonly there: boolean; readonly elsewhere: boolean };
  readonly idAfterMark: boolean;
  readonly otherPort: string;
}

const nftables = new Nftables();
const sockets = new SocketTable();
const conntrack = new Conntrack();

function ruleBytes(): string[] {
  const { r0, r1 } = REGISTERS;
  const transaction = new Transaction(2, 't')
    .addTable()
    .addChain({ name: 'out', type: 'nat', hook: 'output', priority: -100 })
    .addSet({ name: 'targets', keyType: 7, keySize: 4, value: { type: (7 << 6) | 13, size: 8 } }, 1)
    .addSet({ name: 'broken', keyType: 7, keySize: 4, timeoutMs: 1000, sizeMax: 64 }, 2)
    .addRule('out', [
      readProtocol(r0),
      compare(r0, Buffer.of(6)),
      payload('transport', 2, 2, r0),
      compare(r0, u16be(2049)),
      payload('network', 16, 4, r0),
      mapped('targets', r0, r0),
      destinationNat(false, r0, r1),
    ])
    .addRule('out', [payload('network', 12, 4, r0), change('broken', 'update', r0, 1000)]);
  nftables.commit(transaction);
  const netlink = new NetlinkSocket(NETLINK_NETFILTER);
  const request = netfilterMessage((10 << 8) | 7, NLM_F_DUMP, 2, [[1, text('t')]]);
  const { messages } = netlink.request([request]);
  netlink.close();
  nftables.commit(new Transaction(2, 't').deleteTable());
  return messages.map(({ body }) =>
    decodeAttributes(body.subarray(NETFILTER_HEADER_SIZE)).get(4)!.toString('hex'),
  );
}

interface TestServer {
  readonly server: Server;
  readonly port: number;
  last: Socket | null;
}

async function family(isV6: boolean): Promise<FamilyAnswers> {
  const loopback = isV6 ? '::1' : '127.0.0.1';
  const virtual = canonicalAddress(isV6 ? 'fd00::77:1' : '169.254.77.1');
  const servers: string[] = [];
  const originals: (string | null)[] = [];
  const serve = async (name: string): Promise<TestServer> => {
    const one: { server: Server; port: number; last: Socket | null } = {
      server: createServer((socket) => {
        servers.push(name);
        originals.push(originalDestination(socket));
        socket.on('error', () => {});
        socket.resume();
        one.last = socket;
      }),
      port: 0,
      last: null,
    };
    await new Promise<void>((resolve) => one.server.listen(0, loopback, resolve));
    one.port = (one.server.address() as { port: number }).port;
    return one;
  };
  const [holder, a, b] = [await serve('holder'), await serve('a'), await serve('b')];
  const install = () => nftables.commit(installTransaction(isV6, { address: loopback, port: holder.port }));
  const route = (target: TestServer, hold = false) => {
    const to = { address: loopback, port: target.port };
    nftables.commit(routesTransaction(isV6, [{ virtual, mark: markOf(3), target: to, hold, forgive: true }]));
  };
  const number = isV6 ? 10 : 2;
  install();
  const rulesInstalled = nftables.ruleCount(number, TABLE);
  const dial = async () => {
    const socket = connect({ host: virtual, port: 2049, localPort: 900 });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    await delay(20);
    return socket;
  };
  const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

  // To a, and destroyed.
  route(a);
  let socket = await dial();
  const [found] = sockets.list(isV6, 2049);
  const flow = {
    source: found!.source,
    sourcePort: 900,
    destination: virtual,
    destinationPort: 2049,
  };
  const entry = conntrack.entry(flow);
  const ended = closed(socket);
  const destroyed = sockets.destroy(found!);
  if (entry !== null) conntrack.deleteEntry(entry);
  const isThereAfterDestroy = conntrack.entry(flow) !== null;
  await ended;

  // An entry is deleted after the same port has connected to another server: that one's entry stays, even if it has the same id.
  const toB = { address: loopback, port: b.port };
  const next = { virtual, mark: markOf(3), target: toB, hold: false, forgive: true };
  nftables.commit(routesTransaction(isV6, [next]));
  socket = await dial();
  const later = conntrack.entry(flow);
  const deletedLater = conntrack.deleteEntry({ ...entry!, id: later!.id });
  const laterStays = !deletedLater && conntrack.entry(flow) !== null && later!.reply.sourcePort === b.port;
  const gone = closed(socket);
  socket.resetAndDestroy();
  await gone;
  route(a);

  // To a again, which resets it: the next connection from the same port goes to the holder without anybody's doing.
  nftables.commit(new Transaction(number, TABLE).addElements('alive', [{ key: keyOf(virtual) }]));
  socket = await dial();
  const reset = closed(socket);
  a.last!.resetAndDestroy();
  await reset;
  const broken = nftables.elements(number, TABLE, 'broken')?.length ?? -1;
  socket = await dial();
  const held = {
    there: conntrack.entry(flow, HOLDER_ZONE) !== null,
    elsewhere: conntrack.entry(flow) !== null,
  };

  // To b, from the same port, as soon as the holder lets go.
  route(b);
  const released = closed(socket);
  holder.last!.resetAndDestroy();
  await released;
  socket = await dial();
  conntrack.deleteMarked(isV6, markOf(3), MARK_MASK_SERVER);
  const idAfterMark = conntrack.entry(flow) !== null;
  const orphaned = closed(socket);
  socket.write('x');
  await orphaned;

  // An upgrade of the rules leaves the sets.
  install();
  const rulesAfterSecondInstall = nftables.ruleCount(number, TABLE);
  socket = await dial();
  socket.destroy();
  const other = connect({ host: virtual, port: 22 });
  const otherPort = await new Promise<string>((resolve) =>
    other.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')),
  );
  for (const each of [holder, a, b]) {
    each.last?.destroy();
    each.server.close();
  }
  return {
    rulesInstalled,
    rulesExpected: ruleCount(isV6),
    rulesAfterSecondInstall,
    servers,
    originals,
    socketState: found?.state,
    entryFound: entry !== null,
    destroyed,
    isThereAfterDestroy,
    laterStays,
    broken,
    held,
    idAfterMark,
    otherPort,
  };
}

function keyOf(virtual: string): Buffer {
  const elements = nftables.elements(virtual.includes(':') ? 10 : 2, TABLE, 'addresses');
  return elements![0]!.key;
}

const answers: KernelAnswers = {
  rules: ruleBytes(),
  families: [await family(false), await family(true)],
};
process.stdout.write(`${JSON.stringify(answers)}\n`);
process.exit(0);
