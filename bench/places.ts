/**
 * One comparison of two runs, in the second of which the servers' directories have exchanged their places. The place of a
 * directory on its file system counts: in favour of one server in one run, of the other in the other.
 */

import type { ComparisonFigures, Measured, Ratio, WorkloadFigures } from './comparison.ts';

const mean = (a: number, b: number): number => (a + b) / 2;

/** The place multiplies the ratio of one run by what it divides that of the other by. */
export function ratioOfPlaces(a: Ratio, b: Ratio): Ratio {
  return {
    median: Math.sqrt(a.median * b.median),
    least: Math.min(a.least, b.least),
    greatest: Math.max(a.greatest, b.greatest),
  };
}

function measuredInPlaces(a: Measured, b: Measured): Measured {
  const measured: Measured = {
    perSecond: mean(a.perSecond, b.perSecond),
    latencyUs: { p50: mean(a.latencyUs.p50, b.latencyUs.p50), p99: mean(a.latencyUs.p99, b.latencyUs.p99) },
    serverCpuUs: mean(a.serverCpuUs, b.serverCpuUs),
    serverCpu: mean(a.serverCpu, b.serverCpu),
    generatorCpu: mean(a.generatorCpu, b.generatorCpu),
    rounds: [...a.rounds, ...b.rounds],
  };
  if (a.mibPerSecond !== undefined && b.mibPerSecond !== undefined)
    measured.mibPerSecond = mean(a.mibPerSecond, b.mibPerSecond);
  return measured;
}

function workloadInPlaces(a: WorkloadFigures, b: WorkloadFigures): WorkloadFigures {
  const figures: WorkloadFigures = { ...a, servers: {} };
  for (const name of Object.keys(a.servers) as (keyof WorkloadFigures['servers'])[])
    figures.servers[name] = measuredInPlaces(a.servers[name]!, b.servers[name]!);
  if (a.ratio !== undefined && b.ratio !== undefined) figures.ratio = ratioOfPlaces(a.ratio, b.ratio);
  return figures;
}

/** The same workloads of the same servers. Memory is that of the second run. */
export function inBothPlaces(first: ComparisonFigures, second: ComparisonFigures): ComparisonFigures {
  const workloads = first.workloads.map((figures, i) => workloadInPlaces(figures, second.workloads[i]!));
  return { workloads, memoryMiB: second.memoryMiB };
}
