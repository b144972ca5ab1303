/**
 * The node that a disk leaves is drained while the storage has not let go of it yet: nothing there but the VolumeAttachment
 * tells of the disk then. The server that is evicted there is made again elsewhere or waits; when the storage lets go, the move
 * ends.
 */
import { readEnvironment } from '../environment.ts';
import { drainNode, uncordonNode } from '../harness/faults/nodes.ts';
import type { Pair } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { allow, refuse } from './disk-faults.ts';
import { movingScenario } from './moving-scenario.ts';

let node: string | undefined;

function letGo(): void {
  if (node !== undefined) allow(readEnvironment().cluster, 'refuse-detach', node);
}

async function recover(pair: Pair): Promise<void> {
  letGo();
  if (node !== undefined) await uncordonNode(pair, node);
  node = undefined;
}

movingScenario({
  name: 'reattach-node-drained-while-detaching',
  fault: 'the worker node is drained while its disk is being detached',
  // As long as the test keeps the storage from letting go.
  gapMsGoal: 40_000,
  disks: { reattach: { attachTimeout: '300s' } },
  inject: async (pair, server) => {
    node = (await pair.attachmentPod(server)).spec.nodeName;
    refuse(pair.environment.cluster, 'refuse-detach', node, 'the array does not answer');
    await pair.request('takeover', server);
    await step('the pod has gone, and the storage does not let go', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX, 'which does not succeed'),
    );
    await step('the node is drained', () => drainNode(pair, node!));
    await step('the status says what it waits for', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX, 'the array does not answer'),
    );
    await step('the storage lets go', async () => letGo());
  },
  repair: async (pair) => {
    await recover(pair);
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
  },
  replacesPod: true,
  cleanUp: recover,
});
