/**
 * In the middle of a move everything that carries it out is restarted: both operators, the CSI driver with its sidecars, and
 * the kubelet of the node that the disk leaves. (The other one carries the client's session.) None of them remembers anything
 * that the API and the node do not show, so somebody serves in the end.
 */

import { eventually } from '../../testing/eventually.ts';
import { killOperator } from '../harness/faults/control-plane.ts';
import { Kubectl } from '../harness/kubectl.ts';
import type { Pair, PodThing } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, RESTARTED_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';
import { ReattachPair } from './reattach-pair.ts';

// Who, is left open: on a busy machine a server may get no processor for longer than its lease, and then the disks turn round
// on their way.

async function restartDriver(pair: Pair): Promise<void> {
  const kubectl = new Kubectl(pair.environment, 'kube-system');
  const now = ['--force', '--grace-period=0', '--wait=false'];
  await kubectl.run('delete', 'pod', '--selector', 'app in (csi-controller, csi-node)', ...now);
}

scenario(
  {
    name: 'reattach-everything-restarts',
    fault: 'operators, CSI driver and a kubelet are restarted in the middle of a move',
    // The next operator waits until the lease of the one that was killed has run out.
    gapMsGoal: 30_000,
    replaces: [],
    makePair: (environment, namespace) => new ReattachPair(environment, namespace),
  },
  'a move in whose middle everything is restarted ends with a server that serves, and nothing is lost',
  async ({ pair, writer }) => {
    const before = await (pair as ReattachPair).attachmentPod(SERVER);
    await writer.mark('failover');
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step('the disk is on its way', () =>
      eventually('its pod is told to go', REQUEST_ANSWERED_MS_MAX, async () => {
        const pods = await pair.kubectl.list<PodThing>('pods', `filerpair.dev/attachment=${SERVER}`);
        const old = pods.find(({ metadata }) => metadata.uid === before.metadata.uid);
        return old === undefined || old.metadata.deletionTimestamp !== undefined;
      }),
    );
    await step('operators, CSI driver and the kubelet are restarted', () =>
      Promise.all([
        killOperator(pair),
        restartDriver(pair),
        run(['docker', 'exec', before.spec.nodeName, 'systemctl', 'restart', 'kubelet']),
      ]),
    );
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, RESTARTED_MS_MAX));
    await step('both disk sets are served', () => pair.ready(RESTARTED_MS_MAX));
  },
);
