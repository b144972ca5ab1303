/** SIGKILL of the sentinel: it may not speak for a server that lives, so nothing happens but its restart. */
import { findProcess, signal } from '../harness/faults/processes.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

steadyScenario({
  name: 'sentinel-killed',
  fault: 'the sentinel is killed',
  inject: async (pair, server) => signal('KILL', await findProcess(pair, server, 'sentinel')),
  lastsMs: 4_000,
  heal: async () => {},
  served: true,
  gapMsGoal: 300,
});
