// Where the disks of a disk set are, where they belong, and what is to be done about it (transfer mode Reattach).
//
// The Lease alone says who owns the disk set; its disks belong on the node of the pod that the Lease names. Nothing here
// can give anybody a right to serve: a wrong or late look can only make disks come late. The way of a move:
//
//   Lease names filer-b ──> pod on node 1 is told to go ──> it unmounts ──> detached from node 1 ──> pod on node 2 ──> mounted
//                              Leaving                                    Detaching               Attaching        Attached
//
// The pod on the new node is made only when the storage has let go of the old one, which is asked past the caches right before.
// The attach/detach controller, which keeps a volume to one node, is the fence behind that (claims-fit.ts sees to it that
// there is one). And a pod that waits for its volume is slower: the kubelet's patience with one that is not there yet doubles.

import { labels, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { serverPod } from '../desired/pod.ts';
import {
  ATTACHMENT_NODE_ANNOTATION,
  ATTACHMENT_NODE_UID_ANNOTATION,
  attachmentDirectory,
  attachmentPodName,
  claimName,
  REMINDERS_ANNOTATION,
  TEMPLATE_ANNOTATION,
} from '../model/names.ts';
import { isSilent } from '../model/node-silence.ts';
import type { Node, Pod, VolumeAttachment } from '../model/objects.ts';
import { podOfIncarnation, type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsBeingDeleted } from './claim-being-deleted.ts';

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
  /** What is awaited and how long that usually takes, as a sentence; null: nothing is. */
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
const usually = {
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

/** null: the pair's volumes do not move. */
export const diskLocation = question((view: Assessment, home: ServerView): DiskLocation | null => {
  if (view.spec.storage.transfer !== 'Reattach') return null;
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

/** By their label; where that was removed, by the name that they were made with. */
export const attachmentPods = question((view: Assessment, home: ServerView): Pod[] =>
  view.observed.pods.filter((pod) => {
    const { name, labels: known } = pod.metadata;
    const node = nodeOf(pod);
    return known?.[labels.attachment] === undefined
      ? node !== undefined && name === attachmentPodName(view.observed.name, home.name, node)
      : known[labels.attachment] === home.name;
  }),
);

/** What the disks do on their way to `node`, where `here` is theirs. */
function follow(
  view: Assessment,
  home: ServerView,
  node: string,
  pods: readonly Pod[],
  here: Pod | undefined,
): DiskLocation {
  const away = pods.filter((pod) => !isOn(view, pod, node) || isEnding(pod));
  if (away.length > 0) return leaving(view, home, node, away);
  const added = here === undefined || !isWaitedFor(view, home) ? undefined : claimLacking(view, home, here);
  // With its last pod a claim that is being deleted goes.
  if (here !== undefined && added !== undefined && claimsBeingDeleted(view, home).length === 0)
    return madeAgain(home, node, here, added);
  const volumes = volumesOf(view, home);
  const theirs = view.observed.volumeAttachments.filter(({ spec }) =>
    volumes.has(spec?.source?.persistentVolumeName ?? ''),
  );
  const elsewhere = theirs.find(({ spec }) => spec?.nodeName !== node);
  // A pod that is there already is left there: it waits, as the one to be made would.
  if (elsewhere !== undefined) return detaching(view, home, node, elsewhere);
  if (here !== undefined) return attaching(view, node, here, theirs, volumes.size);
  const deleted = claimsBeingDeleted(view, home)[0];
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

/** A claim that the spec names and the pod, which was made before, does not hold. */
function claimLacking(view: Assessment, home: ServerView, { spec }: Pod): string | undefined {
  const volumes = (spec?.['volumes'] ?? []) as readonly {
    readonly persistentVolumeClaim?: { readonly claimName: string };
  }[];
  const held = new Set(volumes.map(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName));
  return home.spec.volumes
    .map((volume) => claimName(view.observed.name, home.name, volume))
    .find((name) => !held.has(name));
}

function madeAgain(home: ServerView, node: string, pod: Pod, claim: string): DiskLocation {
  const why = `it was made before claim ${claim} belonged to the disk set of ${home.name}`;
  const awaits = `pod ${pod.metadata.name} is made again, since ${why}`;
  return { ...waiting('Leaving', node, awaits), remove: [{ pod, why }] };
}

const noPodUses = (claim: string): string =>
  `${claim} is being deleted, and Kubernetes starts no pod that uses it`;

/** With its last pod such a claim goes, and its volume with it; nor is the pod's node marked, which would take the pod away. */
const keptFor = (claim: string, pod: Pod): string =>
  `pod ${pod.metadata.name} is left on node ${nodeOf(pod) ?? 'that it was made for'}, since ${claim} is being deleted and would go with its last pod`;

const waiting = (
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

function nodeOfOwner(view: Assessment, { lease }: ServerView): string | null {
  if (lease === null || lease.holder === null) return null;
  return podOfIncarnation(view, lease.holderServer, lease.holderPodUid)?.pod.spec?.nodeName ?? null;
}

export const nodeOf = ({ metadata, spec }: Pod): string | undefined =>
  spec?.nodeName ?? metadata.annotations?.[ATTACHMENT_NODE_ANNOTATION];

/** And not on another machine that has come under the name of the node. */
function isOn(view: Assessment, pod: Pod, node: string): boolean {
  const madeFor = pod.metadata.annotations?.[ATTACHMENT_NODE_UID_ANNOTATION];
  const there = view.observed.nodes[node]?.metadata.uid;
  return nodeOf(pod) === node && (madeFor === undefined || there === undefined || madeFor === there);
}

const isEnding = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp !== undefined || status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** Names of the PersistentVolumes that are bound. */
export const volumesOf = question((view: Assessment, home: ServerView): ReadonlySet<string> => {
  return new Set(
    home.spec.volumes.flatMap((volume) => {
      const claim = view.observed.claims[claimName(view.observed.name, home.name, volume)];
      const name = typeof claim === 'object' ? claim.spec?.volumeName : undefined;
      return name === undefined ? [] : [name];
    }),
  );
});

/** What has to be known of the volumes before they are mounted anywhere, and is not; null: all is. */
function notKnown(view: Assessment, home: ServerView): string | null {
  for (const volume of home.spec.volumes) {
    const name = claimName(view.observed.name, home.name, volume);
    const claim = view.observed.claims[name];
    if (claim === 'unknown')
      return `the API does not say which volume PersistentVolumeClaim ${name} has, and so not where that is attached`;
  }
  for (const name of volumesOf(view, home))
    if ((view.observed.volumeFences[name] ?? 'unknown') === 'unknown')
      return `PersistentVolume ${name} has not been seen yet, and so not whether two nodes could have it`;
  return null;
}

function leaving(view: Assessment, home: ServerView, node: string, away: readonly Pod[]): DiskLocation {
  const stay = away.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const deleted = claimsBeingDeleted(view, home)[0];
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

/**
 * After six minutes Kubernetes takes a volume by force from a node that is not ready, where no pod holds it any more. That the
 * attachment is gone is no proof then: the node may run, and write what its kernel still has. So it is the node that is waited
 * for, or who says that it is off, as if the attachment were there.
 */
function takenByForce(view: Assessment, home: ServerView, node: string): DiskLocation | null {
  const from = home.lease?.disksNode ?? null;
  if (from === null || from === node) return null;
  const there = view.observed.nodes[from];
  const held = volumeHeld(there, inUseAs(view, home));
  if (held === null) return null;
  if (saysReady(there)) return { ...waiting('Detaching', node, `node ${from} ${held}`), from };
  const awaits = `${awaitedOfLostNode(view, from)}. Kubernetes calls them detached from it, by itself, which is no proof that it does not write to them any more`;
  return { ...waiting('Detaching', node, awaits, true), lostNode: from, from };
}

/** Names of the volumes of a disk set in Node.status.volumesInUse, as far as they are known. */
export const inUseAs = question((view: Assessment, home: ServerView): string[] =>
  [...volumesOf(view, home)].flatMap((name) => {
    const fence = view.observed.volumeFences[name];
    return typeof fence === 'object' && fence.inUseAs !== undefined ? [fence.inUseAs] : [];
  }),
);

/**
 * What a node that is attached to none of the volumes may still do with them, as words behind its name; null: nothing. A kubelet
 * reports a volume as in use before it mounts it and until it has unmounted it, also when it is back after it was away.
 */
export function volumeHeld(node: Node | undefined, volumes: readonly string[]): string | null {
  if (node === undefined || isOutOfService(node)) return null;
  if (!saysReady(node)) return 'is not ready, and may write to the disks';
  const used = volumes.find((name) => node.status?.volumesInUse?.includes(name));
  return used === undefined ? null : `is back, and its kubelet has not unmounted ${used} yet`;
}

export const isNodeReady = (view: Assessment, name: string): boolean => saysReady(view.observed.nodes[name]);

export const saysReady = (node: Node | undefined): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

function awaitedOfLostNode(view: Assessment, name: string): string {
  const { policy, after } = view.spec.storage.lostNodes;
  const ready = view.observed.nodes[name]?.status?.conditions?.find(({ type }) => type === 'Ready');
  const since = ready?.lastTransitionTime === undefined ? '' : ` since ${ready.lastTransitionTime}`;
  const lost = `node ${name}, where they are mounted, is not ready${since}, and as long as it may still write to them they are not attached elsewhere`;
  if (isOutOfService(view.observed.nodes[name]))
    return `node ${name}, where they were mounted, is marked as out of service; Kubernetes takes them away from it, which usually takes 1 to 20 seconds`;
  if (policy === 'Silent')
    return isSilent(view.observed.nodes[name])
      ? `${lost}. It is marked as out of service when it has been silent for ${after} (spec.storage.lostNodes)`
      : `${lost}. Its kubelet reports, so it is not lost; it is marked as out of service only after ${after} of silence (spec.storage.lostNodes)`;
  const off = `kubectl annotate node ${name} ${nodeAnnotations.poweredOff}=$(kubectl get node ${name} -o jsonpath={.status.nodeInfo.bootID})`;
  if (policy === 'Confirmed')
    return `${lost}. They move when it is back, or when somebody confirms that it is switched off: ${off}`;
  return `${lost}. They move by themselves when the node is back. If it is switched off for good: kubectl taint node ${name} ${outOfServiceTaint.key}=${outOfServiceTaint.value}:${outOfServiceTaint.effect} (and take the taint off when it is back), or delete the Node`;
}

/** Kubernetes' own word for a node that is shut down: its pods are removed, and their volumes detached, by force. */
export const outOfServiceTaint = {
  key: 'node.kubernetes.io/out-of-service',
  value: 'nodeshutdown',
  effect: 'NoExecute',
} as const;

export const isOutOfService = (node: Node | undefined): boolean =>
  node?.spec?.taints?.some(({ key }) => key === outOfServiceTaint.key) === true;

function detaching(
  view: Assessment,
  home: ServerView,
  node: string,
  { metadata, spec, status }: VolumeAttachment,
): DiskLocation {
  const from = spec?.nodeName;
  if (from !== undefined && view.observed.nodes[from] !== undefined && !isNodeReady(view, from)) {
    const { policy } = view.spec.storage.lostNodes;
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
  const told = view.pair.status?.diskSets?.find(({ home }) => home === name);
  const since =
    told?.phase === 'Opening' && told.epoch === lease?.epoch ? Date.parse(told.since) : Number.NaN;
  return Number.isNaN(since) ? view.now : since;
}

function notDetached(view: Assessment, { name }: ServerView, what: string, node: string): string {
  const directory = `${attachmentDirectory(view.uid)}/${name}`;
  return `${what}, which has lasted for more than ${DETACHED_MS_MAX / 60_000} minutes on a node that is ready: something there still uses it. Either a pod that is not the operator’s has the claim; or a mount was left behind by a pod that was ended by force: on node ${node}, findmnt -R ${directory} shows it, and umount of what it shows lets the kubelet detach`;
}

/** `here`: what is attached, or to be attached, to the node, of so many volumes. */
function attaching(
  view: Assessment,
  node: string,
  pod: Pod,
  here: readonly VolumeAttachment[],
  volumes: number,
): DiskLocation {
  if (isReady(pod)) return waiting('Attached', node, null);
  const failed = here.find(({ status }) => status?.attachError?.message !== undefined);
  if (failed !== undefined) {
    const why = `volume ${failed.spec?.source?.persistentVolumeName} cannot be attached to node ${node}: ${failed.status?.attachError?.message}. It is tried again; after spec.storage.attachPatience (${view.spec.storage.attachPatience}) the disk set is given back to the partner, if that is there`;
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
  return `they are attached to node ${node}, and pod ${metadata.name} has not mounted them within ${seconds} s: a file system may be damaged. What mounting says: kubectl -n ${view.observed.namespace} describe pod ${metadata.name}. It is tried again; after spec.storage.attachPatience (${view.spec.storage.attachPatience}) the disk set is given back to the partner, if that is there`;
}

/** When time alone changes what is to be done about disks that are not mounted, ms since the epoch; null: never. */
export function mountsDueAt(view: Assessment): number | null {
  const due = view.servers.flatMap((home) => diskLocation(view, home)?.dueAt ?? []);
  return due.length === 0 ? null : Math.min(...due);
}

export const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;

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
  return [...volumesOf(view, home)].filter((name) => !attached.has(name));
}
