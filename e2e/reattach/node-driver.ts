/** The half of the tests' CSI driver that runs on a node, started anew there: it then says again what the node can have. */

import { eventually } from '../../testing/eventually.ts';
import { DRIVER } from '../csi/driver/identity.ts';
import type { TestEnvironment } from '../environment.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { RESTARTED_MS_MAX } from '../harness/timeouts.ts';

interface PodThing extends Thing {
  readonly spec: { readonly nodeName?: string };
}

interface CsiNodeThing extends Thing {
  readonly spec: { readonly drivers?: readonly { readonly name: string }[] };
}

export async function restartNodeDriver(environment: TestEnvironment, node: string): Promise<void> {
  const kubectl = new Kubectl(environment, 'kube-system');
  const pods = await kubectl.list<PodThing>('pods', 'app=csi-node');
  const old = pods.find(({ spec }) => spec.nodeName === node);
  if (old === undefined) throw new Error(`no driver runs on ${node}`);
  await kubectl.run('delete', 'pod', old.metadata.name);
  await kubectl.run('rollout', 'status', 'daemonset/csi-node', `--timeout=${RESTARTED_MS_MAX / 1000}s`);
  await eventually('the kubelet knows the driver', RESTARTED_MS_MAX, async () => {
    const { spec } = await kubectl.get<CsiNodeThing>('csinode', node);
    return spec.drivers?.some(({ name }) => name === DRIVER);
  });
}
