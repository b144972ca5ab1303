/**
 * Scenarios in which something breaks and no disk set may change its owner: a failover that nobody needed is an interruption
 * that nobody needed.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import type { Pair, Server } from './pair.ts';
import { LINES_AFTERWARDS, SERVER, type Stage, scenario } from './scenario.ts';
import { step } from './step.ts';
import { WRITER_FINISHED_MS_MAX } from './timeouts.ts';

export interface SteadyScenario {
  readonly name: string;
  readonly fault: string;
  readonly inject: (pair: Pair, server: Server) => Promise<void>;
  /** How long the fault lasts, ms: longer than anything that would lead to a failover. */
  readonly lastsMs: number;
  readonly heal: (pair: Pair, server: Server) => Promise<void>;
  /** Whether the writer must be served while the fault lasts. */
  readonly served: boolean;
  readonly gapMsGoal: number;
  readonly cleanUp?: (pair: Pair) => Promise<void>;
}

export function steadyScenario(steady: SteadyScenario): void {
  scenario(
    { ...steady, replaces: [] },
    `${steady.fault}: every disk set stays where it is, and nothing is lost`,
    (stage) => play(steady, stage),
  );
}

async function play(steady: SteadyScenario, { pair, writer, leases }: Stage): Promise<void> {
  const before = leases.ownerChanges(SERVER);
  await writer.mark('failover');
  const from = performance.now();
  await step(steady.fault, () => steady.inject(pair, SERVER));
  if (steady.served)
    await step('the writer is served all the same', () =>
      writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX),
    );
  await eventually(
    'the fault has lasted',
    2 * steady.lastsMs,
    () => performance.now() - from > steady.lastsMs,
  );
  await step('it is healed', () => steady.heal(pair, SERVER));
  await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  await step('a takeover is possible again', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
  expect(leases.ownerChanges(SERVER), 'changes of owner').toBe(before);
}
