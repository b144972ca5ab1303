/** Power off, and on again. Nobody says anything; the node comes back with the pods that the API still lists on it. */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { killNode, startNode } from '../harness/faults/nodes.ts';
import { NODE_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

let killed: string | undefined;

async function powerOn(): Promise<void> {
  if (killed !== undefined) await startNode(killed);
  killed = undefined;
}

failoverScenario({
  name: 'node-killed',
  fault: 'the worker node loses its power',
  inject: async (pair, server) => {
    killed = (await pair.pod(server)).spec.nodeName;
    await killNode(killed);
  },
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: async (pair) => {
    await powerOn();
    await pair.takeoverPossible(NODE_BACK_MS_MAX);
  },
  // A node that was off gives its pods new addresses.
  replacesPod: true,
  cleanUp: powerOn,
});
