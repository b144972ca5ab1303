/** Where the disks of a disk set are, where they belong, and what is to be done about it (storage type Reattach). */

import { serverPod } from '../desired/pod.ts';
import { TEMPLATE_ANNOTATION } from '../model/names.ts';
import type { Pod } from '../model/objects.ts';
import { podOfIncarnation, type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { attachmentPods, claimLacking, isEnding, isOn } from './attachment-pods.ts';
import { claimsBeingDeleted } from './claim-being-deleted.ts';
import {
  attaching,
  type DiskLocation,
  detaching,
  leaving,
  takenByForce,
  usually,
  waiting,
} from './disk-move-steps.ts';
import { notKnown, volumesOf } from './disk-set-volumes.ts';

// The Lease alone says who owns the disk set; its disks belong on the node of the pod that the Lease names. Nothing here
// can give anybody a right to serve: a wrong or late look can only make disks come late. The way of a move:
//
//   Lease names b ──> pod on node 1 is told to go ──> it unmounts ──> detached from node 1 ──> pod on node 2 ──> mounted
//                        Leaving                                    Detaching               Attaching        Attached
//
// The pod on the new node is made only when the storage has let go of the old one, which is asked past the caches right before.
// The attach/detach controller, which keeps a volume to one node, is the fence behind that (claims-fit.ts sees to it that
// there is one). And a pod that waits for its volume is slower: the kubelet's patience with one that is not there yet doubles.

/** null: the pair's volumes do not move. */
export const diskLocation = question((view: Assessment, home: ServerView): DiskLocation | null => {
  if (view.effective.storageType !== 'Reattach') return null;
  const node = nodeOfOwner(view, home);
  const pods = attachmentPods(view, home);
  const living = pods.filter((pod) => !isEnding(pod));
  if (node === null) {
    const named = living.find(({ metadata }) => metadata.uid === home.lease?.disks);
    const nothing = {
      state: 'Unowned',
      node,
      remove: [],
      create: false,
      awaits: null,
      stuck: false,
    } as const;
    return named === undefined ? nothing : { ...nothing, pod: named };
  }
  const here = living.find((pod) => isOn(view, pod, node));
  const found = follow(view, home, node, pods, here);
  // One that is told to go holds nobody's disks any more.
  const stays = here !== undefined && !found.remove.some(({ pod }) => pod === here);
  return stays ? { ...found, pod: here } : found;
});

/** Follows the disks on their way to `node`, where `here` is their pod. */
function follow(
  view: Assessment,
  home: ServerView,
  node: string,
  pods: readonly Pod[],
  here: Pod | undefined,
): DiskLocation {
  const away = pods.filter((pod) => !isOn(view, pod, node) || isEnding(pod));
  if (away.length > 0) return leaving(view, home, node, away);
  const added = here === undefined || !isWaitedFor(view, home) ? undefined : claimLacking(home, here);
  // A claim that is being deleted goes with its last pod.
  if (here !== undefined && added !== undefined && claimsBeingDeleted(home).length === 0)
    return madeAgain(home, node, here, added);
  const volumes = volumesOf(home);
  const theirs = view.observed.volumeAttachments.filter(({ spec }) =>
    volumes.has(spec?.source?.persistentVolumeName ?? ''),
  );
  const elsewhere = theirs.find(({ spec }) => spec?.nodeName !== node);
  // A pod that is there already is left there: it waits, as the one to be made would.
  if (elsewhere !== undefined) return detaching(view, home, node, elsewhere);
  if (here !== undefined) return attaching(view, node, here, theirs, volumes.size);
  const deleted = claimsBeingDeleted(home)[0];
  // No pod is admitted that uses such a claim.
  if (deleted !== undefined) return waiting('Attaching', node, noPodUses(deleted), true);
  const taken = takenByForce(view, home, node);
  if (taken !== null) return taken;
  const unknown = notKnown(view, home);
  if (unknown !== null) return waiting('Attaching', node, unknown);
  // A pod that does not say for which machine it was made would be taken for that of any machine of the name.
  if (view.observed.nodes[node] === undefined)
    return waiting(
      'Attaching',
      node,
      `Node ${node} has not been seen yet, and so not which machine has that name`,
    );
  return {
    ...waiting('Attaching', node, `node ${node} is asked to mount them; ${usually.attaching}`),
    create: true,
  };
}

/**
 * The owner has claimed and not opened yet, so nothing below the mounts is in use; and it was made from the spec of now, so
 * that it waits for all volumes that this names.
 */
function isWaitedFor(view: Assessment, { name, lease }: ServerView): boolean {
  if (
    lease === null ||
    lease.lastTransition?.epoch === lease.epoch ||
    lease.secondaryPortOpen === lease.epoch
  )
    return false;
  const owner = podOfIncarnation(view, lease.holderServer, lease.holderPodUid);
  const server = serverNamed(view, lease.holderServer);
  if (owner === null || server === null || (server.name === name && owner.state === 'Running')) return false;
  return owner.pod.metadata.annotations?.[TEMPLATE_ANNOTATION] === serverPod(view, server).template;
}

function madeAgain(home: ServerView, node: string, pod: Pod, claim: string): DiskLocation {
  const why = `it was made before claim ${claim} belonged to the disk set of ${home.name}`;
  const awaits = `pod ${pod.metadata.name} is made again, since ${why}`;
  return { ...waiting('Leaving', node, awaits), remove: [{ pod, why }] };
}

const noPodUses = (claim: string): string =>
  `${claim} is being deleted, and Kubernetes starts no pod that uses it`;

function nodeOfOwner(view: Assessment, { lease }: ServerView): string | null {
  if (lease === null || lease.holder === null) return null;
  return podOfIncarnation(view, lease.holderServer, lease.holderPodUid)?.pod.spec?.nodeName ?? null;
}

/** When time alone changes what is to be done about disks that are not mounted, ms since the epoch; null: never. */
export function mountsDueAt(view: Assessment): number | null {
  const due = view.servers.flatMap((home) => diskLocation(view, home)?.dueAt ?? []);
  return due.length === 0 ? null : Math.min(...due);
}

/**
 * Volumes that are mounted and that nobody has attached: their driver attaches nothing, so nothing keeps a second node from
 * mounting them. Names of PersistentVolumes.
 */
export function notFenced(view: Assessment, home: ServerView): string[] {
  const found = diskLocation(view, home);
  if (found?.state !== 'Attached') return [];
  const attached = new Set(
    view.observed.volumeAttachments.map(({ spec }) => spec?.source?.persistentVolumeName),
  );
  return [...volumesOf(home)].filter((name) => !attached.has(name));
}
