/** SIGKILL of the server process. The sentinel sees it die and tells the partner at once: no timeout is involved. */

import { failoverScenario } from '../harness/failover-scenario.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'process-killed',
  fault: 'the server process is killed',
  inject: killServerProcess,
  gapMsGoal: 500,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
