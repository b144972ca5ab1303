/**
 * The node with the disk is cut off from everything, and nobody says that it is off: its server stops by itself, its disk stays
 * mounted there, and nobody else gets it. When the node is back, the disk moves.
 */
import { expect } from 'vitest';
import { isolateNode, rejoinNode } from '../harness/faults/network.ts';
import { step } from '../harness/step.ts';
import { NODE_BACK_MS_MAX, NODE_LOST_MS_MAX } from '../harness/timeouts.ts';
import { movingScenario } from './moving-scenario.ts';

let isolated: string | undefined;

async function rejoin(): Promise<void> {
  if (isolated !== undefined) await rejoinNode(isolated);
  isolated = undefined;
}

movingScenario({
  name: 'reattach-node-partitioned',
  fault: 'the worker node is cut off, and comes back with the disk still mounted',
  // Until Kubernetes has noticed, which the test waits for, and then the move.
  gapMsGoal: 80_000,
  inject: async (pair, server) => {
    const node = (await pair.attachmentPod(server)).spec.nodeName;
    isolated = node;
    await isolateNode(node);
    const sentence = await step('the status says what it waits for', () =>
      pair.conditionSays('Ready', 'DisksStuck', NODE_LOST_MS_MAX),
    );
    expect(sentence).toContain(`node ${node}, where they are mounted, is not ready`);
    const attached = await pair.kubectl.run(
      'get',
      'volumeattachments',
      '-o',
      'jsonpath={.items[*].spec.nodeName}',
    );
    expect(attached, 'the disk stays where it is').toContain(node);
    await step('the node is back', rejoin);
  },
  servedMsMax: NODE_BACK_MS_MAX,
  repair: (pair) => pair.takeoverPossible(NODE_BACK_MS_MAX),
  replacesPod: true,
  cleanUp: rejoin,
});
