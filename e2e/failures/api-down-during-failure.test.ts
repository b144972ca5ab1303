/**
 * The server dies while the control plane stands still. Nobody can claim without the witness (rule R4): the disk set is served
 * again when the API answers again, and not a moment before the witness has decided which server does it.
 */

import { pause } from '../../testing/pause.ts';
import { failoverScenario } from '../harness/failover-scenario.ts';
import { pauseControlPlane, unpauseControlPlane } from '../harness/faults/control-plane.ts';
import { findProcess, signal } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

const OUTAGE_MS = 60_000;

failoverScenario({
  name: 'api-down-during-failure',
  fault: `the server is killed while the control plane stands still for ${OUTAGE_MS / 1000} s`,
  inject: async (pair, server) => {
    const process = await findProcess(pair, server, 'server');
    await pauseControlPlane(pair);
    await signal('KILL', process);
    await pause(OUTAGE_MS, 'the control plane stands still for so long');
    await unpauseControlPlane(pair);
  },
  gapMsGoal: OUTAGE_MS + 2_000,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
  cleanUp: unpauseControlPlane,
});
