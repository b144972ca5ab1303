/**
 * The traps of docs/kernel-path.md on the running kernel, each with its cure and without, in the network namespace of
 * traps.test.ts: prints what happened as JSON.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { KernelPath } from './kernel-path.ts';
import { openListeningSocket } from './listening-socket.ts';
import { Conntrack, type Flow } from './netlink/conntrack.ts';
import { Nftables, Transaction } from './netlink/nftables.ts';
import {
  ALL_CURES,
  aliveTransaction,
  type Cures,
  installTransaction,
  MARK_MASK_SERVER,
  markOf,
  type Route,
  routesTransaction,
  TABLE,
} from './ruleset.ts';

const LOOPBACK = '127.0.0.1';
const VIRTUAL = '169.254.77.1';
const FAMILY = 2;
/** Long enough for anything on one machine, short beside the seconds that a trap costs. Ms. */
const SOON_MS = 600;
const POLICY_GONE_MS = 300;

/** Where a connection ended up: at a server by its name, refused, or nowhere. */
export type Where = string;

export interface Traps {
  /** Where the connection goes that follows a server's reset, before any process can have acted. */
  readonly race: Where;
  /** The same with only what keeps the old entry out of the way left out. */
  readonly samePort: Where;
  /** Where the connection goes that follows one that the client itself has ended. */
  readonly ownClose: Where;
  /** What a client sees whose connection has no entry any more. */
  readonly untranslated: 'reset' | 'nothing';
  /** Whether the entry of a connection that was made before an upgrade of the rules goes with its reset. */
  readonly upgraded: 'gone' | 'there';
  /** Where the connection goes that follows a server's reset when no director lives. */
  readonly noDirector: Where;
}

const nftables = new Nftables();
const conntrack = new Conntrack();
let localPort = 700;

interface TestServer {
  readonly name: string;
  readonly port: number;
  readonly server: Server;
  last: Socket | null;
}

const arrivals: string[] = [];

async function serve(name: string): Promise<TestServer> {
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    arrivals.push(name);
    one.last = socket;
    socket.on('error', () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const one: TestServer = { name, server, port: (server.address() as { port: number }).port, last: null };
  return one;
}

/** Connects from this port, as the kernel's client does again and again. */
async function dial(port: number): Promise<{ readonly where: Where; readonly socket: Socket }> {
  arrivals.length = 0;
  const socket = connect({ host: VIRTUAL, port: 2049, localPort: port });
  const opened = await Promise.race([
    new Promise<'open'>((resolve) => socket.once('connect', () => resolve('open'))),
    new Promise<string>((resolve) =>
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')),
    ),
    delay(SOON_MS, 'silence'),
  ]);
  socket.on('error', () => {});
  if (opened !== 'open') return { where: opened, socket };
  while (arrivals.length === 0) await delay(1);
  return { where: arrivals[0]!, socket };
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

const flowOf = (port: number): Flow => ({
  source: LOOPBACK,
  sourcePort: port,
  destination: VIRTUAL,
  destinationPort: 2049,
});

class Stand {
  readonly holder: TestServer;
  readonly a: TestServer;
  readonly port = localPort--;
  readonly cures: Cures;

  private constructor(holder: TestServer, a: TestServer, cures: Cures) {
    this.holder = holder;
    this.a = a;
    this.cures = cures;
  }

  /** A table of its own, from nothing. */
  static async set(cures: Cures): Promise<Stand> {
    nftables.commit(new Transaction(FAMILY, TABLE).addTable().deleteTable());
    const stand = new Stand(await serve('holder'), await serve('server'), cures);
    stand.install();
    nftables.commit(routesTransaction(false, [stand.route]));
    return stand;
  }

  get route(): Route {
    const target = { address: LOOPBACK, port: this.a.port };
    return { virtual: VIRTUAL, mark: markOf(0), target, hold: false, forgive: true };
  }

  install(): void {
    const holder = { address: LOOPBACK, port: this.holder.port };
    nftables.commit(installTransaction(false, holder, this.cures));
  }

  /** The server dies: its connections are reset, and its port is closed. */
  async die(client: Socket): Promise<void> {
    this.a.server.close();
    const end = closed(client);
    this.a.last!.resetAndDestroy();
    await end;
  }

  end(...sockets: Socket[]): void {
    for (const socket of sockets) socket.destroy();
    for (const each of [this.holder, this.a]) {
      each.last?.destroy();
      each.server.close();
    }
  }
}

async function afterDeath(cures: Cures): Promise<Where> {
  const stand = await Stand.set(cures);
  const first = await dial(stand.port);
  await stand.die(first.socket);
  const second = await dial(stand.port);
  stand.end(first.socket, second.socket);
  return second.where;
}

async function ownClose(cures: Cures): Promise<Where> {
  const stand = await Stand.set(cures);
  const first = await dial(stand.port);
  const end = closed(first.socket);
  first.socket.end();
  await end;
  // Another port: the first one is in TIME_WAIT.
  const second = await dial(localPort--);
  stand.end(second.socket);
  return second.where;
}

async function untranslated(cures: Cures): Promise<Traps['untranslated']> {
  const stand = await Stand.set(cures);
  const { socket } = await dial(stand.port);
  conntrack.deleteMarked(false, markOf(0), MARK_MASK_SERVER);
  const end = closed(socket);
  socket.write('a call');
  const what = await Promise.race([end.then(() => 'reset' as const), delay(SOON_MS, 'nothing' as const)]);
  stand.end(socket);
  return what;
}

async function upgraded(keepsTable: boolean): Promise<Traps['upgraded']> {
  const stand = await Stand.set(ALL_CURES);
  const { socket } = await dial(stand.port);
  if (!keepsTable) nftables.commit(new Transaction(FAMILY, TABLE).deleteTable());
  stand.install();
  nftables.commit(routesTransaction(false, [stand.route]));
  // The kernel takes a deleted policy from the entries a little later.
  await delay(POLICY_GONE_MS);
  await stand.die(socket);
  const what = conntrack.entry(flowOf(stand.port)) === null ? 'gone' : 'there';
  stand.end(socket);
  return what;
}

async function noDirector(cures: Cures): Promise<Where> {
  const stand = await Stand.set(cures);
  const first = await dial(stand.port);
  // What a dead director has not renewed is gone after a while.
  nftables.commit(new Transaction(FAMILY, TABLE).flushSet('alive'));
  const end = closed(first.socket);
  stand.a.last!.resetAndDestroy();
  await end;
  const second = await dial(stand.port);
  stand.end(first.socket, second.socket);
  return second.where;
}

/** How long the element still lives after it was renewed half a second after it was made. Ms. */
async function renewal(): Promise<number> {
  const stand = await Stand.set(ALL_CURES);
  nftables.commit(aliveTransaction(false, [stand.route]));
  await delay(500);
  nftables.commit(aliveTransaction(false, [stand.route]));
  const [element] = nftables.elements(FAMILY, TABLE, 'alive')!;
  stand.end();
  return element!.expiresMs ?? 0;
}

/** A server of NULL alone: enough for a director. It answers other data after `answerMs`. */
async function nullServer(answerMs: number): Promise<TestServer> {
  const one = await serve('server');
  one.server.removeAllListeners('connection');
  one.server.on('connection', (socket: Socket) => {
    arrivals.push('server');
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString('latin1') === 'call') {
        setTimeout(() => socket.write('answer'), answerMs);
        return;
      }
      // One reply for each record that fits: xid, REPLY, accepted, no verifier, success (or no such procedure).
      for (let at = 0; at + 28 <= chunk.length; ) {
        const size = chunk.readUInt32BE(at) & 0x7fff_ffff;
        const isNull = chunk.readUInt32BE(at + 16) === 100_003 && chunk.readUInt32BE(at + 24) === 0;
        const reply = Buffer.alloc(28);
        reply.writeUInt32BE(0x8000_0018, 0);
        chunk.copy(reply, 4, at + 4, at + 8);
        reply.writeUInt32BE(1, 8);
        reply.writeUInt32BE(isNull ? 0 : 3, 24);
        socket.write(reply);
        at += 4 + size;
      }
    });
  });
  return one;
}

export interface Healing {
  /** What the client, with a call under way, sees after the table of connections was emptied. */
  readonly flushed: 'reset' | 'nothing';
  /** The rules that are there after `nft flush ruleset`, whenever that comes. */
  readonly rules: number;
  readonly routes: number;
  /** What a connection sees of it that was there before. */
  readonly established: 'reset' | 'nothing';
}

function kernelPath(): KernelPath {
  const holder = openListeningSocket(LOOPBACK, null);
  return new KernelPath({
    namespace: null,
    holders: [holder],
    onRestored: () => {},
    onError: (error) => process.stderr.write(`${error.stack}\n`),
  });
}

/** Resolves when the virtual address leads to the server. */
async function serves(path: KernelPath, server: TestServer): Promise<void> {
  const parsed = parseNfsUrl(`nfs://${LOOPBACK}:${server.port}/home?alone`);
  if (!parsed.ok) throw new Error(parsed.reason);
  path.add([{ virtual: VIRTUAL, index: 0, url: parsed.url, resolver: new Resolver(), onEvent: () => {} }]);
  while (path.addresses.get(VIRTUAL)!.state.phase !== 'serve') await delay(5);
}

async function healing(): Promise<Healing> {
  nftables.commit(new Transaction(FAMILY, TABLE).addTable().deleteTable());
  const server = await nullServer(1500);
  const path = kernelPath();
  await serves(path, server);
  const { socket } = await dial(localPort--);
  socket.resume();
  const end = closed(socket);
  socket.write('call');
  await delay(100);
  // As conntrack -F does it for this connection: the answer will find no entry.
  conntrack.deleteMarked(false, markOf(0), MARK_MASK_SERVER);
  const flushed = await Promise.race([end.then(() => 'reset' as const), delay(4000, 'nothing' as const)]);
  const { socket: established } = await dial(localPort--);
  established.resume();
  const reset = closed(established);
  // nft flush ruleset, twice, each time just before the director looks for changes of others.
  const { generation } = Nftables.prototype;
  let flushes = 2;
  Nftables.prototype.generation = function (this: Nftables) {
    if (flushes-- > 0) nftables.commit(new Transaction(FAMILY, TABLE).deleteTable());
    return generation.call(this);
  };
  while (flushes > 0) await delay(20);
  const until = performance.now() + 4000;
  while (nftables.ruleCount(FAMILY, TABLE) === 0 && performance.now() < until) await delay(20);
  const rules = nftables.ruleCount(FAMILY, TABLE);
  const routes = nftables.elements(FAMILY, TABLE, 'targets')?.length ?? 0;
  const seen = await Promise.race([reset.then(() => 'reset' as const), delay(4000, 'nothing' as const)]);
  path.close();
  server.server.close();
  return { flushed, rules, routes, established: seen };
}

/** Rules are there again although the director does not look for them each second. */
async function toldOfChanges(): Promise<number> {
  const { setInterval: everySecond } = globalThis;
  globalThis.setInterval = (() => everySecond(() => {}, 3_600_000)) as unknown as typeof setInterval;
  const path = kernelPath();
  globalThis.setInterval = everySecond;
  const server = await nullServer(0);
  await serves(path, server);
  nftables.commit(new Transaction(FAMILY, TABLE).deleteTable());
  const until = performance.now() + 10_000;
  while (nftables.ruleCount(FAMILY, TABLE) === 0 && performance.now() < until) await delay(5);
  path.close();
  server.server.close();
  return nftables.elements(FAMILY, TABLE, 'targets')?.length ?? 0;
}

async function traps(cures: Partial<Record<keyof Cures, boolean>>, keepsTable: boolean): Promise<Traps> {
  const without = (...names: (keyof Cures)[]): Cures => {
    const left: { -readonly [Name in keyof Cures]: boolean } = { ...ALL_CURES };
    for (const name of names) if (cures[name] === false) left[name] = false;
    return left;
  };
  return {
    race: await afterDeath(without('diversion')),
    samePort: await afterDeath(without('holderZone', 'quickClose')),
    ownClose: await ownClose(without('clientClose')),
    untranslated: await untranslated(without('guard')),
    upgraded: await upgraded(keepsTable),
    noDirector: await noDirector(without('alive')),
  };
}

const NO_CURES = {
  diversion: false,
  holderZone: false,
  quickClose: false,
  clientClose: false,
  guard: false,
  alive: false,
};

export interface TrapAnswers {
  readonly cured: Traps;
  readonly uncured: Traps;
  readonly renewedMs: number;
  readonly healing: Healing;
  /** Routes that are there after a flush, while no second has passed. */
  readonly toldOfChanges: number;
}

const answers: TrapAnswers = {
  cured: await traps({}, true),
  uncured: await traps(NO_CURES, false),
  renewedMs: await renewal(),
  healing: await healing(),
  toldOfChanges: await toldOfChanges(),
};
process.stdout.write(`${JSON.stringify(answers)}\n`);
process.exit(0);
