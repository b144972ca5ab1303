/** The whole control plane stands still for a minute. Paired owners need it for nothing, and nobody takes over. */
import { pauseControlPlane, unpauseControlPlane } from '../harness/faults/control-plane.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

steadyScenario({
  name: 'api-down',
  fault: 'the control plane stands still for a minute',
  inject: pauseControlPlane,
  lastsMs: 60_000,
  heal: unpauseControlPlane,
  served: true,
  gapMsGoal: 300,
  cleanUp: unpauseControlPlane,
});
