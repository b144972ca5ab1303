/**
 * The server's process dies on a node that lives: its disk has to be unmounted and detached there. With claims of the strictest
 * kind: ReadWriteOncePod, made when their first pod has a node (WaitForFirstConsumer).
 */
import { STORAGE_CLASS_LATE } from '../csi/install.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { CRASH_MS_GOAL, movingScenario } from './moving-scenario.ts';

movingScenario({
  name: 'reattach-server-crash',
  fault: 'SIGKILL of the server process',
  gapMsGoal: CRASH_MS_GOAL,
  // The scheduler chooses the node for the disk, and lets one pod alone have it.
  disks: { claim: { accessModes: ['ReadWriteOncePod'], storageClassName: STORAGE_CLASS_LATE } },
  inject: killServerProcess,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
});
