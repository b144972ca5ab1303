/**
 * The node with the disk loses its power. Kubernetes does not take a disk from a node of which it only knows that it is silent;
 * so somebody who has switched it off says so, and then it does.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { killNode, startNode } from '../harness/faults/nodes.ts';
import type { Thing } from '../harness/kubectl.ts';
import { step } from '../harness/step.ts';
import { NODE_BACK_MS_MAX, NODE_LOST_MS_MAX, OUT_OF_SERVICE_MS_MAX } from '../harness/timeouts.ts';
import { movingScenario } from './moving-scenario.ts';

interface NodeThing extends Thing {
  readonly spec: { readonly taints?: readonly { readonly key: string }[] };
  readonly status: { readonly nodeInfo: { readonly bootID: string } };
}

let killed: string | undefined;

async function powerOn(): Promise<void> {
  if (killed !== undefined) await startNode(killed);
  killed = undefined;
}

movingScenario({
  name: 'reattach-node-killed',
  fault: 'the worker node loses its power, and an administrator says so',
  // Kubernetes takes 50 s to find out that the node is silent, and looks for marked nodes every 20 s.
  gapMsGoal: 80_000,
  // Less than Kubernetes needs: nobody else could serve, so it does not count.
  disks: { reattach: { lostNodes: { policy: 'Confirmed' }, attachTimeout: '20s' } },
  inject: async (pair, server) => {
    const node = (await pair.attachmentPod(server)).spec.nodeName;
    const { bootID } = (await pair.kubectl.get<NodeThing>('node', node)).status.nodeInfo;
    killed = node;
    await killNode(node);
    const sentence = await step('the status says what it waits for', () =>
      pair.conditionSays('Ready', 'DisksStuck', NODE_LOST_MS_MAX),
    );
    expect(sentence).toContain(`node ${node}, where they are mounted, is not ready`);
    expect(sentence).toContain('or when somebody confirms that it is switched off');
    await pair.kubectl.run('annotate', 'node', node, `filerpair.dev/powered-off=${bootID}`, '--overwrite');
  },
  servedMsMax: OUT_OF_SERVICE_MS_MAX,
  repair: async (pair) => {
    const node = killed!;
    await powerOn();
    await pair.takeoverPossible(NODE_BACK_MS_MAX);
    await step('the mark is taken off the node', () =>
      eventually('the node is in service', NODE_BACK_MS_MAX, async () => {
        const { spec } = await pair.kubectl.get<NodeThing>('node', node);
        return !spec.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service');
      }),
    );
  },
  replacesPod: true,
  cleanUp: powerOn,
});
