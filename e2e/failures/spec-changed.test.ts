/**
 * A change of the spec while a client writes: both servers get new pods, one after the other, and the client sees no more than
 * the planned gaps of four hand-overs.
 */
import { expect } from 'vitest';
import { changePods, podsOf, rolledOut } from '../harness/rollout.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

scenario(
  {
    name: 'spec-changed',
    fault: 'resources and heartbeat of the FilerPair are changed',
    gapMsGoal: 300,
    replaces: [SERVER, PARTNER],
  },
  'a changed spec reaches both servers, one after the other: nothing is lost, nothing is executed twice, home has it all',
  async ({ pair, writer, leases }) => {
    const before = await podsOf(pair);
    await writer.mark('failover');
    const heartbeat = { op: 'add', path: '/spec/failover/heartbeatPeriod', value: '150ms' };
    await step('resources and heartbeat are changed', () => changePods(pair, '300Mi', [heartbeat]));
    const states = await step('both servers have new pods, and their disk sets', () =>
      rolledOut(pair, before),
    );
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    expect([...states]).not.toContain('Blocked');
    expect(leases.ownerChanges(SERVER)).toBeGreaterThanOrEqual(2);
  },
);
