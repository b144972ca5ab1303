/**
 * An administrator asks for a takeover, and for the giveback afterwards. Both are FilerPairOperations, and both are hand-overs:
 * the owner finishes its work and releases.
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'takeover-requested',
  fault: 'a takeover is asked for',
  inject: (pair, server) => pair.request('takeover', server),
  gapMsGoal: 300,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
