/**
 * Takeover and giveback, fifty times in a row. Leaks, counters that run full and things left over from the cycle before show
 * only so.
 */
import { expect } from 'vitest';
import { PhaseTimes } from '../harness/phase-times.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { say } from '../machine/stage.ts';

const CYCLES = 50;

scenario(
  {
    name: 'fifty-cycles',
    fault: `takeover and giveback, ${CYCLES} times`,
    gapMsGoal: 300,
    replaces: [],
    msMax: 20 * 60_000,
  },
  `${CYCLES} takeovers and givebacks in a row: nothing is lost, nothing is executed twice`,
  async ({ pair, writer, leases }) => {
    const before = leases.ownerChanges(SERVER);
    const phases = { Takeover: new PhaseTimes(), Giveback: new PhaseTimes() };
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      await step(`cycle ${cycle}`, async () => {
        await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
        await writer.mark(`failover ${cycle}`);
        await pair.request('takeover', SERVER);
        await pair.servedBy(SERVER, PARTNER, WRITER_FINISHED_MS_MAX);
        await writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
        phases.Takeover.add(await pair.lastTransition(SERVER));
        await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
        await writer.mark(`giveback ${cycle}`);
        // On a machine that is too busy the survivor may have lost it again: see failover-scenario.ts.
        if (pair.ownerOf(SERVER) === PARTNER) await pair.request('giveback', SERVER);
        await pair.servedBy(SERVER, SERVER, WRITER_FINISHED_MS_MAX);
        await writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
        phases.Giveback.add(await pair.lastTransition(SERVER));
      });
    }
    for (const [kind, times] of Object.entries(phases)) say(`  ${kind}, by phase: ${times.summary}`);
    expect(leases.ownerChanges(SERVER) - before, 'changes of owner').toBeGreaterThanOrEqual(2 * CYCLES);
  },
);
