/**
 * The node loses its power when the pod that held the disk has gone already and the storage has not let go yet: nothing but the
 * VolumeAttachment tells of the disk then. An administrator says that the node is off, and the disk moves.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { readEnvironment } from '../environment.ts';
import { killNode, startNode } from '../harness/faults/nodes.ts';
import type { Thing } from '../harness/kubectl.ts';
import { step } from '../harness/step.ts';
import {
  NODE_BACK_MS_MAX,
  NODE_LOST_MS_MAX,
  OUT_OF_SERVICE_MS_MAX,
  REQUEST_ANSWERED_MS_MAX,
} from '../harness/timeouts.ts';
import { allow, refuse } from './disk-faults.ts';
import { movingScenario } from './moving-scenario.ts';

interface NodeThing extends Thing {
  readonly spec: { readonly taints?: readonly { readonly key: string }[] };
  readonly status: { readonly nodeInfo: { readonly bootID: string } };
}

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

let killed: string | undefined;
let refused: string | undefined;

function letGo(): void {
  if (refused !== undefined) allow(readEnvironment().cluster, 'refuse-detach', refused);
  refused = undefined;
}

async function powerOn(): Promise<void> {
  letGo();
  if (killed !== undefined) await startNode(killed);
  killed = undefined;
}

movingScenario({
  name: 'reattach-node-killed-while-detaching',
  fault: 'the worker node loses its power while its disk is being detached, and an administrator says so',
  // As when it is killed before; the storage lets go as soon as the node is marked.
  gapMsGoal: 100_000,
  disks: { reattach: { lostNodes: { policy: 'Confirmed' }, attachTimeout: '300s' } },
  inject: async (pair, server) => {
    const node = (await pair.attachmentPod(server)).spec.nodeName;
    const { bootID } = (await pair.kubectl.get<NodeThing>('node', node)).status.nodeInfo;
    refused = node;
    refuse(pair.environment.cluster, 'refuse-detach', node, 'the array does not answer');
    await pair.request('takeover', server);
    await step('the pod has gone, and the storage does not let go', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX, 'which does not succeed'),
    );
    killed = node;
    await killNode(node);
    const sentence = await step('the status says that the node is lost', () =>
      pair.conditionSays('Ready', 'DisksStuck', NODE_LOST_MS_MAX, 'is not ready'),
    );
    expect(sentence).toContain('or when somebody confirms that it is switched off');
    await pair.kubectl.run('annotate', 'node', node, `filerpair.dev/powered-off=${bootID}`, '--overwrite');
    await step('the node is marked', () =>
      eventually('it is out of service', REQUEST_ANSWERED_MS_MAX, async () =>
        (await pair.kubectl.get<NodeThing>('node', node)).spec.taints?.some(
          ({ key }) => key === OUT_OF_SERVICE,
        ),
      ),
    );
    letGo();
  },
  servedMsMax: OUT_OF_SERVICE_MS_MAX,
  repair: async (pair) => {
    await powerOn();
    await pair.takeoverPossible(NODE_BACK_MS_MAX);
  },
  replacesPod: true,
  cleanUp: powerOn,
});
