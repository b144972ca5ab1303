/** Moves of disks as actions: attachment pods that go and come. First of all that is done for a pair, since clients wait. */

import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { attachmentPods, nodeOf } from '../assess/attachment-pods.ts';
import { claimsFit } from '../assess/claims-fit.ts';
import { diskLocation } from '../assess/disk-location.ts';
import type { DiskLocation } from '../assess/disk-move-steps.ts';
import { inUseAs, volumesOf } from '../assess/disk-set-volumes.ts';
import { leaseBelongsToPair } from '../assess/pod-replacement.ts';
import { attachmentPod, attachmentPodLabels } from '../desired/attachment-pod.ts';
import { type Action, deletion, inSequence, patchOf } from '../model/action.ts';
import type { LeaseView } from '../model/lease-view.ts';
import { matches } from '../model/matches.ts';
import { REMINDERS_ANNOTATION } from '../model/names.ts';
import type { Pod } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';

// In front of each is a read of the Lease itself, past the cache, or a compare-and-swap on it. A pod is told to go only while the
// Lease still names the owner because of whom it has to.

export function attachmentsMoved(view: Assessment): Action[] {
  if (claimsFit(view) !== null) return [];
  return view.servers
    .filter((home) => leaseBelongsToPair(view, home))
    .flatMap((home) => [
      ...inSequence(`disks of ${home.name}`, moved(view, home)),
      ...attachmentPods(view, home).flatMap((pod) => labelsBack(view, home, pod)),
    ]);
}

/** Without them the next look might not see the pod. */
function labelsBack(view: Assessment, home: ServerView, pod: Pod): Action[] {
  const { labels: known = {}, uid } = pod.metadata;
  const wanted = attachmentPodLabels(view, home);
  if (matches(wanted, known)) return [];
  return [patchOf('pods', pod, { metadata: { uid, labels: wanted } }, 'it was edited by hand')];
}

function moved(view: Assessment, home: ServerView): Action[] {
  const found = diskLocation(view, home);
  if (found === null || home.lease === null) return [];
  const { namespace } = view.observed;
  const { pod } = found;
  const named = home.lease.disks;
  const living = pod?.metadata.uid ?? null;
  // Known until the storage has let go: what is left in the API then does not say whom it was taken from.
  const node = pod === undefined ? nodeToLetGo(found, home.lease) : (nodeOf(pod) ?? home.lease.disksNode);
  // Before anything else, whatever has ended the old pod: from here on the old mounts are nobody's disks, whatever becomes of
  // this plan, and of the old node.
  const told =
    named === living && node === home.lease.disksNode ? [] : [disksAre(home, pod ?? null, node, namespace)];
  if (told.length === 0 && found.reminder !== undefined && pod !== undefined)
    return [reminded(pod, found.reminder)];
  const actions = found.remove.map((one) => deletion('pods', one.pod, one.why));
  const released: Action[] = [];
  if (found.create && found.node !== null) {
    const { disksNode } = home.lease;
    if (node === null && disksNode !== null)
      released.push({
        kind: 'confirmReleased',
        resource: 'nodes',
        name: disksNode,
        volumes: inUseAs(view, home),
        why: `the disks of ${home.name} were there`,
      });
    const object = attachmentPod(view, home, found.node);
    const claims = home.claims.map(({ name }) => name);
    actions.push(
      {
        kind: 'confirmDetached',
        resource: 'volumeAttachments',
        namespace,
        name: object.metadata.name ?? '',
        claims,
        volumes: [...volumesOf(home)],
        node: found.node,
        why: `the disks of ${home.name} must be nowhere else`,
      },
      {
        kind: 'create',
        resource: 'pods',
        object,
        why: `the disks of ${home.name} belong on node ${found.node}, and are nowhere else`,
      },
    );
  }
  if (actions.length === 0) return told;
  const kept = found.remove.length > 0 ? claimsKept(view, home) : [];
  return [...released, ...(told.length > 0 ? told : [asOwned(view, home)]), ...kept, ...actions];
}

/** Disks that are mounted again on the same node need not leave its kernel meanwhile. */
const nodeToLetGo = ({ create, from, node }: DiskLocation, { disksNode }: LeaseView): string | null =>
  create && node !== disksNode ? null : (from ?? disksNode);

/**
 * Tells the servers whose mounts are the disks; null: nobody's. Compare-and-swap: who looks at an old state must not put an
 * old pod there. It comes long before the mount, while the disk is attached, so nobody waits for it.
 */
function disksAre(
  { name: home, lease }: ServerView,
  pod: Pod | null,
  node: string | null,
  namespace: string,
): Action {
  const { name = '', resourceVersion } = lease?.object.metadata ?? {};
  const annotations = {
    [leaseAnnotations.disks]: pod?.metadata.uid ?? null,
    ...(node === lease?.disksNode ? {} : { [leaseAnnotations.disksNode]: node }),
  };
  const patch = { metadata: { resourceVersion, annotations } };
  const why =
    pod !== null
      ? `pod ${pod.metadata.name} has the disks mounted`
      : node !== null
        ? `the disks of ${home} are not where they were: node ${node} has to let go of them`
        : `the disks of ${home} are nowhere`;
  return { kind: 'patch', resource: 'leases', namespace, name, patch, why };
}

/** Whatever changes of a pod makes its kubelet look at it at once. */
function reminded(pod: Pod, count: number): Action {
  const annotations = { [REMINDERS_ANNOTATION]: String(count) };
  const why = `its volumes are attached, and its kubelet does not mount them: reminder ${count}`;
  return patchOf('pods', pod, { metadata: { uid: pod.metadata.uid, annotations } }, why);
}

/** Checks that precede every action that takes a pod from the claims of a disk set. */
export const claimsKept = (view: Assessment, home: ServerView): Action[] =>
  home.claims.map(({ name }) => ({
    kind: 'confirmKept',
    resource: 'persistentVolumeClaims',
    namespace: view.observed.namespace,
    name,
    why: `nobody has deleted it, so it outlives the pod that holds the disks of ${home.name}`,
  }));

function asOwned(view: Assessment, home: ServerView): Action {
  const { holder = null, epoch = 0, object } = home.lease ?? {};
  return {
    kind: 'confirm',
    resource: 'leases',
    namespace: view.observed.namespace,
    name: object?.metadata.name ?? '',
    holder,
    epoch,
    why: `the disks of ${home.name} follow its owner`,
  };
}
