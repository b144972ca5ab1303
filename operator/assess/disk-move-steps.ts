/**
 * The steps of a move of disks, and what is awaited in each: they leave a node, are detached from it, and are attached to
 * another one.
 */

import { durationText } from '../../crds/quantities.ts';
import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { attachmentDirectory, REMINDERS_ANNOTATION } from '../model/names.ts';
import { isOutOfService, isSilent, outOfServiceTaint, saysReady, volumeHeld } from '../model/node-silence.ts';
import type { Pod, VolumeAttachment } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';
import { isReady, nodeOf } from './attachment-pods.ts';
import { claimsBeingDeleted } from './claim-being-deleted.ts';
import { inUseAs } from './disk-set-volumes.ts';

export type DiskLocationState =
  /** Nobody owns the disk set, or its owner's node is not known: everything stays as it is. */
  | 'Unowned'
  /** The pod on the old node unmounts. */
  | 'Leaving'
  /** Unmounted there, or never mounted by us, and still attached. */
  | 'Detaching'
  /** The pod on the owner's node waits for its volumes, or is about to be made. */
  | 'Attaching'
  | 'Attached';

export interface DiskLocation {
  readonly state: DiskLocationState;
  /** Where the disks belong now; null: not known. */
  readonly node: string | null;
  /** To be told to go. */
  readonly remove: readonly { readonly pod: Pod; readonly why: string }[];
  /** Whether the pod on `node` is to be made. */
  readonly create: boolean;
  /** The awaited event and how long it usually takes, as a sentence; null: none is awaited. */
  readonly awaits: string | null;
  /** It will not pass by itself in the usual time: somebody should look. */
  readonly stuck: boolean;
  /**
   * The living pod that holds the disks on `node`, or gets them: the only one whose mounts a server may take for the disks. Of
   * a disk set that nobody owns: the one that the Lease names, if it lives.
   */
  readonly pod?: Pod;
  /** The kubelet is to be reminded of the pod; the how manieth time this is. */
  readonly reminder?: number;
  /** When time alone changes what is to be done or told, ms since the epoch. */
  readonly dueAt?: number;
  /** The node that is not ready and has the disks of somebody else by now. */
  readonly lostNode?: string;
  /** The node that has to let go of them. */
  readonly from?: string;
}

/** How long each step usually takes, for people. */
export const usually = {
  leaving: 'this usually takes less than a second',
  detaching:
    'this usually takes 1 to 3 seconds, and up to 10 more where the kubelet reports every 10 s; longer, as long as a pod that is not the operator’s uses the claim there',
  attaching: 'this usually takes 1 to 5 seconds',
};

/** A node that is ready lets a volume go within seconds; with one that somebody still uses it may take forever. ms */
const DETACHED_MS_MAX = 2 * 60_000;

/** An attached volume is mounted within a second or two, and a large one that is checked first within some more. ms */
const MOUNTED_MS_MAX = 15_000;

/**
 * Ages of a pod at which its kubelet is reminded of it, ms. A kubelet that sees a new pod before the API server's node
 * authorizer does may not read the pod's claim ("no relationship found between node and this object"), and looks again
 * after 10 s only; at once when the pod changes. What mounts already is not disturbed by it.
 */
const REMINDERS_MS = [2_000, 4_000, 8_000];

export const waiting = (
  state: DiskLocationState,
  node: string,
  awaits: string | null,
  stuck = false,
): DiskLocation => ({
  state,
  node,
  remove: [],
  create: false,
  awaits,
  stuck,
});

export function leaving(
  view: Assessment,
  home: ServerView,
  node: string,
  away: readonly Pod[],
): DiskLocation {
  const stay = away.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const deleted = claimsBeingDeleted(home)[0];
  if (deleted !== undefined && (stay.length > 0 || !isNodeReady(view, nodeOf(away[0]!) ?? '')))
    return waiting('Leaving', node, keptFor(deleted, stay[0] ?? away[0]!), true);
  const remove = stay.map((pod) => ({ pod, why: `the disks of ${home.name} belong on node ${node} now` }));
  const known = nodeOf(away[0]!);
  const from = known ?? 'an unknown node';
  const left = known === undefined || known === node ? {} : { from: known };
  const name = away[0]!.metadata.name;
  if (isNodeReady(view, from)) {
    const awaits = `pod ${name} unmounts them on node ${from}; ${usually.leaving}, and as long as a process there has a file of them open`;
    return { ...waiting('Leaving', node, awaits), ...left, remove };
  }
  return {
    ...waiting('Leaving', node, awaitedOfLostNode(view, from), true),
    ...left,
    lostNode: from,
    remove,
  };
}

/** Such a claim goes with its last pod, and its volume with it; nor is the pod's node marked, which would take the pod away. */
const keptFor = (claim: string, pod: Pod): string =>
  `pod ${pod.metadata.name} is left on node ${nodeOf(pod) ?? 'that it was made for'}, since ${claim} is being deleted and would go with its last pod`;

/**
 * After six minutes Kubernetes takes a volume by force from a node that is not ready, where no pod holds it any more. That the
 * attachment is gone is no proof then: the node may run, and write what its kernel still has. So it is the node that is waited
 * for, or who says that it is off, as if the attachment were there.
 */
export function takenByForce(view: Assessment, home: ServerView, node: string): DiskLocation | null {
  const from = home.lease?.disksNode ?? null;
  if (from === null || from === node) return null;
  const there = view.observed.nodes[from];
  const held = volumeHeld(there, inUseAs(view, home));
  if (held === null) return null;
  if (saysReady(there)) return { ...waiting('Detaching', node, `node ${from} ${held}`), from };
  const awaits = `${awaitedOfLostNode(view, from)}. Kubernetes calls them detached from it, by itself, which is no proof that it does not write to them any more`;
  return { ...waiting('Detaching', node, awaits, true), lostNode: from, from };
}

export const isNodeReady = (view: Assessment, name: string): boolean => saysReady(view.observed.nodes[name]);

function awaitedOfLostNode(view: Assessment, name: string): string {
  const { policy, timeoutMs } = view.effective.lostNodes;
  const after = durationText(timeoutMs);
  const ready = view.observed.nodes[name]?.status?.conditions?.find(({ type }) => type === 'Ready');
  const since = ready?.lastTransitionTime === undefined ? '' : ` since ${ready.lastTransitionTime}`;
  const lost = `node ${name}, where they are mounted, is not ready${since}, and as long as it may still write to them they are not attached elsewhere`;
  if (isOutOfService(view.observed.nodes[name]))
    return `node ${name}, where they were mounted, is marked as out of service; Kubernetes takes them away from it, which usually takes 1 to 20 seconds`;
  if (policy === 'AfterTimeout')
    return isSilent(view.observed.nodes[name])
      ? `${lost}. It is marked as out of service when it has been silent for ${after} (spec.storage.reattach.lostNodes)`
      : `${lost}. Its kubelet reports, so it is not lost; it is marked as out of service only after ${after} of silence (spec.storage.reattach.lostNodes)`;
  const off = `kubectl annotate node ${name} ${nodeAnnotations.poweredOff}=$(kubectl get node ${name} -o jsonpath={.status.nodeInfo.bootID})`;
  if (policy === 'Confirmed')
    return `${lost}. They move when it is back, or when somebody confirms that it is switched off: ${off}`;
  return `${lost}. They move by themselves when the node is back. If it is switched off for good: kubectl taint node ${name} ${outOfServiceTaint.key}=${outOfServiceTaint.value}:${outOfServiceTaint.effect} (and take the taint off when it is back), or delete the Node`;
}

export function detaching(
  view: Assessment,
  home: ServerView,
  node: string,
  { metadata, spec, status }: VolumeAttachment,
): DiskLocation {
  const from = spec?.nodeName;
  if (from !== undefined && view.observed.nodes[from] !== undefined && !isNodeReady(view, from)) {
    const { policy } = view.effective.lostNodes;
    const byForce =
      policy === 'Wait' && !isOutOfService(view.observed.nodes[from])
        ? '. No pod holds them there any more, so Kubernetes calls them detached after about 6 minutes; they are not mounted elsewhere because of that'
        : '';
    return {
      ...waiting('Detaching', node, `${awaitedOfLostNode(view, from)}${byForce}`, true),
      lostNode: from,
      from,
    };
  }
  const left = from === undefined ? {} : { from };
  const what = `volume ${spec?.source?.persistentVolumeName} is detached from node ${spec?.nodeName}`;
  const error = status?.detachError?.message;
  if (error === undefined) {
    const lateAt = openingSince(view, home) + DETACHED_MS_MAX;
    return view.now < lateAt
      ? {
          ...waiting('Detaching', node, `${what} (VolumeAttachment ${metadata.name}); ${usually.detaching}`),
          ...left,
          dueAt: lateAt,
        }
      : { ...waiting('Detaching', node, notDetached(view, home, what, from ?? ''), true), ...left };
  }
  const awaits = `${what}, which does not succeed: ${error} (VolumeAttachment ${metadata.name}). It is tried again; look at the CSI driver`;
  return { ...waiting('Detaching', node, awaits, true), ...left };
}

/** Since when the owner waits, by the status; ms since the epoch. */
function openingSince(view: Assessment, { name, lease }: ServerView): number {
  const told = view.pair.status?.diskSets?.find((one) => one.name === name);
  const served = told?.conditions?.find(({ type }) => type === 'Served');
  const since =
    served?.status === 'False' && told?.epoch === lease?.epoch
      ? Date.parse(served.lastTransitionTime)
      : Number.NaN;
  return Number.isNaN(since) ? view.now : since;
}

function notDetached(view: Assessment, { name }: ServerView, what: string, node: string): string {
  const directory = `${attachmentDirectory(view.uid)}/${name}`;
  return `${what}, which has lasted for more than ${DETACHED_MS_MAX / 60_000} minutes on a node that is ready: something there still uses it. It is either a pod that is not the operator’s and has the claim, or a mount that a pod has left that was ended by force. On node ${node}, findmnt -R ${directory} shows the mount, and umount of what it shows lets the kubelet detach`;
}

/** `here`: what is attached, or to be attached, to the node, of so many volumes. */
export function attaching(
  view: Assessment,
  node: string,
  pod: Pod,
  here: readonly VolumeAttachment[],
  volumes: number,
): DiskLocation {
  if (isReady(pod)) return waiting('Attached', node, null);
  const failed = here.find(({ status }) => status?.attachError?.message !== undefined);
  if (failed !== undefined) {
    const why = `volume ${failed.spec?.source?.persistentVolumeName} cannot be attached to node ${node}: ${failed.status?.attachError?.message}. It is tried again; after spec.storage.reattach.attachTimeout (${durationText(view.effective.attachTimeoutMs)}) the disk set is given back to the partner, if that is there`;
    return waiting('Attaching', node, why, true);
  }
  const unscheduled = pod.status?.conditions?.find(
    ({ type, status }) => type === 'PodScheduled' && status === 'False',
  );
  if (unscheduled !== undefined)
    return waiting(
      'Attaching',
      node,
      `pod ${pod.metadata.name} cannot be put onto node ${node}: ${unscheduled.message ?? unscheduled.reason ?? 'the scheduler does not say why'}`,
      true,
    );
  const awaits = `pod ${pod.metadata.name} gets them attached and mounted on node ${node}; ${usually.attaching}`;
  const made = Date.parse(pod.metadata.creationTimestamp ?? '');
  if (!attachedAll(here, volumes) || Number.isNaN(made)) return waiting('Attaching', node, awaits);
  if (view.now >= made + MOUNTED_MS_MAX) return waiting('Attaching', node, notMounted(view, node, pod), true);
  const reminders = Number(pod.metadata.annotations?.[REMINDERS_ANNOTATION] ?? 0);
  const nextMs = REMINDERS_MS[reminders];
  if (nextMs !== undefined && view.now >= made + nextMs)
    return { ...waiting('Attaching', node, awaits), reminder: reminders + 1 };
  return { ...waiting('Attaching', node, awaits), dueAt: made + (nextMs ?? MOUNTED_MS_MAX) };
}

const attachedAll = (here: readonly VolumeAttachment[], volumes: number): boolean =>
  here.filter(({ status }) => status?.attached === true).length >= volumes;

function notMounted(view: Assessment, node: string, { metadata }: Pod): string {
  const seconds = MOUNTED_MS_MAX / 1000;
  return `they are attached to node ${node}, and pod ${metadata.name} has not mounted them within ${seconds} s: a file system may be damaged. What mounting says: kubectl -n ${view.observed.namespace} describe pod ${metadata.name}. It is tried again; after spec.storage.reattach.attachTimeout (${durationText(view.effective.attachTimeoutMs)}) the disk set is given back to the partner, if that is there`;
}
