// In the middle of a move everything that carries it out is restarted: both operators, the CSI driver with its sidecars, and
// the kubelet of the node that the disk leaves (the other one carries the client's session). None of them remembers anything that the API and the node do not show, so the move goes on.
import { killOperator } from '../harness/faults/control-plane.ts';
import { Kubectl } from '../harness/kubectl.ts';
import type { PodThing } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, RESTARTED_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';
import { eventually } from '../machine/eventually.ts';
import { movingScenario } from './moving-scenario.ts';
import type { ReattachPair } from './reattach-pair.ts';

async function restartDriver(pair: ReattachPair): Promise<void> {
  const kubectl = new Kubectl(pair.environment, 'kube-system');
  const now = ['--force', '--grace-period=0', '--wait=false'];
  await kubectl.run('delete', 'pod', '--selector', 'app in (csi-controller, csi-node)', ...now);
}

movingScenario({
  name: 'reattach-everything-restarts',
  fault: 'operators, CSI driver and the kubelet are restarted in the middle of a move',
  // The next operator waits until the lease of the one that was killed has run out.
  gapMsGoal: 30_000,
  inject: async (pair, server) => {
    const before = await pair.attachmentPod(server);
    await pair.request('takeover', server);
    await step('the disk is on its way', () =>
      eventually('its pod is told to go', REQUEST_ANSWERED_MS_MAX, async () => {
        const pods = await pair.kubectl.list<PodThing>('pods', `filerpair.dev/attachment=${server}`);
        const old = pods.find(({ metadata }) => metadata.uid === before.metadata.uid);
        return old === undefined || old.metadata.deletionTimestamp !== undefined;
      }),
    );
    await Promise.all([
      killOperator(pair),
      restartDriver(pair),
      run(['docker', 'exec', before.spec.nodeName, 'systemctl', 'restart', 'kubelet']),
    ]);
  },
  servedMsMax: RESTARTED_MS_MAX,
  repair: (pair) => pair.takeoverPossible(RESTARTED_MS_MAX),
});
