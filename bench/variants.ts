/** Variants of our own server, which run at the same time and take turns: what a part of it costs, or brings. */

import { runGenerator } from './comparison.ts';
import type { WorkloadName } from './generator/messages.ts';
import { inTurn, median } from './rounds.ts';
import { addressOf, type ServerUnderTest } from './servers/server-under-test.ts';

export interface VariantPlan {
  readonly workload: WorkloadName;
  readonly rounds: number;
  readonly measureMs: number;
  readonly connections: number;
  readonly depth: number;
}

/** Medians of the rounds. */
export interface VariantFigures {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU time of the server for one operation. */
  readonly cpuUs: number;
}

/** Files are small: they are about calls, not about bytes. */
const FILE_SIZE = 1024 * 1024;
const WARM_UP_MS = 500;

export async function compareVariants<Name extends string>(
  servers: ReadonlyMap<Name, ServerUnderTest>,
  { workload, rounds, measureMs, connections, depth }: VariantPlan,
): Promise<Map<Name, VariantFigures>> {
  const measured = new Map<Name, VariantFigures[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of inTurn([...servers], round)) {
      const load = { workload, connections, depth, fileSize: FILE_SIZE, warmUpMs: WARM_UP_MS, measureMs };
      const request = { ...addressOf(server), ...load };
      const { operations, elapsedMs, latencyUs, serverCpu } = await runGenerator(request, server);
      const perSecond = (operations * 1000) / elapsedMs;
      const figures = {
        perSecond,
        p50Us: latencyUs.p50,
        p99Us: latencyUs.p99,
        cpuUs: (serverCpu * 1e6) / perSecond,
      };
      measured.set(name, [...(measured.get(name) ?? []), figures]);
    }
  }
  return new Map([...servers.keys()].map((name) => [name, medians(measured.get(name)!)]));
}

function medians(rounds: readonly VariantFigures[]): VariantFigures {
  const of = (key: keyof VariantFigures): number => median(rounds.map((one) => one[key]));
  return { perSecond: of('perSecond'), p50Us: of('p50Us'), p99Us: of('p99Us'), cpuUs: of('cpuUs') };
}
