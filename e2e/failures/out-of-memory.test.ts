/** The kernel kills the server's container for its memory. The sentinel, in a container of its own, reports it. */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { exhaustMemory } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'out-of-memory',
  fault: 'the kernel kills the server for its memory',
  inject: exhaustMemory,
  gapMsGoal: 500,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
