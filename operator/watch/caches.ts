// The operator's copy of the cluster: one reflector a kind, only what carries the pair's label. Every change that can
// matter names the pair to look at again; nothing is polled.

import { ApiError, isNotFound } from '../../kubernetes/api-error.ts';
import type { KubernetesClient, Selection } from '../../kubernetes/client.ts';
import type { EndpointSlice } from '../../kubernetes/failover-endpoint.ts';
import { JoinedCopies } from '../../kubernetes/joined-copies.ts';
import {
  handleKeysName,
  labels,
  leaseAnnotations,
  nodeAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { type Change, type ObjectCopy, Reflector } from '../../kubernetes/reflector.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { leaseMatters } from '../model/lease-view.ts';
import {
  attachmentPodName,
  authorityName,
  certificateDnsName,
  certificateName,
  claimName,
  leaseName,
  sharedKeyName,
} from '../model/names.ts';
import type {
  Claim,
  CSIDriver,
  CsiNode,
  FilerPairObject,
  Node,
  PersistentVolume,
  Pod,
  Service,
  VolumeAttachment,
  VolumeSnapshot,
} from '../model/objects.ts';
import {
  type DnsLookup,
  noOtherPairs,
  type Observed,
  type ObservedCredentials,
  type Problem,
  type VolumeFence,
} from '../model/observed.ts';
import { authorityFacts, type Secret, serverCertificateFacts } from './certificates.ts';
import { type Ask, DnsAnswers } from './dns-answers.ts';
import { NodeCapacities } from './node-capacity.ts';

export interface CachesOptions {
  readonly client: KubernetesClient;
  /** Whether to look for ExternalDNS at all: without the right to, looking fails for ever. */
  readonly publishDns: boolean;
  /** Namespaces to look into; none: all. */
  readonly namespaces: readonly string[];
  readonly askDns: Ask;
  /** `namespace/name` of a pair that should be looked at. */
  readonly wake: (key: string) => void;
  readonly onError: (resource: string, error: ApiError, retryInMs: number) => void;
}

interface Definition extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** A pair is looked at again after this long at most if only its Secrets have changed. ms */
const secretsAgeMsMax = 60_000;

/** By Kubernetes, on a PersistentVolume of a plug-in of old whose work a CSI driver does: that driver. */
/** How names of CSI volumes begin in Node.status.volumesInUse (k8s.io/kubernetes/pkg/volume/util, GetUniqueVolumeName). */
const IN_USE_OF_CSI = 'kubernetes.io/csi/';
const migratedToAnnotation = 'pv.kubernetes.io/migrated-to';

const unknownCredentials: ObservedCredentials = {
  sharedKey: 'unknown',
  handleKeys: 'unknown',
  authority: 'unknown',
  servers: {},
  offered: {},
};

/** Woken instead of a pair when marks on nodes may have to go. No pair has this name: a pair's has a slash in it. */
export const nodesKey = 'nodes';

export const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

const definitionName = ({ plural, group }: Resource): string => `${plural}.${group}`;

/** A kind that the cluster may not have, or get and lose while the operator runs: its definition is watched too. */
interface Optional<T extends KubernetesObject> {
  readonly resource: Resource;
  readonly definitions: ObjectCopy<Definition>;
  /** Only while the cluster serves it. */
  objects: ObjectCopy<T> | null;
}

export class Caches {
  readonly #options: CachesOptions;
  readonly #pairs: ObjectCopy<FilerPairObject>;
  readonly #pods: ObjectCopy<Pod>;
  readonly #nodes: ObjectCopy<Node>;
  #nodesNow: Observed['nodes'] | null = null;
  /** By name of a node: when its condition Ready became as it is. ms of this process's clock */
  readonly #readiness = new Map<string, number>();
  /** By name of a node that the API does not have: when it first said so. ms of this process's clock */
  readonly #nodesGone = new Map<string, number>();
  readonly #leases: ObjectCopy<Lease>;
  readonly #services: ObjectCopy<Service>;
  readonly #endpointSlices: ObjectCopy<EndpointSlice>;
  readonly #configMaps: ObjectCopy<KubernetesObject>;
  readonly #serviceAccounts: ObjectCopy<KubernetesObject>;
  readonly #roles: ObjectCopy<KubernetesObject>;
  readonly #roleBindings: ObjectCopy<KubernetesObject>;
  readonly #podDisruptionBudgets: ObjectCopy<KubernetesObject>;
  readonly #networkPolicies: ObjectCopy<KubernetesObject>;
  readonly #claims: ObjectCopy<Claim>;
  readonly #volumeAttachments: ObjectCopy<VolumeAttachment>;
  readonly #csiNodes: ObjectCopy<CsiNode>;
  readonly #volumes: ObjectCopy<PersistentVolume>;
  readonly #csiDrivers: ObjectCopy<CSIDriver>;
  readonly #dnsEndpoints: Optional<KubernetesObject>;
  readonly #volumeSnapshots: Optional<VolumeSnapshot>;
  /** By UID of the pair: what was in its Secrets when they were looked at last. */
  readonly #credentials = new Map<string, { readonly seen: ObservedCredentials; readonly at: number }>();

  /** By namespace and name of a claim: the FilerPairs whose specs name it. Made anew after specs have changed only. */
  #claimUsersNow: ReadonlyMap<string, readonly FilerPairObject[]> | null = null;

  readonly #dnsAnswers: DnsAnswers;
  readonly #nodeRooms: NodeCapacities;

  constructor(options: CachesOptions) {
    this.#options = options;
    this.#dnsAnswers = new DnsAnswers(options.askDns);
    this.#nodeRooms = new NodeCapacities(options.client);
    this.#pairs = this.#reflector<FilerPairObject>(resources.filerPairs, (change) => {
      this.#claimUsersChanged(change);
      const { namespace = '', name = '' } = objectOf(change).metadata;
      options.wake(keyOf(namespace, name));
    });
    this.#pods = this.#labelled<Pod>(resources.pods);
    this.#leases = this.#labelled<Lease>(resources.leases, (a, b) => same(leaseMatters(a), leaseMatters(b)));
    this.#services = this.#labelled<Service>(resources.services);
    this.#endpointSlices = this.#labelled<EndpointSlice>(resources.endpointSlices);
    this.#configMaps = this.#labelled(resources.configMaps);
    this.#serviceAccounts = this.#labelled(resources.serviceAccounts);
    this.#roles = this.#labelled(resources.roles);
    this.#roleBindings = this.#labelled(resources.roleBindings);
    // Its status changes with every pod that becomes ready; only what we apply matters.
    this.#podDisruptionBudgets = this.#labelled(resources.podDisruptionBudgets, (a, b) =>
      same([a.metadata.labels, specOf(a)], [b.metadata.labels, specOf(b)]),
    );
    this.#networkPolicies = this.#labelled(resources.networkPolicies);
    this.#claims = this.#labelled<Claim>(resources.persistentVolumeClaims);
    this.#volumeAttachments = this.#reflector<VolumeAttachment>(
      resources.volumeAttachments,
      (change) => this.#volumeAttachmentChanged(objectOf(change)),
      {},
      trimVolumeAttachment,
    );
    this.#csiNodes = this.#reflector<CsiNode>(
      resources.csiNodes,
      (change) => this.#csiNodeChanged(change),
      {},
      trimCsiNode,
    );
    this.#volumes = this.#reflector<PersistentVolume>(
      resources.persistentVolumes,
      (change) => this.#volumeChanged(change),
      {},
      trimVolume,
    );
    this.#csiDrivers = this.#reflector<CSIDriver>(resources.csiDrivers, (change) => {
      if (change.kind === 'modified' && attachRequired(change.object) === attachRequired(change.previous))
        return;
      this.#wakeAll();
    });
    this.#nodes = this.#reflector<Node>(resources.nodes, (change) => this.#nodeChanged(change), {}, trimNode);
    this.#dnsEndpoints = this.#optional(resources.dnsEndpoints);
    this.#volumeSnapshots = this.#optional(resources.volumeSnapshots);
  }

  /** Starts watching; resolves when everything has been listed once. */
  async start(): Promise<void> {
    for (const reflector of this.#all()) reflector.start();
    await Promise.all(this.#all().map((reflector) => reflector.whenListed()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.stop()));
  }

  get listed(): boolean {
    return this.#all().every((reflector) => reflector.listed);
  }

  pairs(): IterableIterator<FilerPairObject> {
    return this.#pairs.values();
  }

  /** Every pair, and every name that left something behind. */
  keys(): Set<string> {
    const keys = new Set<string>();
    for (const { metadata } of this.#pairs.values())
      keys.add(keyOf(metadata.namespace ?? '', metadata.name ?? ''));
    for (const lease of this.#leases.values()) {
      const key = pairKeyOf(lease);
      if (key !== null) keys.add(key);
    }
    return keys;
  }

  /** Looks at Secrets again the next time they are asked for: at those of one pair, or of all. */
  forgetSecrets(pairUid?: string): void {
    if (pairUid === undefined) this.#credentials.clear();
    else this.#credentials.delete(pairUid);
  }

  /** Has the DNS asked in the background; wakes the pair when an answer is another one. */
  ask(key: string, lookups: readonly DnsLookup[]): void {
    this.#dnsAnswers.want(key, lookups, () => this.#options.wake(key));
  }

  /** One plain input for decide(). Asks the API only for what cannot be watched. */
  async observe(namespace: string, name: string, problems: readonly Problem[]): Promise<Observed> {
    const pair = this.#pairs.get(namespace, name) ?? null;
    const of = <T extends KubernetesObject>(reflector: ObjectCopy<T>): T[] =>
      reflector.inGroup(keyOf(namespace, name));
    const labelled = await this.#withUnlabelled(of(this.#pods), resources.pods, namespace, podNames(pair));
    const leases = await this.#withUnlabelled(
      of(this.#leases),
      resources.leases,
      namespace,
      pair?.spec?.servers?.map((server) => leaseName(name, server.name)) ?? [],
    );
    const claims = await this.#observeClaims(namespace, name, pair, of(this.#claims));
    const volumeAttachments = this.#attachmentsOf(claims);
    const pods = await this.#withUnlabelled(
      labelled,
      resources.pods,
      namespace,
      lostDisks(pair, leases, labelled, volumeAttachments),
    );
    const unseen = await this.#observeUnseenNodes(pods);
    return {
      namespace,
      name,
      pair,
      pods,
      leases,
      services: of(this.#services),
      endpointSlices: of(this.#endpointSlices),
      configMaps: of(this.#configMaps),
      serviceAccounts: of(this.#serviceAccounts),
      roles: of(this.#roles),
      roleBindings: of(this.#roleBindings),
      podDisruptionBudgets: of(this.#podDisruptionBudgets),
      networkPolicies: of(this.#networkPolicies),
      dnsEndpoints: this.#dnsEndpoints.objects === null ? [] : of(this.#dnsEndpoints.objects),
      volumeSnapshots: this.#volumeSnapshots.objects === null ? [] : of(this.#volumeSnapshots.objects),
      snapshotsServed: this.#volumeSnapshots.objects?.listed === true,
      claims,
      claimUsers: this.#otherUsers(pair, claims),
      volumeAttachments,
      ...this.#observeVolumes(pair, claims),
      volumeSlots: pair?.spec?.storage?.transfer === 'Reattach' ? this.#volumeSlots(pods) : {},
      nodeRoom:
        pair?.spec?.storage?.transfer === 'Reattach' ? this.#roomFor(keyOf(namespace, name), pods) : {},
      credentials: pair === null ? unknownCredentials : await this.#observeCredentials(pair, pods),
      dnsEndpointsServed: this.#dnsEndpoints.objects?.listed === true,
      dnsAnswers: this.#dnsAnswers.of(keyOf(namespace, name)),
      nodes: { ...this.#nodesByName(), ...unseen.found },
      readinessSince: this.#readinessOf(pods, volumeAttachments),
      nodesGone: unseen.gone,
      others: noOtherPairs,
      problems,
    };
  }

  /**
   * What must be there, and is not among what carries the label: somebody may have removed it. Such an object is no
   * less in use, so it is asked for by its name, and gets its label back.
   */
  async #withUnlabelled<T extends KubernetesObject>(
    labelled: readonly T[],
    resource: Resource,
    namespace: string,
    names: readonly string[],
  ): Promise<T[]> {
    const all = [...labelled];
    for (const name of names) {
      if (labelled.some(({ metadata }) => metadata.name === name)) continue;
      const found = await this.#lookFor<T>(resource, namespace, name);
      if (typeof found === 'object') all.push(found);
    }
    return all;
  }

  async #observeClaims(
    namespace: string,
    name: string,
    pair: FilerPairObject | null,
    labelled: readonly Claim[],
  ): Promise<Observed['claims']> {
    const claims: Record<string, Claim | 'absent' | 'unknown'> = {};
    for (const claim of labelled) claims[claim.metadata.name ?? ''] = claim;
    for (const server of pair?.spec?.servers ?? [])
      for (const volume of server.volumes ?? []) {
        // Not labelled yet: it is to be adopted, or to be made.
        const wanted = claimName(name, server.name, volume as Parameters<typeof claimName>[2]);
        claims[wanted] ??= await this.#lookFor<Claim>(resources.persistentVolumeClaims, namespace, wanted);
      }
    return claims;
  }

  /** Only where volumes move: elsewhere the scheduler sees the claims of the servers' own pods, and nothing is attached for them. */
  #observeVolumes(
    pair: FilerPairObject | null,
    claims: Observed['claims'],
  ): Pick<Observed, 'volumeReach' | 'volumeFences'> {
    const volumeReach: Record<string, Observed['volumeReach'][string]> = {};
    const volumeFences: Record<string, Observed['volumeFences'][string]> = {};
    const moving = pair?.spec?.storage?.transfer === 'Reattach';
    for (const claim of moving ? Object.values(claims) : []) {
      const name = typeof claim === 'object' ? claim.spec?.volumeName : undefined;
      if (name === undefined) continue;
      const volume = this.#volumes.get(undefined, name);
      volumeReach[name] =
        volume === undefined ? 'unknown' : (volume.spec?.nodeAffinity?.required ?? 'every node');
      volumeFences[name] = volume === undefined ? 'unknown' : this.#fenceOf(volume);
    }
    return { volumeReach, volumeFences };
  }

  #fenceOf({ metadata, spec }: PersistentVolume): VolumeFence {
    const driver = spec?.csi?.driver ?? metadata.annotations?.[migratedToAnnotation] ?? null;
    const found = driver === null ? undefined : this.#csiDrivers.get(undefined, driver);
    const { driver: ofCsi, volumeHandle } = spec?.csi ?? {};
    return {
      accessModes: spec?.accessModes ?? [],
      driver,
      attachRequired: attachRequired(found),
      ...(ofCsi && volumeHandle && { inUseAs: `${IN_USE_OF_CSI}${ofCsi}^${volumeHandle}` }),
    };
  }

  #otherUsers(pair: FilerPairObject | null, claims: Observed['claims']): Observed['claimUsers'] {
    const { namespace = '', uid } = pair?.metadata ?? {};
    const found: Record<string, Observed['claimUsers'][string]> = {};
    for (const name of pair === null ? [] : Object.keys(claims)) {
      const others = this.#claimUsers()
        .get(keyOf(namespace, name))
        ?.filter(({ metadata }) => metadata.uid !== uid);
      if (others === undefined || others.length === 0) continue;
      found[name] = others.map(({ metadata }) => ({
        name: metadata.name ?? '',
        since: metadata.creationTimestamp ?? '',
      }));
    }
    return found;
  }

  #claimUsers(): ReadonlyMap<string, readonly FilerPairObject[]> {
    if (this.#claimUsersNow !== null) return this.#claimUsersNow;
    const users = new Map<string, FilerPairObject[]>();
    for (const pair of this.#pairs.values())
      for (const key of claimKeys(pair)) users.set(key, [...(users.get(key) ?? []), pair]);
    this.#claimUsersNow = users;
    return users;
  }

  /** What one pair takes or leaves, another one may have to leave or may have. */
  #claimUsersChanged(change: Change<FilerPairObject>): void {
    if (change.kind === 'modified' && same(claimKeys(change.object), claimKeys(change.previous))) return;
    this.#claimUsersNow = null;
    const keys = change.kind === 'modified' ? claimKeys(change.previous) : claimKeys(objectOf(change));
    for (const key of keys)
      for (const { metadata } of this.#claimUsers().get(key) ?? [])
        this.#options.wake(keyOf(metadata.namespace ?? '', metadata.name ?? ''));
  }

  #attachmentsOf(claims: Observed['claims']): VolumeAttachment[] {
    const volumes = new Set(
      Object.values(claims).map((claim) => (typeof claim === 'object' ? claim.spec?.volumeName : undefined)),
    );
    return [...this.#volumeAttachments.values()].filter((one) => {
      const name = one.spec?.source?.persistentVolumeName;
      return name !== undefined && volumes.has(name);
    });
  }

  /**
   * Secrets cannot be watched without the right to read everybody's. So they are asked for when a pair is looked at for
   * another reason, once a minute at most, and whenever a pod waits to be started: without its Secret it waits for ever.
   * Otherwise nobody waits for them: what the look is about may be the death of a server.
   */
  async #observeCredentials(pair: FilerPairObject, pods: readonly Pod[]): Promise<ObservedCredentials> {
    const { uid = '', namespace = '', name = '' } = pair.metadata;
    const known = this.#credentials.get(uid);
    const needed = pods.some(({ status }) => status?.phase === 'Pending');
    if (known === undefined || needed) {
      const seen = await this.#readCredentials(pair);
      this.#credentials.set(uid, { seen, at: Date.now() });
      return seen;
    }
    if (Date.now() - known.at >= secretsAgeMsMax) {
      const meanwhile = { seen: known.seen, at: Date.now() };
      this.#credentials.set(uid, meanwhile);
      void this.#readCredentials(pair).then((seen) => {
        // Forgotten or read again meanwhile: this may be the older of the two.
        if (this.#credentials.get(uid) !== meanwhile || same(seen, known.seen)) return;
        this.#credentials.set(uid, { seen, at: Date.now() });
        this.#options.wake(keyOf(namespace, name));
      });
    }
    return known.seen;
  }

  async #readCredentials(pair: FilerPairObject): Promise<ObservedCredentials> {
    const { namespace = '', name = '' } = pair.metadata;
    const mine = async (wanted: string): Promise<Secret | 'absent' | 'unknown'> => {
      const found = await this.#lookFor<Secret>(resources.secrets, namespace, wanted);
      // Somebody else's: to make our own fails, and says so.
      return typeof found === 'string' || belongsTo(found, pair) ? found : 'absent';
    };
    const names = (pair.spec?.servers ?? []).map((server) => server.name);
    const offered: Record<string, ObservedCredentials['offered'][string]> = {};
    const named = [
      ...(pair.spec?.servers ?? []).map(({ certificateSecret }) => certificateSecret),
      pair.spec?.metricsTokenSecret,
    ];
    for (const wanted of named) {
      if (wanted === undefined) continue;
      const found = await this.#lookFor<Secret>(resources.secrets, namespace, wanted);
      offered[wanted] =
        typeof found === 'string'
          ? found
          : found.metadata.labels?.[labels.offeredTo] === name
            ? 'offered'
            : 'not offered';
    }
    const [key, handles, authority, ...certificates] = await Promise.all([
      mine(sharedKeyName(name)),
      mine(handleKeysName(name)),
      mine(authorityName(name)),
      ...names.map((server) => mine(certificateName(name, server))),
    ]);
    const facts = typeof authority === 'string' ? authority : authorityFacts(authority);
    const authorities =
      typeof facts === 'object' && 'newest' in facts ? [facts.newest, ...facts.previous] : [];
    const servers: Record<string, ObservedCredentials['servers'][string]> = {};
    for (const [index, server] of names.entries()) {
      const own = certificates[index] ?? 'unknown';
      servers[server] =
        typeof own === 'string'
          ? own
          : serverCertificateFacts(own, certificateDnsName(server, namespace), authorities);
    }
    const sharedKey = typeof key === 'string' ? key : { uid: key.metadata.uid ?? '' };
    const handleKeys = typeof handles === 'string' ? handles : 'there';
    return { sharedKey, handleKeys, authority: facts, servers, offered };
  }

  async #lookFor<T extends KubernetesObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
  ): Promise<T | 'absent' | 'unknown'> {
    try {
      return await this.#options.client.get<T>(resource, { ...(namespace && { namespace }), name });
    } catch (error) {
      if (isNotFound(error)) return 'absent';
      if (error instanceof ApiError) return 'unknown';
      throw error;
    }
  }

  #all(): ObjectCopy<KubernetesObject>[] {
    return [
      this.#pairs,
      this.#pods,
      this.#nodes,
      this.#leases,
      this.#services,
      this.#endpointSlices,
      this.#configMaps,
      this.#serviceAccounts,
      this.#roles,
      this.#roleBindings,
      this.#podDisruptionBudgets,
      this.#networkPolicies,
      this.#claims,
      this.#volumeAttachments,
      this.#csiNodes,
      this.#volumes,
      this.#csiDrivers,
      ...(this.#options.publishDns ? [this.#dnsEndpoints.definitions] : []),
      this.#volumeSnapshots.definitions,
      ...[this.#dnsEndpoints, this.#volumeSnapshots].flatMap(({ objects }) => objects ?? []),
    ] as unknown as ObjectCopy<KubernetesObject>[];
  }

  #reflector<T extends KubernetesObject>(
    resource: Resource,
    onChange: (change: Change<T>) => void,
    selection: Selection = {},
    trim?: (object: T) => T,
    groupOf?: (object: T) => string | null,
  ): ObjectCopy<T> {
    const copyOf = (namespace: string | undefined): Reflector<T> =>
      new Reflector<T>({
        ...selection,
        namespace,
        client: this.#options.client,
        resource,
        trim,
        groupOf,
        onChange,
        onError: (error, retryInMs) => this.#options.onError(resource.plural, error, retryInMs),
      });
    const { namespaces } = this.#options;
    if (!resource.namespaced || namespaces.length === 0) return copyOf(undefined);
    return new JoinedCopies(new Map(namespaces.map((name) => [name, copyOf(name)])));
  }

  /** Of all pairs, waking the one that the label names; `alike`: a change that cannot matter. */
  #labelled<T extends KubernetesObject>(resource: Resource, alike?: (a: T, b: T) => boolean): ObjectCopy<T> {
    const onChange = (change: Change<T>): void => {
      if (change.kind === 'modified' && alike?.(change.object, change.previous)) return;
      for (const object of change.kind === 'modified'
        ? [change.object, change.previous]
        : [objectOf(change)]) {
        const key = pairKeyOf(object);
        if (key !== null) this.#options.wake(key);
      }
    };
    return this.#reflector(resource, onChange, { labelSelector: labels.pair }, undefined, pairKeyOf);
  }

  /**
   * The watch of nodes may lag behind that of pods, and a Node may register anew under its name. So a node that the cache lacks
   * is asked for before anything is concluded from its absence.
   */
  async #observeUnseenNodes(
    pods: readonly Pod[],
  ): Promise<{ readonly found: Record<string, Node>; readonly gone: Record<string, number> }> {
    const found: Record<string, Node> = {};
    const gone: Record<string, number> = {};
    const names = new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []));
    for (const name of names) {
      if (this.#nodes.get(undefined, name) !== undefined) continue;
      const node = await this.#lookFor<Node>(resources.nodes, undefined, name);
      if (typeof node === 'object') {
        found[name] = trimNode(node);
        this.#nodesGone.delete(name);
      } else if (node === 'absent') {
        const since = this.#nodesGone.get(name) ?? performance.now();
        this.#nodesGone.set(name, since);
        gone[name] = wallClockOf(since);
      }
    }
    return { found, gone };
  }

  #roomFor(key: string, pods: readonly Pod[]): Observed['nodeRoom'] {
    const servers = pods.filter(({ metadata }) => metadata.labels?.[labels.server] !== undefined);
    return this.#nodeRooms.of(
      servers.flatMap(({ spec }) => spec?.nodeName ?? []),
      () => this.#options.wake(key),
    );
  }

  #volumeSlots(pods: readonly Pod[]): Record<string, Record<string, number>> {
    const slots: Record<string, Record<string, number>> = {};
    for (const name of new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []))) {
      const limits = this.#csiNodes.get(undefined, name)?.spec?.drivers ?? [];
      const used = (driver: string): number =>
        [...this.#volumeAttachments.values()].filter(
          ({ spec }) => spec?.nodeName === name && spec.attacher === driver,
        ).length;
      slots[name] = Object.fromEntries(
        limits.flatMap(({ name: driver, allocatable }) =>
          allocatable?.count === undefined ? [] : [[driver, allocatable.count - used(driver)]],
        ),
      );
    }
    return slots;
  }

  /** Of the nodes that may matter to a pair, as times of the wall clock of now: it may have been set meanwhile. */
  #readinessOf(pods: readonly Pod[], volumeAttachments: readonly VolumeAttachment[]): Record<string, number> {
    const names = [...pods, ...volumeAttachments].flatMap(({ spec }) => spec?.nodeName ?? []);
    return Object.fromEntries(
      names.flatMap((name) => {
        const since = this.#readiness.get(name);
        return since === undefined ? [] : [[name, wallClockOf(since)]];
      }),
    );
  }

  nodes(): Observed['nodes'] {
    return this.#nodesByName();
  }

  /** Made anew after changes only: with many nodes it is the largest part of what a decision is given. */
  #nodesByName(): Observed['nodes'] {
    this.#nodesNow ??= Object.fromEntries(
      [...this.#nodes.values()].map((node) => [node.metadata.name ?? '', node]),
    );
    return this.#nodesNow;
  }

  #nodeChanged(change: Change<Node>): void {
    this.#nodesNow = null;
    const nodeName = objectOf(change).metadata.name ?? '';
    this.#nodesGone.delete(nodeName);
    if (change.kind === 'deleted') this.#readiness.delete(nodeName);
    else if (change.kind !== 'modified' || !same(readinessOf(change.object), readinessOf(change.previous)))
      this.#readiness.set(nodeName, performance.now());
    if (change.kind === 'modified' && same(nodeMatters(change.object), nodeMatters(change.previous))) return;
    const { name, annotations } = objectOf(change).metadata;
    if (annotations?.[nodeAnnotations.outOfService] !== undefined) this.#options.wake(nodesKey);
    this.#wakePairsOn(name);
    // Disks may be attached there when no pod is left.
    for (const attached of this.#volumeAttachments.values())
      if (attached.spec?.nodeName === name) this.#volumeAttachmentChanged(attached);
  }

  /** A driver that starts on a node, or counts anew, changes how many volumes fit there. */
  #csiNodeChanged(change: Change<CsiNode>): void {
    if (change.kind === 'modified' && same(change.object.spec, change.previous.spec)) return;
    this.#wakePairsOn(objectOf(change).metadata.name);
  }

  #wakePairsOn(node: string | undefined): void {
    for (const pod of this.#pods.values()) {
      const key = pod.spec?.nodeName === node ? pairKeyOf(pod) : null;
      if (key !== null) this.#options.wake(key);
    }
  }

  #volumeAttachmentChanged({ spec }: VolumeAttachment): void {
    this.#wakeUsersOf(spec?.source?.persistentVolumeName);
  }

  #volumeChanged(change: Change<PersistentVolume>): void {
    if (change.kind === 'modified' && same(change.object.spec, change.previous.spec)) return;
    this.#wakeUsersOf(objectOf(change).metadata.name);
  }

  /** Most volumes have nothing to do with any pair. */
  #wakeUsersOf(volume: string | undefined): void {
    for (const claim of this.#claims.values()) {
      if (claim.spec?.volumeName !== volume) continue;
      const key = pairKeyOf(claim);
      if (key !== null) this.#options.wake(key);
    }
  }

  #optional<T extends KubernetesObject>(resource: Resource): Optional<T> {
    const definitions = this.#reflector<Definition>(
      resources.customResourceDefinitions,
      () => this.#definitionChanged(optional),
      { fieldSelector: `metadata.name=${definitionName(resource)}` },
    );
    const optional: Optional<T> = { resource, definitions, objects: null };
    return optional;
  }

  /** It may be installed or removed at any time. */
  #definitionChanged<T extends KubernetesObject>(optional: Optional<T>): void {
    const definition = optional.definitions.get(undefined, definitionName(optional.resource));
    const served = definition?.status?.conditions?.some(
      ({ type, status }) => type === 'Established' && status === 'True',
    );
    if (served && optional.objects === null) {
      const reflector = this.#labelled<T>(optional.resource);
      optional.objects = reflector;
      reflector.start();
      reflector.whenListed().then(
        () => this.#wakeAll(),
        () => undefined,
      );
    } else if (!served && optional.objects !== null) {
      void optional.objects.stop();
      optional.objects = null;
      this.#wakeAll();
    }
  }

  #wakeAll(): void {
    for (const key of this.keys()) this.#options.wake(key);
  }
}

/** By its label, or, where that was removed, by its owner. */
const belongsTo = ({ metadata }: KubernetesObject, pair: FilerPairObject): boolean =>
  metadata.labels?.[labels.pair] === pair.metadata.name ||
  metadata.ownerReferences?.some(({ uid }) => uid === pair.metadata.uid) === true;

/** Pods that the status tells of. */
const podNames = (pair: FilerPairObject | null): string[] =>
  (pair?.status?.servers ?? []).flatMap(({ pod }) => (pod === undefined ? [] : [pod]));

/** `namespace/name` of all claims that a FilerPair names. */
const claimKeys = ({ metadata, spec }: FilerPairObject): string[] =>
  (spec?.servers ?? []).flatMap((server) =>
    (server.volumes ?? []).map((volume) =>
      keyOf(
        metadata.namespace ?? '',
        claimName(metadata.name ?? '', server.name, volume as Parameters<typeof claimName>[2]),
      ),
    ),
  );

/**
 * Names that attachment pods may have which Leases name and nobody has seen: of every node that has, or may have, disks of the
 * pair. Empty while all are seen, which is nearly always.
 */
function lostDisks(
  pair: FilerPairObject | null,
  leases: readonly Lease[],
  pods: readonly Pod[],
  attachments: readonly VolumeAttachment[],
): string[] {
  const seen = new Set(pods.map(({ metadata }) => metadata.uid));
  const lost = leases.some(({ metadata }) => {
    const named = metadata.annotations?.[leaseAnnotations.disks];
    return named !== undefined && named !== '' && !seen.has(named);
  });
  if (pair === null || !lost) return [];
  const nodes = new Set([...pods, ...attachments].flatMap(({ spec }) => spec?.nodeName ?? []));
  return (pair.spec?.servers ?? []).flatMap(({ name }) =>
    [...nodes].map((node) => attachmentPodName(pair.metadata.name ?? '', name, node)),
  );
}

const objectOf = <T extends KubernetesObject>(change: Change<T>): T =>
  change.kind === 'deleted' ? change.previous : change.object;

function pairKeyOf({ metadata }: KubernetesObject): string | null {
  const pair = metadata.labels?.[labels.pair];
  return pair === undefined ? null : keyOf(metadata.namespace ?? '', pair);
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const specOf = (object: KubernetesObject): unknown => (object as { spec?: unknown }).spec;

const wallClockOf = (monotonicMs: number): number => Date.now() - (performance.now() - monotonicMs);

const readinessOf = ({ metadata, status }: Node): unknown => {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return [metadata.uid, ready?.status, ready?.lastTransitionTime];
};

/** The kubelet writes a node's status every few minutes and with every image: none of it matters here. */
const nodeMatters = (node: Node): unknown => {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  return [
    ready?.status,
    ready?.lastTransitionTime,
    node.metadata.uid,
    node.metadata.labels,
    node.spec?.unschedulable,
    node.spec?.taints,
    node.metadata.annotations,
    node.status?.nodeInfo,
    node.status?.addresses,
    node.status?.volumesInUse,
  ];
};

const attachRequired = (driver: CSIDriver | undefined): boolean => driver?.spec?.attachRequired !== false;

/** Without where the volume is, and how to get at it. */
function trimVolume({ metadata, spec }: PersistentVolume): PersistentVolume {
  const { name, uid, resourceVersion, annotations } = metadata;
  const migratedTo = annotations?.[migratedToAnnotation];
  return {
    metadata: {
      ...(name && { name }),
      ...(uid && { uid }),
      ...(resourceVersion && { resourceVersion }),
      ...(migratedTo && { annotations: { [migratedToAnnotation]: migratedTo } }),
    },
    spec: {
      accessModes: spec?.accessModes ?? [],
      ...(spec?.nodeAffinity && { nodeAffinity: spec.nodeAffinity }),
      ...(spec?.csi?.driver && {
        csi: {
          driver: spec.csi.driver,
          ...(spec.csi.volumeHandle && { volumeHandle: spec.csi.volumeHandle }),
        },
      }),
    },
  };
}

/** Without what drivers keep in there for themselves, which may be secret. */
function trimVolumeAttachment({ metadata, spec, status }: VolumeAttachment): VolumeAttachment {
  const { attached, attachError, detachError } = status ?? {};
  return {
    metadata,
    spec: {
      ...(spec?.nodeName && { nodeName: spec.nodeName }),
      ...(spec?.attacher && { attacher: spec.attacher }),
      ...(spec?.source && { source: spec.source }),
    },
    status: {
      attached: attached === true,
      ...(attachError && { attachError }),
      ...(detachError && { detachError }),
    },
  };
}

const trimCsiNode = ({ metadata: { name, resourceVersion }, spec }: CsiNode): CsiNode => ({
  metadata: { ...(name && { name }), ...(resourceVersion && { resourceVersion }) },
  spec: {
    drivers: (spec?.drivers ?? []).map(({ name: driver, allocatable }) => ({
      name: driver,
      ...(allocatable && { allocatable }),
    })),
  },
});

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

function trimNode(node: Node): Node {
  const { name, uid, resourceVersion, labels: nodeLabels, annotations = {} } = node.metadata;
  const ours = Object.values(nodeAnnotations).filter((one) => annotations[one] !== undefined);
  const { bootID } = node.status?.nodeInfo ?? {};
  const saidAt = writtenAt(node, nodeAnnotations.poweredOff);
  const inUse = node.status?.volumesInUse?.filter((one) => one.startsWith(IN_USE_OF_CSI)) ?? [];
  return {
    ...(saidAt && { poweredOffSaidAt: saidAt }),
    metadata: {
      ...(name && { name }),
      ...(uid && { uid }),
      ...(resourceVersion && { resourceVersion }),
      ...(nodeLabels && { labels: nodeLabels }),
      annotations: Object.fromEntries(ours.map((one) => [one, annotations[one]!])),
    },
    spec: { unschedulable: node.spec?.unschedulable === true, taints: node.spec?.taints ?? [] },
    status: {
      conditions: node.status?.conditions?.filter(({ type }) => type === 'Ready') ?? [],
      addresses: node.status?.addresses ?? [],
      ...(bootID && { nodeInfo: { bootID } }),
      ...(inUse.length > 0 && { volumesInUse: inUse }),
    },
  };
}
