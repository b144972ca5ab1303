// The server's process dies on a node that lives: its disk has to be unmounted and detached there.
import { killServerProcess } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { CRASH_MS_GOAL, movingScenario } from './moving-scenario.ts';

movingScenario({
  name: 'reattach-server-crash',
  fault: 'SIGKILL of the server process',
  gapMsGoal: CRASH_MS_GOAL,
  inject: killServerProcess,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
});
