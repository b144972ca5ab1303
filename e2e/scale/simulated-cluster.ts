/**
 * Nodes, kubelets and servers for pairs by the thousand, where only the API server is real. Pods are bound to nodes that exist
 * as objects only, and are said to run. Their servers write what servers write onto Leases and into FilerShares. Nothing is
 * served. The cluster's own scheduler has to be gone: it would wait for disks.
 */

import { diskSetName } from '../../crds/filer-disk-set.ts';
import { apiVersion } from '../../crds/group.ts';
import { SHARE_FIELDS, type ShareObject } from '../../fileserver/shares/share-object.ts';
import { statusToApply } from '../../fileserver/shares/share-status.ts';
import { microTime } from '../../fileserver/witness/lease-object.ts';
import { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { Connection } from '../../kubernetes/connection.ts';
import { withFields } from '../../kubernetes/kept-fields.ts';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { Reflector } from '../../kubernetes/reflector.ts';
import { pathOf, resources } from '../../kubernetes/resource.ts';
import { shareFieldManagers } from '../../kubernetes/share-conditions.ts';
import type { Pod } from '../../operator/model/objects.ts';
import { whenNotThrottled } from './throttling.ts';

/** Of the pair of this name: Services bear the names of servers, and a namespace has many pairs. */
export const SERVERS = ['a', 'b'] as const;

/** As a kubelet does. ms */
const NODE_LEASE_EVERY_MS = 10_000;
/** Calls that are made at the same time. */
const CONCURRENCY = 16;

export class SimulatedCluster {
  readonly #client: KubernetesClient;
  readonly #connection: Connection;
  readonly #nodeNames: readonly string[];
  readonly #pods: Reflector<Pod>;
  readonly #shares: Reflector<ShareObject>;
  readonly #readyShares = new Set<string>();
  readonly #waiting: (() => Promise<unknown>)[] = [];
  readonly #owners = new Set<string>();
  #running = 0;
  #placed = 0;
  #heartbeat: NodeJS.Timeout | null = null;
  /** The first call that failed for another reason than a conflict: nothing that follows counts. */
  failure: Error | null = null;

  constructor(client: KubernetesClient, connection: Connection, nodes: number) {
    this.#client = client;
    this.#connection = connection;
    this.#nodeNames = Array.from({ length: nodes }, (_, i) => `simulated-${i}`);
    this.#pods = new Reflector<Pod>({
      client,
      resource: resources.pods,
      labelSelector: labels.pair,
      groupOf: ({ metadata }) => `${metadata.namespace}/${metadata.labels?.[labels.pair]}`,
      onChange: (change) => {
        if (change.kind !== 'deleted') this.#look(change.object);
      },
    });
    this.#shares = new Reflector<ShareObject>({
      client,
      resource: resources.filerShares,
      trim: (share) => withFields(share, SHARE_FIELDS, () => false),
      asText: true,
      groupOf: ({ metadata, spec }) => diskSetKey(metadata.namespace ?? '', spec.pairRef.name, spec.server),
      onChange: (change) => {
        if (change.kind !== 'deleted') this.#lookAtShare(change.object);
      },
    });
  }

  /** FilerShares whose servers have said that clients can mount them. */
  get readyShares(): number {
    return this.#readyShares.size;
  }

  async start(): Promise<void> {
    for (const name of this.#nodeNames) await this.#makeNode(name);
    this.#heartbeat = setInterval(() => {
      for (const name of this.#nodeNames) this.#enqueue(() => this.#renewNode(name));
    }, NODE_LEASE_EVERY_MS);
    this.#pods.start();
    this.#shares.start();
    await Promise.all([this.#pods.whenListed(), this.#shares.whenListed()]);
  }

  async stop(): Promise<void> {
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    await this.#pods.stop();
    await this.#shares.stop();
  }

  /** The server's container of a pod of `pair` ends, as a kubelet would report it. */
  async killServer(namespace: string, pair: string, server: string): Promise<void> {
    const pod = this.#podOf(namespace, pair, server);
    if (pod === undefined) throw new Error(`${namespace}/${pair}: ${server} has no pod`);
    const terminated = {
      exitCode: 137,
      reason: 'Error',
      containerID: `containerd://${pod.metadata.uid}`,
      message: incarnationOf(server, pod),
      startedAt: now(),
      finishedAt: now(),
    };
    const patch = { status: statusOf(pod, { ready: false, state: { terminated } }) };
    await whenNotThrottled(() =>
      this.#client.mergePatch(resources.pods, nameOf(pod), patch, { subresource: 'status' }),
    );
  }

  #podOf(namespace: string, pair: string, server: string): Pod | undefined {
    return this.#pods
      .inGroup(`${namespace}/${pair}`)
      .find(({ metadata }) => metadata.labels?.[labels.server] === server);
  }

  /** What happens next to a pod. */
  #look(pod: Pod): void {
    if (pod.metadata.deletionTimestamp !== undefined) return;
    if (pod.spec?.nodeName === undefined) this.#enqueue(() => this.#bind(pod));
    else if (pod.status?.phase !== 'Running') this.#enqueue(() => this.#run(pod));
    else this.#enqueue(() => this.#own(pod));
  }

  async #bind(pod: Pod): Promise<void> {
    const { namespace, name } = pod.metadata;
    const node = this.#nodeNames[this.#placed++ % this.#nodeNames.length]!;
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
    const path = pathOf(resources.pods, namespace, name, 'binding');
    const answer = await this.#connection.send({ method: 'POST', path, body, timeoutMs: 30_000 });
    if (answer.status !== 201 && answer.status !== 409) throw new Error(`${path}: ${answer.body}`);
  }

  async #run(pod: Pod): Promise<void> {
    const status = statusOf(pod, { ready: true, state: { running: { startedAt: now() } } });
    await this.#client.mergePatch(resources.pods, nameOf(pod), { status }, { subresource: 'status' });
  }

  /** A server that has started and whose partner has, too, owns its disk set from then on, confirmed by its partner. */
  async #own(pod: Pod): Promise<void> {
    const { namespace = '', labels: found = {} } = pod.metadata;
    const pair = found[labels.pair] ?? '';
    const [a, b] = SERVERS;
    for (const [server, partner] of [
      [a, b],
      [b, a],
    ] as const) {
      const [mine, theirs] = [this.#podOf(namespace, pair, server), this.#podOf(namespace, pair, partner)];
      const key = diskSetKey(namespace, pair, server);
      if (mine?.status?.phase !== 'Running' || theirs?.status?.phase !== 'Running') continue;
      if (this.#owners.has(key)) continue;
      this.#owners.add(key);
      await this.#writeLease(namespace, pair, server, mine, theirs, partner);
      for (const share of this.#shares.inGroup(key)) this.#lookAtShare(share);
    }
  }

  /** Its owner says, as a server does, what has become of it: once. */
  #lookAtShare(share: ShareObject): void {
    const { metadata, spec } = share;
    const { namespace = '', name = '' } = metadata;
    if (!this.#owners.has(diskSetKey(namespace, spec.pairRef.name, spec.server))) return;
    const facts = {
      verdict: { accepted: true },
      path: `/${name}`,
      serviceName: `${spec.pairRef.name}-${spec.server}`,
      absent: null,
      directory: null,
      deleting: false,
    } as const;
    const status = statusToApply(share, facts, `${now().slice(0, 19)}Z`);
    if (status === null) {
      this.#readyShares.add(`${namespace}/${name}`);
      return;
    }
    const { kind } = resources.filerShares;
    const applied = { apiVersion, kind, metadata: nameOf(share), status } as KubernetesObject;
    this.#enqueue(() =>
      this.#client.apply(resources.filerShares, applied, shareFieldManagers.server, {
        subresource: 'status',
        timeoutMs: 60_000,
      }),
    );
  }

  async #writeLease(
    namespace: string,
    pair: string,
    server: string,
    mine: Pod,
    theirs: Pod,
    partner: string,
  ): Promise<void> {
    const check = { server: partner, possible: true, missing: [] };
    const transition = { kind: 'Start', cause: 'Unowned', epoch: 1, to: server, at: now(), phases: [] };
    const annotations = {
      [leaseAnnotations.acknowledger]: incarnationOf(partner, theirs),
      [leaseAnnotations.renewal]: '1',
      [leaseAnnotations.lastTransition]: JSON.stringify(transition),
      [leaseAnnotations.takeoverCheck]: JSON.stringify(check),
    };
    const spec = {
      holderIdentity: incarnationOf(server, mine),
      leaseTransitions: 1,
      leaseDurationSeconds: 2,
      renewTime: microTime(new Date()),
    };
    const at = { namespace, name: diskSetName(pair, server) };
    await this.#client.mergePatch<Lease>(resources.leases, at, { metadata: { annotations }, spec });
  }

  async #makeNode(name: string): Promise<void> {
    const metadata = { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } };
    const node = { apiVersion: 'v1', kind: 'Node', metadata } as KubernetesObject;
    await this.#client.create(resources.nodes, node);
    const capacity = { cpu: '1000', memory: '1000Gi', pods: '10000' };
    const at = now();
    const conditions = [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        lastTransitionTime: at,
        lastHeartbeatTime: at,
      },
    ];
    const status = { capacity, allocatable: capacity, conditions };
    await this.#client.mergePatch(resources.nodes, { name }, { status }, { subresource: 'status' });
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace: 'kube-node-lease', name },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime(new Date()) },
    };
    await this.#client.create(resources.leases, lease as KubernetesObject);
  }

  async #renewNode(name: string): Promise<void> {
    const spec = { renewTime: microTime(new Date()) };
    await this.#client.mergePatch(resources.leases, { namespace: 'kube-node-lease', name }, { spec });
  }

  #enqueue(work: () => Promise<unknown>): void {
    this.#waiting.push(work);
    this.#next();
  }

  #next(): void {
    if (this.#running >= CONCURRENCY) return;
    const work = this.#waiting.shift();
    if (work === undefined) return;
    this.#running++;
    void whenNotThrottled(work)
      .catch((error: Error) => {
        // Changed or gone meanwhile: the watch says so.
        if (!(error instanceof ApiError && (error.status === 409 || error.status === 404)))
          this.failure ??= error;
      })
      .finally(() => {
        this.#running--;
        this.#next();
      });
  }
}

const diskSetKey = (namespace: string, pair: string, server: string): string =>
  `${namespace}/${pair}/${server}`;

const incarnationOf = (server: string, pod: Pod): string => `${server}/${pod.metadata.uid}/run-1`;

const nameOf = ({ metadata: { namespace, name = '' } }: KubernetesObject) => ({ namespace, name });

function statusOf(pod: Pod, server: { readonly ready: boolean; readonly state: object }): object {
  const at = now();
  const [high, low] = addressBytes(pod);
  return {
    phase: 'Running',
    podIP: `10.200.${high}.${low}`,
    podIPs: [{ ip: `10.200.${high}.${low}` }],
    conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: server.ready || !type.endsWith('Ready') ? 'True' : 'False',
      lastTransitionTime: at,
    })),
    containerStatuses: ['server', 'sentinel'].map((name) => ({
      name,
      image: 'simulated',
      imageID: 'simulated',
      restartCount: 0,
      started: true,
      ...(name === 'server' ? server : { ready: true, state: { running: { startedAt: at } } }),
    })),
  };
}

/** Some address of its own; two pods may share one, which nobody minds here. */
function addressBytes(pod: Pod): readonly [number, number] {
  const number = Number.parseInt((pod.metadata.uid ?? '0').slice(0, 4), 16);
  return [number >> 8, (number & 255) % 254 || 1];
}

const now = (): string => new Date().toISOString();
