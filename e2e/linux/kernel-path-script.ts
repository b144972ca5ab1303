/**
 * A real pair, a supervisor with its director and clients that connect as the kernel's does, all in one network namespace: kills,
 * freezes, givebacks and dead directors, and what the clients saw of them. Prints it as JSON.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KernelLikeClient } from '../../client/node/kernel-client.fixture.ts';
import { NFPROTO_IPV4, Nftables, Transaction } from '../../client/node/netlink/nftables.ts';
import { isDirected } from '../../client/node/observe.ts';
import { TABLE } from '../../client/node/ruleset.ts';
import { NodeState } from '../../client/node/state.ts';
import { Supervisor } from '../../client/node/supervisor.ts';
import { LOCAL_EXPORT, LocalPair } from '../harness/local-pair.ts';

export type Fault =
  | 'kill'
  | 'freeze'
  | 'giveback'
  | 'director'
  | 'directorAndKill'
  | 'directorAndFreeze'
  | 'directorAndGiveback'
  | 'nodeReplaced'
  | 'rulesFlushed';

export interface FaultResult {
  readonly fault: Fault;
  /** The longest time between two acknowledged writes of one client. Ms. */
  readonly gapMs: number;
  /** Of the wall clock, as what follows. */
  readonly begunAtMs: number;
  /** Of each client, when its writes were acknowledged until all went on. */
  readonly acknowledgedAtMs: readonly (readonly number[])[];
  /** Connections that were refused: each costs the kernel's client three seconds. */
  readonly refused: number;
  readonly connections: readonly string[];
}

export interface KernelPathResult {
  readonly faults: readonly FaultResult[];
  readonly acknowledged: number;
  readonly errors: readonly string[];
  readonly lost: number;
  readonly doubled: number;
}

/** Writes of each client between two faults. */
const WRITES = 40;
/** As many as nconnect=4 makes: each connection has its own port, and its own call under way. */
const CLIENTS = 4;

const faults = process.argv.slice(2) as Fault[];
const pair = await LocalPair.start();
const directory = mkdtempSync(join(tmpdir(), 'filerpair-kernel-path-'));
const state = new NodeState(directory);
const { virtual } = state.allocate(pair.stage.url('filer-a'), false);
const supervise = () => new Supervisor({ stateDirectory: directory, verbose: true });
let supervisor = supervise();
/** The sockets of another program. */
const nftables = new Nftables();
while (!isDirected(virtual)) await delay(10);
const clients = Array.from(
  { length: CLIENTS },
  (_, index) => new KernelLikeClient(virtual, 2049, 900 - index),
);
const writing = clients.map((client, index) => client.write(LOCAL_EXPORT, `lines-${index}`));

async function progress(): Promise<void> {
  const goals = clients.map(({ acks }) => acks.length + WRITES);
  while (clients.some(({ acks }, index) => acks.length < goals[index]!)) await delay(5);
}

const DOES: Record<Fault, () => Promise<void>> = {
  async kill() {
    pair.stage.kill('filer-a');
    await pair.servedBy('filer-a', 'filer-b');
  },
  async freeze() {
    pair.stage.freeze('filer-a');
    await pair.servedBy('filer-a', 'filer-b');
    pair.stage.kill('filer-a');
  },
  giveback: () => pair.giveBack('filer-a'),
  async director() {
    killDirector();
    await delay(500);
  },
  directorAndKill() {
    killDirector();
    return DOES.kill();
  },
  directorAndFreeze() {
    killDirector();
    return DOES.freeze();
  },
  async directorAndGiveback() {
    const isGivenBack = pair.giveBack('filer-a');
    await pair.stage.waitFor('the giveback begins', async () => {
      const set = (await pair.stage.status('filer-b'))?.diskSets.find(({ home }) => home === 'filer-a');
      return set?.owner === 'filer-b' && set.phase === 'open' ? null : true;
    });
    killDirector();
    await isGivenBack;
  },
  async rulesFlushed() {
    nftables.commit(new Transaction(NFPROTO_IPV4, TABLE).deleteTable());
  },
  async nodeReplaced() {
    await supervisor.stop();
    supervisor = supervise();
    while (supervisor.directorPid === undefined || !isDirected(virtual)) await delay(10);
  },
};

function killDirector(): void {
  process.kill(supervisor.directorPid!, 'SIGKILL');
}

async function suffer(fault: Fault): Promise<FaultResult> {
  const begunMs = performance.now();
  await DOES[fault]();
  await progress();
  const acknowledgedAtMs = clients.map(({ acks }) => {
    const from = acks.findLastIndex(({ atMs }) => atMs < begunMs) + 1;
    return acks.slice(from).map(({ atMs }) => performance.timeOrigin + atMs);
  });
  const gaps = clients.map(({ acks }, index) => {
    const own = acks.slice(acks.length - acknowledgedAtMs[index]!.length - 1);
    return own.slice(1).reduce((longest, { atMs }, at) => Math.max(longest, atMs - own[at]!.atMs), 0);
  });
  const connections = clients.flatMap((client) => client.connections.filter(({ atMs }) => atMs > begunMs));
  return {
    fault,
    gapMs: Math.round(Math.max(...gaps)),
    begunAtMs: performance.timeOrigin + begunMs,
    acknowledgedAtMs,
    refused: connections.filter(({ outcome }) => outcome === 'ECONNREFUSED').length,
    connections: connections.map(({ atMs, outcome }) => `${Math.round(atMs - begunMs)} ${outcome}`),
  };
}

await progress();
const results: FaultResult[] = [];
for (const fault of faults) results.push(await suffer(fault));
for (const client of clients) client.stop();
await Promise.all(writing);

let lost = 0;
let doubled = 0;
for (const [index, { acks }] of clients.entries()) {
  const path = join(pair.stage.volume('filer-a'), `lines-${index}`);
  const lines = readFileSync(path, 'latin1').trim().split('\n').map(Number);
  const found = new Set(lines);
  lost += acks.filter(({ number }) => !found.has(number)).length;
  doubled += lines.length - found.size;
}
const result: KernelPathResult = {
  faults: results,
  acknowledged: clients.reduce((sum, { acks }) => sum + acks.length, 0),
  errors: clients.flatMap(({ errors }) => errors),
  lost,
  doubled,
};
for (const client of clients) client.close();
await supervisor.stop();
await pair.stop();
rmSync(directory, { recursive: true });
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
