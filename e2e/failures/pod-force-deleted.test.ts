/**
 * `kubectl delete pod --force --grace-period=0`. The pod's object is gone at once, and with it the server's account at the API,
 * while its process still runs. A pod that is missing from the API proves nothing (rule R5).
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { forceDeletePod } from '../harness/faults/pods.ts';
import { SERVER_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'pod-force-deleted',
  fault: 'the pod is deleted by force',
  inject: forceDeletePod,
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: true,
});
