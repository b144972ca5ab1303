/**
 * The comparison: each workload in rounds that alternate between the servers, so that whatever else the machine does hits both;
 * the median round counts, and of the ratios the median one.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { FromGenerator, RunFigures, RunRequest, WorkloadName } from './generator/messages.ts';
import { inTurn, median } from './rounds.ts';
import type { MemoryMiB } from './servers/process-figures.ts';
import { cpuMsOf, memoryOf } from './servers/process-figures.ts';
import { addressOf, type ServerUnderTest } from './servers/server-under-test.ts';

/** Bytes of the files that are read or written: in the page cache, larger than any processor's own caches. */
const FILE_SIZE = 64 * 1024 * 1024;

export interface Plan {
  workloads: readonly WorkloadName[];
  rounds: number;
  warmUpMs: number;
  measureMs: number;
  connections: number;
  depth: number;
}

export interface Measured {
  perSecond: number;
  /** Payload; absent for workloads without. */
  mibPerSecond?: number;
  latencyUs: { p50: number; p99: number };
  /** CPU time that the server spent on one operation: what depends least on what else the machine does. */
  serverCpuUs: number;
  /** CPU seconds for each second: of the server, of the generator. */
  serverCpu: number;
  generatorCpu: number;
  /** Every round's operations a second, in order. */
  rounds: number[];
}

/**
 * FilerPair's operations a second for each of the other server's, round by round: the two of a round are seconds apart, on a
 * machine whose minutes differ.
 */
export interface Ratio {
  median: number;
  least: number;
  greatest: number;
}

export interface WorkloadFigures {
  workload: WorkloadName;
  connections: number;
  depth: number;
  servers: Partial<Record<ServerUnderTest['name'], Measured>>;
  /** Absent without both. */
  ratio?: Ratio;
}

export interface MemoryFigures {
  idle: MemoryMiB;
  /** After all workloads. */
  loaded: MemoryMiB;
}

export interface ComparisonFigures {
  workloads: WorkloadFigures[];
  memoryMiB: Partial<Record<ServerUnderTest['name'], MemoryFigures>>;
}

/** onWorkload is called as soon as a workload's figures are complete. */
export async function compare(
  servers: readonly ServerUnderTest[],
  plan: Plan,
  onWorkload: (figures: WorkloadFigures) => void,
): Promise<ComparisonFigures> {
  const idle = servers.map((server) => memoryOf(server.pid));
  const workloads: WorkloadFigures[] = [];
  for (const workload of plan.workloads) {
    const figures = await compareWorkload(servers, plan, workload);
    workloads.push(figures);
    onWorkload(figures);
  }
  const memoryMiB: ComparisonFigures['memoryMiB'] = {};
  for (const [index, server] of servers.entries()) {
    memoryMiB[server.name] = { idle: idle[index]!, loaded: memoryOf(server.pid) };
  }
  return { workloads, memoryMiB };
}

export type Round = RunFigures & { serverCpu: number };

async function compareWorkload(
  servers: readonly ServerUnderTest[],
  plan: Plan,
  workload: WorkloadName,
): Promise<WorkloadFigures> {
  const single = workload.endsWith('1x1');
  const [connections, depth] = single ? [1, 1] : [plan.connections, plan.depth];
  const rounds = new Map<ServerUnderTest, Round[]>(servers.map((server) => [server, []]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const server of inTurn(servers, round)) {
      const { warmUpMs, measureMs } = plan;
      const load = { workload, connections, depth, fileSize: FILE_SIZE, warmUpMs, measureMs };
      const request = { ...addressOf(server), ...load };
      rounds.get(server)!.push(await runGenerator(request, server));
    }
  }
  const figures: WorkloadFigures = { workload, connections, depth, servers: {} };
  for (const [server, results] of rounds) figures.servers[server.name] = summarize(results);
  const [ours, theirs] = servers.map(({ name }) => figures.servers[name]);
  if (ours !== undefined && theirs !== undefined) figures.ratio = ratioOf(ours.rounds, theirs.rounds);
  return figures;
}

/** Of the rounds' operations a second, in order. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Ratio {
  const ratios = ours.map((rate, round) => rate / theirs[round]!);
  return { median: median(ratios), least: Math.min(...ratios), greatest: Math.max(...ratios) };
}

function summarize(rounds: Round[]): Measured {
  const perSecond = (round: Round) => (round.operations * 1000) / round.elapsedMs;
  const sorted = rounds.toSorted((a, b) => perSecond(a) - perSecond(b));
  const middle = sorted[Math.floor(sorted.length / 2)]!;
  const { p50, p99 } = middle.latencyUs;
  const measured: Measured = {
    perSecond: perSecond(middle),
    latencyUs: { p50, p99 },
    serverCpuUs: (middle.serverCpu * 1e6) / perSecond(middle),
    serverCpu: middle.serverCpu,
    generatorCpu: middle.generatorCpu,
    rounds: rounds.map(perSecond),
  };
  if (middle.payloadSize > 0) measured.mibPerSecond = (perSecond(middle) * middle.payloadSize) / 2 ** 20;
  return measured;
}

const GENERATOR = join(import.meta.dirname, 'generator/main.ts');

/**
 * One run in a process of its own; `observe` is called when the measured time begins and when it ends. Error: the server refused
 * or failed a call, with the workload's name. `namespace`: file of the network namespace in which it runs.
 */
export async function runGenerator(
  request: RunRequest,
  server: ServerUnderTest,
  observe: () => void = () => {},
  namespace: string | null = null,
): Promise<Round> {
  const generator =
    namespace === null
      ? fork(GENERATOR, { execArgv: [] })
      : fork(GENERATOR, { execPath: 'nsenter', execArgv: [`--net=${namespace}`, process.execPath] });
  const exit = once(generator, 'exit');
  const result = Promise.withResolvers<Round>();
  let cpuMs = 0;
  generator.on('message', (message: FromGenerator) => {
    switch (message.kind) {
      case 'measuring':
        cpuMs = -cpuMsOf(server.pid);
        observe();
        return;
      case 'measured':
        cpuMs += cpuMsOf(server.pid);
        observe();
        return;
      case 'done':
        result.resolve({ ...message.figures, serverCpu: cpuMs / message.figures.elapsedMs });
        return;
      case 'failed':
        result.reject(failure(request, server, message.message));
    }
  });
  // Not 'exit', which may come before the last message: the channel ends after everything in it has been read.
  generator.on('disconnect', () =>
    result.reject(failure(request, server, 'the generator ended without a result')),
  );
  generator.send(request);
  try {
    return await result.promise;
  } finally {
    await exit;
  }
}

function failure(request: RunRequest, server: ServerUnderTest, reason: string): Error {
  return new Error(`${request.workload} on ${server.title} failed: ${reason}`);
}
