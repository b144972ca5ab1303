/** The server dies while no operator runs at all. No failover waits for one; what the status shows comes later. */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { removeOperator, returnOperator } from '../harness/faults/control-plane.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'operator-absent',
  fault: 'the server is killed while no operator runs',
  inject: async (pair, server) => {
    await removeOperator(pair);
    await killServerProcess(pair, server);
    await pair.leaseHeldBy(server, 'b', WRITER_FINISHED_MS_MAX);
    await returnOperator(pair);
  },
  gapMsGoal: 500,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
  cleanUp: returnOperator,
});
