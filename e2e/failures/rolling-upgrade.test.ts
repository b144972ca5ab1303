/**
 * A change of the spec that needs new pods, and a new operator at the same time. Servers are replaced one after the other, each
 * through a takeover and a giveback: clients see planned gaps and nothing else.
 */
import { expect } from 'vitest';
import { restartOperator } from '../harness/faults/control-plane.ts';
import { SERVERS } from '../harness/pair.ts';
import { changePods, podsOf, rolledOut } from '../harness/rollout.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

scenario(
  {
    name: 'rolling-upgrade',
    fault: 'both servers and the operator are replaced, one after the other',
    gapMsGoal: 300,
    replaces: SERVERS,
  },
  'a rolling upgrade under load: planned gaps, nothing is lost, nothing is executed twice',
  async ({ pair, writer, leases }) => {
    const before = await podsOf(pair);
    await writer.mark('failover');
    await step('the spec is changed', () => changePods(pair, '260Mi'));
    await step('the operator is replaced', () => restartOperator(pair));
    await step('both servers have new pods and their disk sets', () => rolledOut(pair, before));
    await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    expect(leases.ownerChanges(SERVER), 'changes of owner').toBe(2);
  },
);
