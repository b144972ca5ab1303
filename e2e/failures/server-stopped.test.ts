/**
 * SIGSTOP of the server beyond its lease, then SIGCONT. It could not fence itself; its dead man's switch must have killed it
 * before its next write could land. The books would show it: two owners wrote, or a line is overwritten.
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { findProcess, type NodeProcess, signal } from '../harness/faults/processes.ts';
import { SERVER_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

let stopped: NodeProcess | undefined;

failoverScenario({
  name: 'server-stopped',
  fault: 'the server process is stopped (SIGSTOP)',
  inject: async (pair, server) => {
    stopped = await findProcess(pair, server, 'server');
    await signal('STOP', stopped);
  },
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: async (pair) => {
    // It is dead by now, unless the switch has failed: then this is the moment at which it would write.
    await signal('CONT', stopped!).catch(() => {});
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
  },
  replacesPod: false,
});
