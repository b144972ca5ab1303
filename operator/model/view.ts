/** Everything that the policies share, worked out once from what was observed. */

import { notAllowed } from '../../crds/class-limits.ts';
import { type FilerPairClassSpec, filerPairClassSpec } from '../../crds/filer-pair-class.ts';
import type { StorageType } from '../../crds/pair/storage.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import {
  type EffectivePair,
  type EffectiveServer,
  type EffectiveVolume,
  effectivePair,
  type FilerPairSpec,
  promisedStorageType,
} from './effective-pair.ts';
import { fingerprint } from './fingerprint.ts';
import { type LeaseView, viewLease } from './lease-view.ts';
import { LEASE_FINALIZER, leaseName, serverObjectName } from './names.ts';
import type { Claim, FilerPairObject, Pod } from './objects.ts';
import type { Observed, OperatorSettings } from './observed.ts';
import { isUsable, type PodFinding, podFinding } from './pod-state.ts';

/** A volume of a disk set, and its claim. */
export interface ClaimView {
  readonly volume: EffectiveVolume;
  readonly name: string;
  /** null: it is not there, or not known. */
  readonly object: Claim | null;
  /** Whether there is one, where the API has said so. */
  readonly is: 'there' | 'absent' | 'unknown';
  /** Name of the PersistentVolume that it is bound to. */
  readonly bound: string | undefined;
}

export interface ServerView extends EffectiveServer {
  /** Name of the other server. */
  readonly partner: string;
  readonly claims: readonly ClaimView[];
  /** Lease of its disk set; null: there is none. */
  readonly lease: LeaseView | null;
  /** Its pods, the oldest first. */
  readonly pods: readonly PodFinding[];
  readonly usable: readonly PodFinding[];
  /** The pod that its Services lead to. */
  readonly current: PodFinding | null;
}

export interface View {
  readonly observed: Observed;
  readonly settings: OperatorSettings;
  readonly pair: FilerPairObject;
  readonly uid: string;
  readonly effective: EffectivePair;
  /** Name of the class; null: there is none. */
  readonly className: string | null;
  /** The class that the spec names does not exist, or cannot be understood. */
  readonly classMissing: boolean;
  /** Tells apart what classes say about pods. */
  readonly classFingerprint: string;
  /** Settings that the spec asks for and the class does not allow, one sentence each. */
  readonly forbidden: readonly string[];
  readonly servers: readonly [ServerView, ServerView];
  /** ms since the epoch. */
  readonly now: number;
}

/** null: nobody says what holds for the volumes. */
export function viewPair(
  observed: Observed & { readonly pair: FilerPairObject },
  spec: FilerPairSpec,
  settings: OperatorSettings,
  now: number,
): View | null {
  const { name, namespace, pair, pairClass, namespaceLabels } = observed;
  const its = classSpec(observed);
  const storageType = spec.storage?.type ?? recordedStorageType(observed) ?? promisedStorageType(spec, its);
  if (storageType === null) return null;
  const effective = effectivePair(name, spec, its, storageType);
  const [a, b] = effective.servers;
  return {
    observed,
    settings,
    pair,
    uid: pair.metadata.uid ?? '',
    effective,
    className: spec.className ?? (typeof pairClass === 'object' ? (pairClass?.metadata.name ?? null) : null),
    classMissing: pairClass !== null && its === null,
    classFingerprint: fingerprint([its?.podTemplate, its?.images?.pullPolicy]),
    forbidden: notAllowed(spec, { name: namespace, labels: namespaceLabels }, its),
    servers: [viewServer(observed, effective, a, b, now), viewServer(observed, effective, b, a, now)],
    now,
  };
}

function classSpec({ pairClass }: Observed): FilerPairClassSpec | null {
  if (pairClass === null || pairClass === 'absent') return null;
  return filerPairClassSpec.safeParse(pairClass.spec).data ?? null;
}

/** The storage type that was fixed when the first claim of the pair was made. */
const recordedStorageType = ({ filerDiskSets }: Observed): StorageType | null =>
  filerDiskSets.find(({ spec }) => spec.storageType !== undefined)?.spec.storageType ?? null;

export const partnerOf = (view: View, server: ServerView): ServerView =>
  view.servers[0].name === server.name ? view.servers[1] : view.servers[0];

export const serverNamed = (view: View, name: string | null): ServerView | null =>
  view.servers.find((server) => server.name === name) ?? null;

/** The pod in which an incarnation runs or ran, in whatever state. */
export const podOfIncarnation = (
  view: View,
  server: string | null,
  podUid: string | null,
): PodFinding | null =>
  serverNamed(view, server)?.pods.find(({ pod }) => pod.metadata.uid === podUid) ?? null;

function viewServer(
  observed: Observed,
  effective: EffectivePair,
  server: EffectiveServer,
  partner: EffectiveServer,
  now: number,
): ServerView {
  const pods = observed.pods
    .filter((pod) => serverOfPod(observed.name, effective, pod) === server.name)
    .toSorted(byAge)
    .map((pod) => podFinding(pod, observed, effective.nodeNotReadyTimeoutMs, now));
  const wanted = leaseName(observed.name, server.name);
  const object = observed.leases.find(
    (lease) => lease.metadata.name === wanted && isOurs(observed, effective, lease),
  );
  const lease = object === undefined ? null : viewLease(object);
  return {
    ...server,
    partner: partner.name,
    claims: server.volumes.map((volume) => viewClaim(observed, volume)),
    lease,
    pods,
    usable: pods.filter(isUsable),
    current: currentPod(server.name, lease, pods),
  };
}

function viewClaim(observed: Observed, volume: EffectiveVolume): ClaimView {
  const name = volume.claimName;
  const found = observed.claims[name] ?? 'absent';
  const [object, is] = typeof found === 'string' ? ([null, found] as const) : ([found, 'there'] as const);
  return { volume, name, object, is, bound: object?.spec?.volumeName };
}

/**
 * A Lease of that name may be somebody else's: another pair's, a leader election's. Without its label ours is known by what only
 * we write: owner, finalizer, annotations, a holder that is one of our servers.
 */
function isOurs(observed: Observed, { servers }: EffectivePair, { metadata, spec: lease }: Lease): boolean {
  const label = metadata.labels?.[labels.pair];
  if (label !== undefined) return label === observed.name;
  return (
    metadata.ownerReferences?.some(({ uid }) => uid === observed.pair?.metadata.uid) === true ||
    metadata.finalizers?.includes(LEASE_FINALIZER) === true ||
    Object.keys(metadata.annotations ?? {}).some((one) => one.startsWith('filerpair.dev/')) ||
    servers.some(({ name }) => lease?.holderIdentity?.startsWith(`${name}/`))
  );
}

/** By its label; where that was removed, by the name that it was made with. */
function serverOfPod(pair: string, { servers }: EffectivePair, pod: Pod): string | undefined {
  return (
    pod.metadata.labels?.[labels.server] ??
    servers.find(({ name }) =>
      new RegExp(`^${serverObjectName(pair, name)}-[0-9a-v]{5}$`).test(pod.metadata.name ?? ''),
    )?.name
  );
}

/**
 * Where the server's Services lead: to the pod that owns the server's disk set, as long as it is there. Its state does not
 * matter, since clients are served there or nowhere. Else to the newest pod that can serve; else to the newest.
 */
function currentPod(server: string, lease: LeaseView | null, pods: readonly PodFinding[]): PodFinding | null {
  if (lease?.holderServer === server) {
    const owner = pods.find(({ pod }) => pod.metadata.uid === lease.holderPodUid);
    if (owner !== undefined && owner.state !== 'Ended') return owner;
  }
  return pods.findLast(isUsable) ?? pods.at(-1) ?? null;
}

function byAge(a: Pod, b: Pod): number {
  const key = (pod: Pod) => `${pod.metadata.creationTimestamp ?? ''} ${pod.metadata.name ?? ''}`;
  return key(a) < key(b) ? -1 : 1;
}
