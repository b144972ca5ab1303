/**
 * A pair in a cluster, as decide() sees it, for tests: start with a spec, let plans be carried out, let servers and kubelets do
 * something, look at the next plan. Only data; the API's own behaviour is tested on a real cluster.
 */

import type { Condition } from '../../crds/condition.ts';
import { type FilerPairSpecInput, filerPairSpec } from '../../crds/pair/spec.ts';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import { type EndpointSlice, endpointsOf } from '../../kubernetes/failover-endpoint.ts';
import { endpointAnnotations, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { type Assessment, assess } from '../assess/assessment.ts';
import type { Action, Plan } from '../model/action.ts';
import { attachedElsewhere, userElsewhere } from '../model/held-elsewhere.ts';
import { volumeHeld } from '../model/node-silence.ts';
import type {
  Claim,
  ContainerState,
  FilerPairClassObject,
  FilerPairObject,
  FilerPairOperationObject,
  Node,
  Pod,
  Service,
} from '../model/objects.ts';
import { noOtherPairs, type Observed, type OperatorSettings } from '../model/observed.ts';
import { hasEnded } from '../model/operation-ended.ts';
import { viewPair } from '../model/view.ts';
import { ownObjects } from '../model/watched-kinds.ts';
import { withPatchedSecret, withSecret } from './credentials-model.fixture.ts';
import { decide } from './decide.ts';
import { nodesUnmarked } from './node-marks.ts';
import { statusLies } from './status-laws.fixture.ts';

export const startedAt = Date.parse('2026-11-23T12:00:00Z');
export const settings: OperatorSettings = {
  fileserverImage: 'filerpair/fileserver:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  metricsFrom: [],
};

/** Allows everything. */
export const pairClass: FilerPairClassObject = {
  metadata: { name: 'standard' },
  spec: {
    allowedNamespaces: { from: 'All' },
    limits: {
      storageTypes: ['Reattach', 'SharedCoherent', 'SharedWriteThrough', 'SameNode'],
      exposureTypes: ['NodePort', 'LoadBalancer', 'HostNetwork'],
      serviceAnnotations: ['*'],
      domains: ['*'],
      nodeSelectors: ['*'],
      tolerations: ['*'],
      priorityClasses: ['*'],
      runtimeClasses: ['*'],
      schedulers: ['*'],
      lostNodes: { policies: ['Confirmed', 'AfterTimeout'], minTimeout: '10s' },
    },
  },
};

export const claimTemplate = { spec: { resources: { requests: { storage: '1Gi' } } } };

export const spec = {
  storage: { type: 'SharedCoherent' },
  servers: [{ name: 'a' }, { name: 'b' }],
  volumes: [{ name: 'data', claimTemplate }],
} satisfies FilerPairSpecInput;

/** More than a second, since times in a status have whole ones. */
const LATER_MS = 15_000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Named = { metadata: { name?: string } };

export class World {
  observed: Mutable<Observed>;
  now = startedAt;
  settings = settings;
  #uids = 0;
  readonly #made = new Map<string, number>();

  constructor(wanted: FilerPairSpecInput = spec) {
    const pair: FilerPairObject = {
      apiVersion: 'filerpair.dev/v1beta1',
      kind: 'FilerPair',
      metadata: { name: 'home', namespace: 'storage', uid: 'pair-1', generation: 1, resourceVersion: '1' },
      spec: asStored(wanted),
    };
    const nodes = Object.fromEntries(['node-1', 'node-2'].map((name) => [name, readyNode(name)]));
    this.observed = {
      namespace: 'storage',
      name: 'home',
      pair,
      pairClass,
      namespaceLabels: {},
      ...ownObjects(() => []),
      claims: {},
      claimUsers: {},
      volumeAttachments: [],
      volumeReach: {},
      volumeSlots: {},
      nodeRoom: {},
      volumeFences: {},
      credentials: {
        handleKeys: 'absent',
        authority: 'absent',
        servers: { a: 'absent', b: 'absent' },
        offered: {},
      },
      certificatesServed: false,
      snapshotsServed: false,
      dnsEndpointsServed: false,
      dnsAnswers: {},
      nodes,
      readinessSince: {},
      nodesGone: {},
      others: noOtherPairs,
      problems: [],
    };
  }

  /** A pair that works: both servers run and own their disk sets, and the status says so. */
  static running(wanted?: FilerPairSpecInput, claims: Observed['claims'] = {}): World {
    const world = new World(wanted);
    world.observed.claims = claims;
    world.begin();
    return world;
  }

  /** Everything is made, and both servers come up and take their own disk sets. */
  begin(): void {
    this.settle();
    for (const server of ['a', 'b']) {
      this.runs(server);
      this.claims(server, server, 1);
    }
    this.settle();
  }

  withClaim(name: string, claim: Claim | 'absent' | 'unknown'): this {
    this.observed.claims = { ...this.observed.claims, [name]: claim };
    return this;
  }

  /** Only the Leases, and the records that they need, as if everything else were still to come. */
  withLeases(): this {
    for (const resource of ['filerDiskSets', 'leases'])
      for (const action of this.plan().actions) if (action.resource === resource) this.carryOut(action);
    return this;
  }

  view(): Assessment {
    const pair = this.observed.pair!;
    const view = viewPair(
      { ...this.observed, pair },
      filerPairSpec.parse(pair.spec),
      this.settings,
      this.now,
    );
    if (view === null) throw new Error('nobody says what holds for the volumes');
    return assess(view);
  }

  plan(): Plan {
    return decide(this.observed, this.settings, this.now);
  }

  /** Decides and carries out until nothing is left to do; returns everything that was done. */
  settle(): Action[] {
    const done: Action[] = [];
    for (let round = 0; round < 8; round++) {
      const plan = this.plan();
      const lies = statusLies(this.observed, plan);
      if (lies.length > 0) throw new Error(lies.join('; '));
      const actions = [...plan.actions, ...nodesUnmarked(this.observed.nodes)];
      if (actions.length === 0 && plan.status === null) {
        this.#mustBeInPeace(plan);
        return done;
      }
      for (const action of actions) this.carryOut(action);
      done.push(...actions);
      if (plan.status !== null) this.#changePair({ status: plan.status });
    }
    throw new Error(`still not settled: ${JSON.stringify(this.plan(), null, 1)}`);
  }

  /** Nothing is written because time passes: a reconcile may come at any moment, for something that is no news. */
  #mustBeInPeace({ wakeAt }: Plan): void {
    const later = this.now + LATER_MS;
    if (wakeAt !== null && wakeAt <= later) return;
    const { actions, status } = decide(this.observed, this.settings, later);
    if (actions.length > 0 || status !== null)
      throw new Error(`a reconcile without news writes: ${JSON.stringify([actions, status], null, 1)}`);
  }

  pod(server: string): Pod {
    const pod = this.observed.pods.findLast(
      (one) => one.metadata.labels?.['filerpair.dev/server'] === server,
    );
    if (pod === undefined) throw new Error(`${server} has no pod`);
    return pod;
  }

  lease(home: string): Lease {
    return this.observed.leases.find(({ metadata }) => metadata.name === `home.${home}`)!;
  }

  incarnation(server: string, run = 'run-1'): string {
    return `${server}/${this.pod(server).metadata.uid}/${run}`;
  }

  /** The kubelet reports the server's container as running and ready. */
  runs(server: string, ready = true): void {
    const index = server === 'a' ? 1 : 2;
    this.changePod(this.pod(server), {
      spec: { ...this.pod(server).spec, nodeName: `node-${index}` },
      status: {
        phase: 'Running',
        podIP: `10.0.0.${index}`,
        containerStatuses: [{ name: 'server', ready, restartCount: 0, state: { running: {} } }],
      },
    });
  }

  container(server: string, state: ContainerState, lastState: ContainerState = {}): void {
    const pod = this.pod(server);
    this.changePod(pod, {
      status: {
        ...pod.status,
        containerStatuses: [{ name: 'server', ready: false, restartCount: 1, state, lastState }],
      },
    });
  }

  /** A server takes a disk set: what it writes onto the Lease. */
  claims(server: string, home: string, epoch: number, run = 'run-1'): void {
    const kind = epoch === 1 ? 'Start' : server === home ? 'Giveback' : 'Takeover';
    const acknowledger = this.incarnation(server === 'a' ? 'b' : 'a');
    const transition = {
      kind,
      cause: 'Silent',
      epoch,
      to: server,
      at: new Date(startedAt + epoch * 1000).toISOString(),
      phases: [
        { name: 'claim', atMs: 0, tookMs: 4 },
        { name: 'open', atMs: 4, tookMs: 8.5 },
      ],
    };
    this.changeLease(
      home,
      { holderIdentity: this.incarnation(server, run), leaseTransitions: epoch },
      {
        [leaseAnnotations.acknowledger]: acknowledger,
        [leaseAnnotations.lastTransition]: JSON.stringify(transition),
        [leaseAnnotations.secondaryPortOpen]: server === home ? null : String(epoch),
      },
    );
  }

  /** And what it does to the endpoint of the failover name. */
  gate(home: string, epoch: number, open: boolean, address: string): void {
    const behind = this.observed.pods.find(({ status }) => status?.podIP === address);
    const nodeName = behind?.spec?.nodeName ?? null;
    this.#replace('endpointSlices', `home-${home}-failover`, (slice: EndpointSlice) => ({
      ...slice,
      metadata: withAnnotations(slice, { [endpointAnnotations.epoch]: String(epoch) }),
      endpoints: endpointsOf({ epoch, open, address, nodeName }),
    }));
  }

  changeLease(
    home: string,
    fields: Lease['spec'],
    annotations: Readonly<Record<string, string | null>> = {},
  ): void {
    this.#replace('leases', `home.${home}`, (lease: Lease) => ({
      ...lease,
      metadata: withAnnotations(lease, annotations),
      spec: { ...lease.spec, ...fields },
    }));
  }

  changePod(pod: Pod, change: Partial<Pod>): void {
    this.#replace('pods', pod.metadata.name ?? '', (old: Pod) => ({ ...old, ...change }));
  }

  annotatePair(annotations: Readonly<Record<string, string | null>>): void {
    const pair = this.observed.pair!;
    this.#changePair({
      metadata: { ...withAnnotations(pair, annotations), resourceVersion: this.#version() },
    });
  }

  /** The condition that stands in the pair's status. */
  condition(type: string): Condition | undefined {
    return this.observed.pair?.status?.conditions?.find((one) => one.type === type);
  }

  node(name: string, ready: 'True' | 'False' | 'Unknown', since: number): void {
    const node = readyNode(name, ready, new Date(since).toISOString());
    this.observed.nodes = { ...this.observed.nodes, [name]: node };
    this.observed.readinessSince = { ...this.observed.readinessSince, [name]: since };
  }

  /** Its Node object is gone, and the API has said so. */
  nodeGone(name: string, since = this.now): void {
    const { [name]: _, ...others } = this.observed.nodes;
    this.observed.nodes = others;
    this.observed.nodesGone = { ...this.observed.nodesGone, [name]: since };
  }

  markDeleted(podUid: string): void {
    const pod = this.observed.pods.find(({ metadata }) => metadata.uid === podUid);
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
    const deletionTimestamp = new Date(this.now).toISOString();
    this.changePod(pod, { metadata: { ...pod.metadata, deletionTimestamp } });
  }

  remove(list: 'pods' | 'services' | 'leases', name: string): void {
    this.observed[list] = this.observed[list].filter((one: Named) => one.metadata.name !== name) as never;
  }

  /** An administrator edits the spec. */
  changeSpec(change: Partial<FilerPairSpecInput>): void {
    const pair = this.observed.pair!;
    const generation = (pair.metadata.generation ?? 0) + 1;
    const metadata = { ...pair.metadata, generation, resourceVersion: this.#version() };
    this.#changePair({ spec: asStored({ ...pair.spec, ...change }), metadata });
  }

  /** The administrator provides another image. */
  changeImage(server: string | undefined): void {
    this.changeClass({ images: server === undefined ? undefined : { server } });
  }

  changeClass(change: Partial<FilerPairClassObject['spec']>): void {
    const its = this.observed.pairClass as FilerPairClassObject;
    this.observed.pairClass = { ...its, spec: { ...its.spec, ...change } };
  }

  writeStatus(status: FilerPairStatus): void {
    this.#changePair({ status });
  }

  #changePair(change: Partial<FilerPairObject>): void {
    this.observed.pair = { ...this.observed.pair!, ...change };
  }

  #version(): string {
    return String(100 + this.#uids++);
  }

  #replace<T extends KubernetesObject>(
    list: 'pods' | 'leases' | 'endpointSlices' | 'services',
    name: string,
    change: (old: T) => T,
  ): void {
    this.observed[list] = this.observed[list].map((one) => {
      if (one.metadata.name !== name) return one;
      const changed = change(one as unknown as T);
      return { ...changed, metadata: { ...changed.metadata, resourceVersion: this.#version() } };
    }) as never;
  }

  /** As the API server would; false: a compare-and-swap lost, and nothing was done. */
  carryOut(action: Action): boolean {
    if (this.#lost(action)) return false;
    this.#execute(action);
    return true;
  }

  #lost(action: Action): boolean {
    if (action.kind === 'confirmDetached')
      return (
        userElsewhere(this.observed.pods, action) !== undefined ||
        attachedElsewhere(this.observed.volumeAttachments, action) !== undefined
      );
    if (action.kind === 'confirmKept') {
      const claim = this.observed.claims[action.name];
      return typeof claim === 'object' && claim.metadata.deletionTimestamp !== undefined;
    }
    if (action.kind === 'confirmNodeGone') return this.observed.nodes[action.name] !== undefined;
    if (action.kind === 'confirmReleased')
      return volumeHeld(this.observed.nodes[action.name], action.volumes) !== null;
    if (action.kind === 'confirmUnended') {
      const stored = this.#list('filerPairOperations').find(({ metadata }) => metadata.uid === action.uid);
      return stored === undefined || hasEnded(stored as FilerPairOperationObject);
    }
    if (action.kind === 'confirm') {
      const { spec } = this.#list('leases').find(({ metadata }) => metadata.name === action.name) as Lease;
      return (
        (spec?.holderIdentity || null) !== action.holder || (spec?.leaseTransitions ?? 0) !== action.epoch
      );
    }
    const object = action.kind === 'patch' ? (action.patch as unknown as KubernetesObject) : null;
    const version = object?.metadata?.resourceVersion;
    if (action.kind !== 'patch' || version === undefined || action.resource === 'secrets') return false;
    const stored =
      action.resource === 'filerPairs'
        ? this.observed.pair
        : this.#list(action.resource).find(({ metadata }) => metadata.name === action.name);
    return stored?.metadata.resourceVersion !== version;
  }

  #execute(action: Action): void {
    switch (action.kind) {
      case 'check':
      case 'confirm':
      case 'confirmDetached':
      case 'confirmKept':
      case 'confirmNodeGone':
      case 'confirmReleased':
      case 'confirmUnended':
        return;
      case 'createSecret':
      case 'makeAuthority':
      case 'issueCertificate':
        this.observed.credentials = withSecret(this.observed.credentials, action, this.now, this.#version());
        return;
      case 'create': {
        const { name } = action.object.metadata;
        // AlreadyExists.
        if (this.#list(action.resource).some(({ metadata }) => metadata.name === name)) return;
        this.#put(action.resource, action.object);
        return;
      }
      case 'apply':
        this.#put(action.resource, action.object);
        return;
      case 'applyStatus':
        this.#replace(action.resource as 'pods', action.object.metadata.name ?? '', (old: Pod) => ({
          ...old,
          status: (action.object as Pod).status!,
        }));
        return;
      case 'patch':
        this.#patch(action);
        return;
      case 'delete':
        if (action.resource === 'pods') this.markDeleted(action.uid);
        else if (action.resource === 'persistentVolumeClaims') {
          const claim = this.observed.claims[action.name] as Claim;
          const deletionTimestamp = new Date(this.now).toISOString();
          this.withClaim(action.name, { ...claim, metadata: { ...claim.metadata, deletionTimestamp } });
        } else
          this.#setList(
            action.resource,
            this.#list(action.resource).filter(({ metadata }) => metadata.uid !== action.uid),
          );
        return;
    }
  }

  #put(resource: Action['resource'], object: KubernetesObject): void {
    const { name = '' } = object.metadata;
    const old = resource === 'persistentVolumeClaims' ? this.observed.claims[name] : undefined;
    const known =
      typeof old === 'object' ? old : this.#list(resource).find((one) => one.metadata.name === name);
    const metadata = {
      ...known?.metadata,
      ...object.metadata,
      uid: known?.metadata.uid ?? this.#uidOf(`${resource}/${name}`, name),
      creationTimestamp: new Date(this.now).toISOString(),
      resourceVersion: this.#version(),
    };
    const stored = { ...known, ...object, metadata };
    if (resource === 'persistentVolumeClaims')
      this.observed.claims = { ...this.observed.claims, [name]: stored as Claim };
    else
      this.#setList(resource, [...this.#list(resource).filter((one) => one.metadata.name !== name), stored]);
    if (resource === 'services') this.#replace('services', name, withAddress);
  }

  /** What is made again under a name is another object. */
  #uidOf(key: string, name: string): string {
    const count = (this.#made.get(key) ?? 0) + 1;
    this.#made.set(key, count);
    return count === 1 ? `uid-${name}` : `uid-${name}-${count}`;
  }

  #patch(action: Action & { kind: 'patch' }): void {
    if (action.resource === 'secrets') {
      const { credentials } = this.observed;
      this.observed.credentials = withPatchedSecret(credentials, action, this.now, this.#version());
    } else if (action.resource === 'filerPairs') {
      const { metadata } = merged(this.observed.pair, action.patch) as FilerPairObject;
      this.#changePair({ metadata: { ...metadata, resourceVersion: this.#version() } });
    } else if (action.resource === 'nodes') {
      const node = merged(this.observed.nodes[action.name], action.patch) as Node;
      this.observed.nodes = { ...this.observed.nodes, [action.name]: node };
    } else if (action.resource === 'persistentVolumeClaims') {
      const claim = this.observed.claims[action.name] as Claim;
      this.observed.claims = { ...this.observed.claims, [action.name]: merged(claim, action.patch) as Claim };
    } else {
      this.#replace(action.resource as 'pods', action.name, (old: Pod) => merged(old, action.patch) as Pod);
    }
  }

  #list(resource: Action['resource']): readonly KubernetesObject[] {
    return resource === 'persistentVolumeClaims' ? [] : this.observed[resource as 'pods'];
  }

  #setList(resource: Action['resource'], objects: readonly KubernetesObject[]): void {
    this.observed[resource as 'pods'] = objects as Pod[];
  }
}

/** With the defaults that the API server puts in. */
const asStored = (wanted: FilerPairSpecInput): FilerPairSpecInput =>
  filerPairSpec.safeParse(wanted).data ?? wanted;

const readyNode = (
  name: string,
  status: 'True' | 'False' | 'Unknown' = 'True',
  since = '2026-11-01T00:00:00Z',
): Node => ({
  metadata: { name, uid: `uid-${name}` },
  status: {
    conditions: [{ type: 'Ready', status, lastTransitionTime: since }],
    addresses: [
      { type: 'InternalIP', address: `172.18.0.${name.at(-1)}` },
      { type: 'Hostname', address: name },
    ],
  },
});

const withAddress = (service: Service): Service => ({
  ...service,
  spec: { ...service.spec, clusterIP: '10.96.0.1' },
});

function withAnnotations(object: KubernetesObject, annotations: Readonly<Record<string, string | null>>) {
  const all = Object.entries({ ...object.metadata.annotations, ...annotations });
  return {
    ...object.metadata,
    annotations: Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null)),
  };
}

/** RFC 7386. */
export function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null ? { ...(target as Record<string, unknown>) } : {};
  for (const [key, value] of Object.entries(patch))
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  return result;
}
