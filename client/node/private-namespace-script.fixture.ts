/**
 * A director for the private network namespace, a pair on another machine (a namespace behind a link), and a client. The client is in
 * the private namespace and connects as the kernel's does. What happens: failover, giveback, and what others do to this machine's tables.
 * Prints it as JSON. Argument: the version of IP, 4 or 6.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Conntrack } from './netlink/conntrack.ts';
import { Nftables, Transaction } from './netlink/nftables.ts';
import { isDirected } from './observe.ts';
import { addressInside, PRIVATE_NAMESPACE_FILE, removePrivateNamespace } from './private-namespace.ts';
import { familyNumber } from './ruleset.ts';
import { NodeState } from './state.ts';
import { Supervisor } from './supervisor.ts';

export interface PrivateResult {
  /** What the client was told, in the order of changes. */
  readonly answers: readonly string[];
  /** What a program outside the namespace finds at the virtual address. */
  readonly outside: string;
  /** A new connection after another program has removed the masquerade. */
  readonly afterFlush: string;
  /** Of a connection with a call under way whose entry was removed outside. */
  readonly afterConntrackFlush: 'ended' | 'hangs';
  /** accept_ra of a link with router advertisements, and of one that ignores them. */
  readonly routerAdvertisements: readonly string[];
  readonly left: readonly string[];
}

const SERVERS = 'servers';
const isV6 = process.argv[2] === '6';
const [PAIR, NODE, PREFIX] = isV6
  ? (['fd00:99::1', 'fd00:99::2', 64] as const)
  : (['10.99.0.1', '10.99.0.2', 24] as const);
/** Without waiting whether the address is in use. */
const DIRECTLY = isV6 ? ['nodad'] : [];
const PORTS = { primary: 22_049, secondary: 22_050 };
const CLIENT_PORT = 700;
const SILENCE_MS = 700;
const PATIENCE_MS = 20_000;

function ip(...words: string[]): void {
  const run = spawnSync('ip', words, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`ip ${words.join(' ')}: ${run.stderr}`);
}

// The machine of the pair.
ip('netns', 'add', SERVERS);
ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', SERVERS);
ip('address', 'add', `${NODE}/${PREFIX}`, 'dev', 'uplink', ...DIRECTLY);
ip('link', 'set', 'uplink', 'up');
ip('-n', SERVERS, 'address', 'add', `${PAIR}/${PREFIX}`, 'dev', 'eth0', ...DIRECTLY);
for (const link of ['lo', 'eth0']) ip('-n', SERVERS, 'link', 'set', link, 'up');

const acceptRa = (link: string) => `/proc/sys/net/ipv6/conf/${link}/accept_ra`;
writeFileSync(acceptRa('uplink'), '1');
writeFileSync(acceptRa('lo'), '0');

const children: ChildProcess[] = [];
function startIn(namespace: string, script: string, ...args: string[]): ChildProcess {
  const path = join(import.meta.dirname, script);
  const child = spawn('nsenter', [`--net=${namespace}`, process.execPath, path, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  return child;
}

async function serve(name: keyof typeof PORTS): Promise<ChildProcess> {
  const server = startIn(`/run/netns/${SERVERS}`, 'named-server.fixture.ts', name, PAIR, String(PORTS[name]));
  await once(server, 'message');
  return server;
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** What the client was told last is this. */
async function said(client: { answers: string[] }, answer: string): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (client.answers.at(-1) !== answer) {
    if (performance.now() > endMs) throw new Error(`not ${answer}: ${client.answers.join(', ')}`);
    await delay(5);
  }
}

function askingClient(virtual: string, localPort: number): { answers: string[]; process: ChildProcess } {
  const process = startIn(PRIVATE_NAMESPACE_FILE, 'asking-client.fixture.ts', virtual, String(localPort));
  const answers: string[] = [];
  process.on('message', (message) => void answers.push(String(message)));
  return { answers, process };
}

let primary = await serve('primary');
const directory = mkdtempSync(join(tmpdir(), 'filerpair-private-'));
const state = new NodeState(directory, true);
const host = isV6 ? `[${PAIR}]` : PAIR;
const url = `nfs://${host}:${PORTS.primary}:${PORTS.secondary}/home?failover=${host}`;
const { virtual } = state.allocate(url, isV6);
const supervisor = new Supervisor({ stateDirectory: directory, verbose: false, isPrivate: true });
while (!isDirected(virtual, PRIVATE_NAMESPACE_FILE)) await delay(10);

const from = (name: string, port = CLIENT_PORT) => `${name} ${NODE}:${port}`;
const client = askingClient(virtual, CLIENT_PORT);
await said(client, from('primary'));

// Outside the namespace nothing leads to the address but a route to everywhere.
const outside = await new Promise<string>((resolve) => {
  const socket = connect({ host: virtual, port: 2049 });
  const timer = setTimeout(() => resolve('silence'), SILENCE_MS);
  const end = (outcome: string) => {
    clearTimeout(timer);
    socket.destroy();
    resolve(outcome);
  };
  socket.once('connect', () => end('connected'));
  socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? ''));
});

await kill(primary);
const secondary = await serve('secondary');
await said(client, from('secondary'));
primary = await serve('primary');
await kill(secondary);
await said(client, from('primary'));
// The director, too.
process.kill(supervisor.directorPid!, 'SIGKILL');
await kill(primary);
const successor = await serve('secondary');
await said(client, from('secondary'));
const answers = [...client.answers];
const routerAdvertisements = ['uplink', 'lo'].map((link) => readFileSync(acceptRa(link), 'latin1').trim());

// Another program removes the masquerade, as `nft flush ruleset` does.
const nftables = new Nftables();
nftables.commit(new Transaction(familyNumber(isV6), 'filerpair_private').deleteTable());
const late = askingClient(virtual, CLIENT_PORT - 1);
await said(late, from('secondary', CLIENT_PORT - 1));
const afterFlush = late.answers.join(', ');

// The answer to a call under way finds no entry, and the client would wait for it for a minute.
successor.kill('SIGSTOP');
await delay(SILENCE_MS);
const conntrack = new Conntrack();
const flow = {
  source: addressInside(isV6),
  sourcePort: CLIENT_PORT,
  destination: PAIR,
  destinationPort: PORTS.secondary,
};
if (!conntrack.delete(flow)) throw new Error('the connection is not tracked outside');
successor.kill('SIGCONT');
// Cut off, the client would send nothing; a connection that it opens again has an entry.
const endMs = performance.now() + PATIENCE_MS;
let afterConntrackFlush: 'ended' | 'hangs' = 'hangs';
while (performance.now() < endMs && afterConntrackFlush === 'hangs') {
  if (conntrack.entry(flow) !== null) afterConntrackFlush = 'ended';
  await delay(20);
}

for (const child of children) child.kill('SIGKILL');
await supervisor.stop();
removePrivateNamespace();
const listed = ['link', 'netns'].map((what) => spawnSync('ip', [what, 'show'], { encoding: 'utf8' }).stdout);
const left = listed.join('').match(/\bfilerpair\b/g) ?? [];
const result: PrivateResult = {
  answers,
  outside,
  afterFlush,
  afterConntrackFlush,
  routerAdvertisements,
  left,
};
rmSync(directory, { recursive: true });
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
