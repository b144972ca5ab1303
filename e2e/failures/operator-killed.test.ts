/** The operator is killed in the middle of a takeover, and finds everything half way when it is back. */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { killOperator } from '../harness/faults/control-plane.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'operator-killed',
  fault: 'server and operator are killed',
  inject: async (pair, server) => {
    await Promise.all([killServerProcess(pair, server), killOperator(pair)]);
  },
  gapMsGoal: 500,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
