/**
 * Knowledge of one pair, as one plain input for decide(): from the copy of the cluster, and by asking the API for what
 * cannot be watched. Every change that can matter names the pairs to reconcile.
 */

import { diskSetName } from '../../crds/filer-disk-set.ts';
import type { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { byName } from '../model/by-name.ts';
import { attachmentPodName, leaseName } from '../model/names.ts';
import type { Claim, FilerPairObject, Pod, VolumeAttachment } from '../model/objects.ts';
import { type DnsLookup, noOtherPairs, type Observed, type Problem } from '../model/observed.ts';
import { ownObjects, type WatchedKindName } from '../model/watched-kinds.ts';
import { ClaimUsers, claimNames } from './claim-users.ts';
import { ClusterCopy, keyOf } from './cluster-copy.ts';
import { concernedPairs, everyPair } from './concerned-pairs.ts';
import { type DirectRead, directRead } from './direct-read.ts';
import { type Ask, DnsAnswers } from './dns-answers.ts';
import { NodeCapacities } from './node-capacity.ts';
import { NodesSeen } from './nodes-seen.ts';
import { classOfPair } from './pair-classes.ts';
import { SecretsRead } from './secrets-read.ts';
import { attachmentsOf, movingVolumes, volumeSlots } from './volumes-seen.ts';

export interface CachesOptions {
  readonly client: KubernetesClient;
  /** Optional kinds that are not watched: without the right to list them a watch would fail forever. */
  readonly without: ReadonlySet<WatchedKindName>;
  /** Namespaces to watch; none: all. */
  readonly namespaces: readonly string[];
  readonly askDns: Ask;
  /** `namespace/name` of a pair that should be reconciled. */
  readonly wake: (key: string) => void;
  readonly onError: (resource: string, error: ApiError, retryInMs: number) => void;
}

export class Caches {
  readonly #wake: CachesOptions['wake'];
  readonly #copy: ClusterCopy;
  readonly #read: DirectRead;
  readonly #nodes: NodesSeen;
  readonly #claimUsers: ClaimUsers;
  readonly #secrets: SecretsRead;
  readonly #dnsAnswers: DnsAnswers;
  readonly #nodeCapacities: NodeCapacities;

  constructor({ client, without, namespaces, askDns, wake, onError }: CachesOptions) {
    this.#wake = wake;
    this.#copy = new ClusterCopy({
      client,
      namespaces,
      without,
      onChange: (name, change) => {
        if (name === 'nodes') this.#nodes.changed(change);
        if (name === 'filerPairs') for (const key of this.#claimUsers.changed(change)) wake(key);
        for (const key of concernedPairs(this.#copy, name, change)) wake(key);
      },
      onServed: () => {
        for (const key of this.keys()) wake(key);
      },
      onError,
    });
    this.#read = directRead(client);
    this.#nodes = new NodesSeen(this.#copy, this.#read);
    this.#claimUsers = new ClaimUsers(this.#copy);
    this.#secrets = new SecretsRead(this.#read);
    this.#dnsAnswers = new DnsAnswers(askDns);
    this.#nodeCapacities = new NodeCapacities(client);
  }

  /** Starts watching; resolves when everything has been listed once. */
  start(): Promise<void> {
    return this.#copy.start();
  }

  stop(): Promise<void> {
    return this.#copy.stop();
  }

  get listed(): boolean {
    return this.#copy.listed;
  }

  pairs(): Iterable<FilerPairObject> {
    return this.#copy.values('filerPairs');
  }

  nodes(): Observed['nodes'] {
    return this.#nodes.byName();
  }

  /** Image of file servers that the pair's class provides; null: it does not. */
  imageOfClass(pair: FilerPairObject): string | null {
    const found = classOfPair(this.#copy, pair);
    return (typeof found === 'object' && found?.spec.images?.server) || null;
  }

  /** Every pair, and every name that left something behind. */
  keys(): Set<string> {
    return everyPair(this.#copy);
  }

  /** Drops what is known of Secrets, of one pair or of all: the next question reads them again. */
  forgetSecrets(pairUid?: string): void {
    this.#secrets.forget(pairUid);
  }

  /** Asks the DNS in the background, and wakes the pair when an answer has changed. */
  ask(key: string, lookups: readonly DnsLookup[]): void {
    this.#dnsAnswers.want(key, lookups, () => this.#wake(key));
  }

  async observe(namespace: string, name: string, problems: readonly Problem[]): Promise<Observed> {
    const key = keyOf(namespace, name);
    const wake = (): void => this.#wake(key);
    const pair = this.#copy.get('filerPairs', namespace, name) ?? null;
    const own = ownObjects((kind) => this.#copy.ofPair(kind, key));
    const labelled = await this.#withUnlabelled(own.pods, resources.pods, namespace, podNames(pair));
    const leaseNames = pair?.spec?.servers?.map((server) => leaseName(name, server.name)) ?? [];
    const leases = await this.#withUnlabelled(own.leases, resources.leases, namespace, leaseNames);
    const filerDiskSets = await this.#withUnlabelled(
      own.filerDiskSets,
      resources.filerDiskSets,
      namespace,
      pair?.spec?.servers?.map((server) => diskSetName(name, server.name)) ?? [],
    );
    const claims = await this.#claims(key, namespace, pair);
    const volumeAttachments = attachmentsOf(this.#copy, claims);
    const lost = lostDisks(pair, leases, labelled, volumeAttachments);
    const pods = await this.#withUnlabelled(labelled, resources.pods, namespace, lost);
    const nodes = await this.#nodes.of(pods, volumeAttachments);
    // Absent: the class may say so.
    const moving = (pair?.spec?.storage?.type ?? 'Reattach') === 'Reattach';
    return {
      ...own,
      namespace,
      name,
      pair,
      pairClass: classOfPair(this.#copy, pair),
      namespaceLabels: this.#copy.get('namespaces', undefined, namespace)?.metadata.labels ?? {},
      pods,
      leases,
      filerDiskSets,
      certificatesServed: this.#copy.isServed('certificates'),
      snapshotsServed: this.#copy.isServed('volumeSnapshots'),
      claims,
      claimUsers: this.#claimUsers.others(pair, claims),
      volumeAttachments,
      ...(moving ? movingVolumes(this.#copy, claims) : { volumeReach: {}, volumeFences: {} }),
      volumeSlots: moving ? volumeSlots(this.#copy, pods) : {},
      nodeRoom: moving ? this.#nodeCapacities.of(nodesOfServers(pods), wake) : {},
      credentials: await this.#secrets.of(pair, pods, wake),
      dnsEndpointsServed: this.#copy.isServed('dnsEndpoints'),
      dnsAnswers: this.#dnsAnswers.of(key),
      ...nodes,
      others: noOtherPairs,
      problems,
    };
  }

  /**
   * Adds objects that must be there and do not carry the label: it may have been removed. Such an object is no
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
      const found = await this.#read<T>(resource, namespace, name);
      if (typeof found === 'object') all.push(found);
    }
    return all;
  }

  async #claims(key: string, namespace: string, pair: FilerPairObject | null): Promise<Observed['claims']> {
    const claims = byName<Claim | 'absent' | 'unknown'>();
    for (const claim of this.#copy.ofPair('persistentVolumeClaims', key))
      claims[claim.metadata.name ?? ''] = claim;
    // Not labelled yet: it is to be adopted, or to be made.
    for (const name of pair === null ? [] : claimNames(pair))
      claims[name] ??= await this.#read<Claim>(resources.persistentVolumeClaims, namespace, name);
    return claims;
  }
}

/** Pods that the status tells of. */
const podNames = (pair: FilerPairObject | null): string[] =>
  (pair?.status?.servers ?? []).flatMap(({ pod }) => pod ?? []);

const nodesOfServers = (pods: readonly Pod[]): string[] =>
  pods.flatMap(({ metadata, spec }) =>
    metadata.labels?.[labels.server] === undefined ? [] : (spec?.nodeName ?? []),
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
