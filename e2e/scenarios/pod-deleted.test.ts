/**
 * `kubectl delete pod`. The server gets SIGTERM, finishes what it is doing, releases its disk set to its partner, and the
 * operator makes a new pod.
 */

import { failoverScenario } from '../harness/failover-scenario.ts';
import { deletePod } from '../harness/faults/pods.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'pod-deleted',
  fault: 'the pod is deleted',
  inject: deletePod,
  gapMsGoal: 500,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: true,
});
