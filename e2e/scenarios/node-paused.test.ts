/**
 * A worker node hangs (docker pause): no error message, no refused connection, only silence. The partner waits for lease +
 * guard. When the node goes on, the kernel has killed the server before it could write (dead man's switch), and the restarted
 * one finds that it owns nothing.
 */

import { failoverScenario } from '../harness/failover-scenario.ts';
import { pauseNode, unpauseNode } from '../harness/faults/nodes.ts';
import { NODE_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

let paused: string | undefined;

async function unpause(): Promise<void> {
  if (paused !== undefined) await unpauseNode(paused);
  paused = undefined;
}

failoverScenario({
  name: 'node-paused',
  fault: 'the worker node is paused',
  inject: async (pair, server) => {
    const node = (await pair.pod(server)).spec.nodeName;
    await pauseNode(node);
    paused = node;
  },
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: async (pair) => {
    await unpause();
    await pair.takeoverPossible(NODE_BACK_MS_MAX);
  },
  // The pause is shorter than podReplacement.nodeNotReadyTimeout: the same pod goes on.
  replacesPod: false,
  cleanUp: unpause,
});
