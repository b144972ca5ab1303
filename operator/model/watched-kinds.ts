/**
 * The table of watched kinds: what the operator keeps of the cluster, and whom a change concerns. The caches, the lists of what
 * is observed of a pair, and the test of the chart's rules follow from it.
 */

import { DEFAULT_CLASS_ANNOTATION } from '../../crds/filer-pair-class.ts';
import type { EndpointSlice } from '../../kubernetes/failover-endpoint.ts';
import { type Fields, withFields } from '../../kubernetes/kept-fields.ts';
import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { isToldByOperator } from '../../kubernetes/share-conditions.ts';
import type {
  Claim,
  CSIDriver,
  CsiNode,
  FilerDiskSetObject,
  FilerPairClassObject,
  FilerPairObject,
  FilerPairOperationObject,
  FilerShareObject,
  Node,
  PersistentVolume,
  Pod,
  Service,
  VolumeAttachment,
  VolumeSnapshot,
} from './objects.ts';

export interface WatchedKind<T extends KubernetesObject> {
  readonly resource: Resource;
  /**
   * `pair`: objects with the label of a pair. `reference`: every object of the watched namespaces, each of the pair that its
   * spec.pairRef names. `all`: every object of the cluster or of the watched namespaces.
   */
  readonly selects: 'pair' | 'reference' | 'all';
  /** A kind that the cluster may not have, or get and lose while the operator runs. */
  readonly optional?: true;
  /** Kept as text: read only when its pair is reconciled, to be compared with what the operator would apply. */
  readonly asText?: true;
  /** The part of an object that is kept. A change that leaves this as it is has no effect. */
  readonly keep: (object: T) => T;
  /** The part of it whose changes have an effect; absent: everything that is kept. */
  readonly concerning?: (kept: T) => unknown;
  /** The pairs that a change concerns. */
  readonly wakes:
    | 'its pair'
    | 'itself'
    | 'pairs of the namespace'
    | 'pairs on the node'
    | 'users of the volume'
    | 'every pair';
}

const keeping =
  <T extends KubernetesObject>(fields: Fields, annotations?: (name: string) => boolean) =>
  (object: T): T =>
    withFields(object, fields, annotations);

const ofPair = <T extends KubernetesObject>(resource: Resource, keep: (object: T) => T): WatchedKind<T> => ({
  resource,
  selects: 'pair',
  keep,
  wakes: 'its pair',
});

/** Applied by the operator: `fields` are those that it applies. */
const applied = <T extends KubernetesObject = KubernetesObject>(
  resource: Resource,
  fields: Fields,
): WatchedKind<T> => ({
  ...ofPair<T>(resource, keeping({ apiVersion: true, kind: true, ...fields })),
  asText: true,
});

/** Made by people, for a pair that they name. */
const forPair = <T extends KubernetesObject>(resource: Resource, keep: (object: T) => T): WatchedKind<T> => ({
  ...ofPair(resource, keep),
  selects: 'reference',
});

const ofCluster = <T extends KubernetesObject>(
  resource: Resource,
  wakes: WatchedKind<T>['wakes'],
  keep: (object: T) => T,
): WatchedKind<T> => ({ resource, selects: 'all', keep, wakes });

const terminated = {
  exitCode: true,
  reason: true,
  message: true,
  finishedAt: true,
  containerID: true,
} as const;
const condition = {
  type: true,
  status: true,
  reason: true,
  message: true,
  lastTransitionTime: true,
} as const;

/** How names of CSI volumes begin in Node.status.volumesInUse (k8s.io/kubernetes/pkg/volume/util, GetUniqueVolumeName). */
export const IN_USE_OF_CSI = 'kubernetes.io/csi/';

/** By Kubernetes, on a PersistentVolume of an in-tree plug-in whose work a CSI driver does: that driver. */
export const MIGRATED_TO_ANNOTATION = 'pv.kubernetes.io/migrated-to';

const ourNodeAnnotations: ReadonlySet<string> = new Set(Object.values(nodeAnnotations));

/** A kubelet writes the status of its node every few minutes and with every image. */
function keptOfNode(node: Node): Node {
  const fields = {
    spec: { unschedulable: true, taints: true },
    status: { addresses: true, nodeInfo: { bootID: true } },
  } as const;
  const kept = withFields(node, fields, (name) => ourNodeAnnotations.has(name));
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const { status, lastTransitionTime } = ready ?? {};
  const inUse = node.status?.volumesInUse?.filter((one) => one.startsWith(IN_USE_OF_CSI)) ?? [];
  const saidAt = writtenAt(node, nodeAnnotations.poweredOff);
  return {
    ...kept,
    ...(saidAt && { poweredOffSaidAt: saidAt }),
    status: {
      ...kept.status,
      conditions: status
        ? [{ type: 'Ready', status, ...(lastTransitionTime && { lastTransitionTime }) }]
        : [],
      ...(inUse.length > 0 && { volumesInUse: inUse }),
    },
  };
}

function keptOfShare(share: FilerShareObject): FilerShareObject {
  const kept = withFields(
    share,
    { spec: { pairRef: true, server: true, volume: true, deletionPolicy: true } },
    () => false,
  );
  const { clients = [], clientPorts } = (share.spec ?? {}) as {
    readonly clients?: readonly string[];
    readonly clientPorts?: string;
  };
  const forEverybody =
    clientPorts !== 'Reserved' && clients.some((one) => one === '0.0.0.0/0' || one === '::/0');
  const conditions = (share.status?.conditions ?? []).map(
    ({ type, status, reason, lastTransitionTime, observedGeneration }) => ({
      type,
      status,
      reason,
      lastTransitionTime,
      ...(observedGeneration !== undefined && { observedGeneration }),
    }),
  );
  return {
    ...kept,
    ...(forEverybody && { forEverybody }),
    ...(conditions.length > 0 && { status: { conditions } }),
  };
}

/** Servers say of thousands of shares at a time that they are served: the operator waits for what it has said itself, and for deleted directories. */
function concerningOfShare({ status, ...share }: FilerShareObject): unknown {
  const { metadata, ...others } = share;
  const { resourceVersion: _, ...identity } = metadata;
  const conditions = status?.conditions?.filter(
    ({ type, reason }) => type === 'DirectoryDeleted' || isToldByOperator(reason),
  );
  return [identity, others, conditions ?? []];
}

/** When somebody wrote an annotation, as the API server has it in managedFields. */
function writtenAt({ metadata }: KubernetesObject, annotation: string): string | undefined {
  const { managedFields = [] } = metadata as {
    readonly managedFields?: readonly {
      readonly time?: string;
      readonly fieldsV1?: {
        readonly 'f:metadata'?: { readonly 'f:annotations'?: Readonly<Record<string, unknown>> };
      };
    }[];
  };
  return managedFields.find(
    ({ fieldsV1 }) => fieldsV1?.['f:metadata']?.['f:annotations']?.[`f:${annotation}`] !== undefined,
  )?.time;
}

export const watchedKinds = {
  filerPairs: ofCluster<FilerPairObject>(
    resources.filerPairs,
    'itself',
    keeping({ spec: true, status: true }),
  ),
  filerPairOperations: forPair<FilerPairOperationObject>(
    resources.filerPairOperations,
    keeping({ spec: true, status: true }),
  ),
  filerShares: {
    ...forPair<FilerShareObject>(resources.filerShares, keptOfShare),
    concerning: concerningOfShare,
  },
  filerDiskSets: ofPair<FilerDiskSetObject>(resources.filerDiskSets, keeping({ spec: true, status: true })),
  filerPairClasses: ofCluster<FilerPairClassObject>(
    resources.filerPairClasses,
    'every pair',
    keeping({ spec: true }, (annotation) => annotation === DEFAULT_CLASS_ANNOTATION),
  ),
  namespaces: ofCluster<KubernetesObject>(
    resources.namespaces,
    'pairs of the namespace',
    keeping({}, () => false),
  ),
  pods: ofPair<Pod>(
    resources.pods,
    keeping({
      spec: {
        nodeName: true,
        containers: { name: true, image: true, ports: true },
        volumes: {
          name: true,
          configMap: { name: true },
          persistentVolumeClaim: true,
        },
      },
      status: {
        phase: true,
        reason: true,
        message: true,
        podIP: true,
        conditions: condition,
        containerStatuses: {
          name: true,
          ready: true,
          state: { running: true, waiting: true, terminated },
          lastState: { terminated },
        },
      },
    }),
  ),
  // A renewal alone concerns nobody.
  leases: ofPair<Lease>(
    resources.leases,
    keeping(
      { spec: { holderIdentity: true, leaseTransitions: true } },
      (annotation) => annotation !== leaseAnnotations.renewal,
    ),
  ),
  persistentVolumeClaims: ofPair<Claim>(
    resources.persistentVolumeClaims,
    keeping({
      spec: { volumeName: true, storageClassName: true, accessModes: true, resources: { requests: true } },
      status: { phase: true },
    }),
  ),
  services: applied<Service>(resources.services, { spec: true, status: { loadBalancer: true } }),
  endpointSlices: applied<EndpointSlice>(resources.endpointSlices, {
    addressType: true,
    endpoints: true,
    ports: true,
  }),
  configMaps: applied(resources.configMaps, { data: true }),
  serviceAccounts: applied(resources.serviceAccounts, { automountServiceAccountToken: true }),
  roles: applied(resources.roles, { rules: true }),
  roleBindings: applied(resources.roleBindings, { roleRef: true, subjects: true }),
  podDisruptionBudgets: applied(resources.podDisruptionBudgets, { spec: true }),
  networkPolicies: applied(resources.networkPolicies, { spec: true }),
  dnsEndpoints: { ...applied(resources.dnsEndpoints, { spec: true }), optional: true },
  certificates: { ...applied(resources.certificates, { spec: true }), optional: true },
  volumeSnapshots: {
    ...ofPair<VolumeSnapshot>(
      resources.volumeSnapshots,
      keeping({ status: { creationTime: true, readyToUse: true, error: { message: true } } }),
    ),
    optional: true,
  },
  nodes: ofCluster<Node>(resources.nodes, 'pairs on the node', keptOfNode),
  csiNodes: ofCluster<CsiNode>(
    resources.csiNodes,
    'pairs on the node',
    keeping({ spec: { drivers: { name: true, allocatable: true } } }),
  ),
  // Without what drivers keep in there for themselves, which may be secret.
  volumeAttachments: ofCluster<VolumeAttachment>(
    resources.volumeAttachments,
    'users of the volume',
    keeping({
      spec: { nodeName: true, attacher: true, source: { persistentVolumeName: true } },
      status: { attached: true, attachError: { message: true }, detachError: { message: true } },
    }),
  ),
  persistentVolumes: ofCluster<PersistentVolume>(
    resources.persistentVolumes,
    'users of the volume',
    keeping(
      { spec: { accessModes: true, nodeAffinity: true, csi: { driver: true, volumeHandle: true } } },
      (annotation) => annotation === MIGRATED_TO_ANNOTATION,
    ),
  ),
  csiDrivers: ofCluster<CSIDriver>(
    resources.csiDrivers,
    'every pair',
    keeping({ spec: { attachRequired: true } }),
  ),
} as const;

export type WatchedKindName = keyof typeof watchedKinds;

export type ObjectOf<Name extends WatchedKindName> = ReturnType<(typeof watchedKinds)[Name]['keep']>;

/** Kinds whose objects belong to a pair. Claims are observed by name, since the pair may adopt some without its label. */
export type OwnKindName = Exclude<
  WatchedKindName,
  | 'filerPairs'
  | 'filerPairClasses'
  | 'namespaces'
  | 'persistentVolumeClaims'
  | 'nodes'
  | 'csiNodes'
  | 'volumeAttachments'
  | 'persistentVolumes'
  | 'csiDrivers'
>;

/** Objects that are observed of a pair, by kind. */
export type OwnObjects = { readonly [Name in OwnKindName]: readonly ObjectOf<Name>[] };

const isOwnKind = (name: string): name is OwnKindName =>
  watchedKinds[name as WatchedKindName].selects !== 'all' && name !== 'persistentVolumeClaims';

/** One list for each kind whose objects belong to a pair. */
export const ownObjects = (listOf: (name: OwnKindName) => readonly KubernetesObject[]): OwnObjects =>
  Object.fromEntries(
    Object.keys(watchedKinds)
      .filter(isOwnKind)
      .map((name) => [name, listOf(name)]),
  ) as unknown as OwnObjects;
