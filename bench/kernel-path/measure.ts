/** Measures in the network namespace that main.ts has made: a server, two machines, and the generator on both. Prints JSON. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as elapsed } from 'node:timers/promises';
import { isDirected } from '../../client/node/observe.ts';
import { VIRTUAL_PORT } from '../../client/node/ruleset.ts';
import { NodeState } from '../../client/node/state.ts';
import { type Ratio, ratioOf, runGenerator } from '../comparison.ts';
import { LOADS } from '../proxy/loads.ts';
import { median } from '../rounds.ts';
import { startProcess } from '../servers/child-process.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { cpuMsOf } from '../servers/process-figures.ts';
import { addressOf, type ServerUnderTest } from '../servers/server-under-test.ts';
import { expectTracked, type Machine, makeMachine, NETWORK, trackConnections } from './namespaces.ts';

const ROOT = join(import.meta.dirname, '../..');
const WARM_UP_MS = 300;
/** Of files that are read or written. Bytes. */
const FILE_SIZE = 64 * 1024 * 1024;
const POLL_MS = 20;

const ways = ['direct', 'kernelPath'] as const;
type Way = (typeof ways)[number];

interface WayFigures {
  /** Medians of the rounds. */
  readonly perSecond: Record<Way, number>;
  readonly p50Us: Record<Way, number>;
  /** Round by round. */
  readonly toDirect: Ratio;
}
export interface KernelPathFigures {
  /** CPU time of the director and of what waits beside it, while no call is made. Percent of a core. */
  readonly idlePercent: number;
  /** By the names of the loads. */
  readonly loads: Record<string, WayFigures>;
}

interface WayIn {
  readonly machine: Machine;
  /** As the machine finds it. */
  readonly server: ServerUnderTest;
}

const [rounds = '9', ms = '1000', only = ''] = process.argv.slice(2);

async function measure(name: string, waysIn: Record<Way, WayIn>): Promise<WayFigures> {
  const load = LOADS[name];
  if (load === undefined) throw new Error(`there is no load ${name}`);
  const perSecond: Record<Way, number[]> = { direct: [], kernelPath: [] };
  const p50Us: Record<Way, number[]> = { direct: [], kernelPath: [] };
  for (let round = 0; round < Number(rounds); round++) {
    // Who goes first changes from round to round.
    for (const [i] of ways.entries()) {
      const way = ways[(i + round) % ways.length]!;
      const { machine, server } = waysIn[way];
      const sizes = { fileSize: FILE_SIZE, warmUpMs: WARM_UP_MS, measureMs: Number(ms) };
      const request = { ...addressOf(server), ...load, ...sizes };
      const result = await runGenerator(request, server, undefined, machine.file);
      expectTracked(machine);
      perSecond[way].push((result.operations * 1000) / result.elapsedMs);
      p50Us[way].push(result.latencyUs.p50);
    }
  }
  const medians = (of: Record<Way, number[]>) => ({
    direct: median(of.direct),
    kernelPath: median(of.kernelPath),
  });
  const toDirect = ratioOf(perSecond.kernelPath, perSecond.direct);
  return { perSecond: medians(perSecond), p50Us: medians(p50Us), toDirect };
}

/** The standby is loaded by then. Ms. */
const SETTLE_MS = 8000;
const IDLE_MS = 20_000;

async function idle(supervisor: number): Promise<number> {
  await elapsed(SETTLE_MS);
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').trim().split(' ');
  const processes = [supervisor, ...children.map(Number)];
  const cpuMs = () => processes.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
  const before = cpuMs();
  await elapsed(IDLE_MS);
  return ((cpuMs() - before) * 100) / IDLE_MS;
}

const machines = { direct: makeMachine('direct', 1), kernelPath: makeMachine('directed', 2) };
trackConnections(machines.direct);
const directory = mkdtempSync(join(ROOT, '.cache/bench-'));
const started: { stop: () => Promise<void> }[] = [];
try {
  const server = await startFilerpair(directory, { nodeArguments: [], network: NETWORK });
  started.push(server);
  const state = new NodeState(join(directory, 'node'));
  const at = machines.kernelPath.server;
  const { virtual } = state.allocate(`nfs://${at}:${server.port}${server.exportPath}?alone`, false);
  const program = [process.execPath, join(ROOT, 'client/cli/main.ts'), 'node', '--state', state.directory];
  const inside = [`--net=${machines.kernelPath.file}`, ...program];
  const supervisor = await startProcess('nsenter', inside, join(directory, 'director.log'));
  started.push(supervisor);
  while (!isDirected(virtual, machines.kernelPath.file)) await elapsed(POLL_MS);
  const waysIn = {
    direct: { machine: machines.direct, server: { ...server, host: machines.direct.server } },
    kernelPath: {
      machine: machines.kernelPath,
      server: { ...server, host: virtual, port: VIRTUAL_PORT, mountPort: VIRTUAL_PORT },
    },
  };
  const idlePercent = await idle(supervisor.pid);
  const loads: KernelPathFigures['loads'] = {};
  for (const name of only.split(',')) loads[name] = await measure(name, waysIn);
  const figures: KernelPathFigures = { idlePercent, loads };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  for (const each of started.reverse()) await each.stop();
  rmSync(directory, { recursive: true, force: true });
}
