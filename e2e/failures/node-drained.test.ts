/** `kubectl drain`: pods are evicted, as before working on a node. The server hands over before it goes. */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { drainNode, uncordonNode } from '../harness/faults/nodes.ts';
import type { Pair } from '../harness/pair.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

let drained: string | undefined;

async function uncordon(pair: Pair): Promise<void> {
  if (drained !== undefined) await uncordonNode(pair, drained);
  drained = undefined;
}

failoverScenario({
  name: 'node-drained',
  fault: 'the worker node is drained',
  inject: async (pair, server) => {
    drained = (await pair.pod(server)).spec.nodeName;
    await drainNode(pair, drained);
  },
  gapMsGoal: 500,
  repair: async (pair) => {
    await uncordon(pair);
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
  },
  replacesPod: true,
  cleanUp: uncordon,
});
