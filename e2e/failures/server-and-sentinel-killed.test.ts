/**
 * SIGKILL of server and sentinel in one moment: nobody is left to say so. The partner waits for lease + guard, unless the
 * kubelet is faster: then the operator's proof is.
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { findProcess, signal } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'server-and-sentinel-killed',
  fault: 'server and sentinel are killed at once',
  inject: async (pair, server) =>
    signal('KILL', await findProcess(pair, server, 'sentinel'), await findProcess(pair, server, 'server')),
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
