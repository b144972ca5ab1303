/** A FilerPair of its own for a scenario: namespace, volumes on the directory that both workers share, the resource. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import type { TestEnvironment } from '../environment.ts';
import { SHARED_IN_NODES } from '../kind/cluster.ts';
import { Kubectl, type Thing } from './kubectl.ts';
import {
  GUARD_MS,
  HEARTBEAT_MS,
  LEASE_MS,
  NAMESPACE_GONE_MS_MAX,
  PAIR_READY_MS_MAX,
  REQUEST_ANSWERED_MS_MAX,
} from './timeouts.ts';

export const SERVERS = ['a', 'b'] as const;
export type Server = (typeof SERVERS)[number];
export const PAIR = 'nas';
export const SUFFIX = '-failover';
export const VOLUME = 'data';
/** What clients mount, by server. */
export const EXPORTS: Readonly<Record<Server, string>> = { a: '/home', b: '/projects' };

export const partnerOf = (server: Server): Server => (server === 'a' ? 'b' : 'a');
/** Its Service, by whose name clients know a server. */
export const serviceOf = (server: Server): string => `${PAIR}-${server}`;
/** Of the Lease and of the FilerDiskSet. */
export const diskSetOf = (server: Server): string => `${PAIR}.${server}`;
export const claimOf = (server: Server): string => `${PAIR}.${server}.${VOLUME}`;

type Conditions = readonly { type: string; status: string; reason: string; message: string }[];

/** How a disk set changed its owner, as its record tells it. */
export interface Transition {
  readonly kind: string;
  readonly cause: string;
  readonly epoch: number;
  readonly to: string;
  readonly durationMilliseconds: number;
  readonly phases: readonly {
    readonly name: string;
    readonly offsetMilliseconds: number;
    readonly durationMilliseconds: number;
  }[];
}

export interface FilerPairThing extends Thing {
  readonly status?: {
    readonly conditions?: Conditions;
    readonly diskSets?: readonly {
      name: string;
      owner?: string;
      epoch: number;
      conditions?: Conditions;
    }[];
    readonly servers?: readonly { name: string; pod?: string; node?: string; conditions?: Conditions }[];
    readonly rollout?: { step: string; message: string };
  };
}

export interface DiskSetThing extends Thing {
  readonly spec: { readonly server: Server };
  readonly status?: {
    readonly owner?: string;
    readonly holder?: string;
    readonly epoch?: number;
    readonly history?: readonly Transition[];
  };
}

interface OperationThing extends Thing {
  readonly status?: { readonly conditions?: Conditions };
}

interface LeaseThing extends Thing {
  readonly spec?: { readonly holderIdentity?: string };
}

export interface PodThing extends Thing {
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIP?: string;
    readonly phase: string;
    readonly containerStatuses?: readonly {
      name: string;
      ready: boolean;
      restartCount: number;
      containerID?: string;
    }[];
  };
}

/** The resource as a user would write it; the times are the defaults, spelt out because tests compute with them. */
export function pairManifest(namespace: string, domain?: string) {
  return {
    apiVersion: 'filerpair.dev/v1beta1',
    kind: 'FilerPair',
    metadata: { name: PAIR, namespace },
    spec: {
      // Both workers are containers of one kernel, and the directory is one directory of it.
      storage: { type: 'SharedCoherent' } as object,
      servers: SERVERS.map((name) => ({
        name,
        volumes: [
          {
            name: VOLUME,
            claimTemplate: {
              spec: {
                storageClassName: '',
                volumeName: volumeName(namespace, name),
                resources: { requests: { storage: '1Gi' } },
              } as object,
            },
          },
        ],
      })) as readonly { readonly name: Server; readonly volumes: readonly object[] }[],
      podTemplate: {
        spec: {
          containers: [
            {
              name: 'server',
              // Without a request the kernel gives a pod next to nothing of a busy machine, and a server that gets no
              // processor for the length of its lease is rightly declared dead.
              resources: { requests: { cpu: '500m', memory: '256Mi' } },
            },
          ],
        },
      },
      // The scenarios ask for their givebacks themselves, so that they know when to look.
      giveback: { mode: 'Manual' },
      failover: {
        leaseDuration: `${LEASE_MS}ms`,
        guardDuration: `${GUARD_MS}ms`,
        heartbeatPeriod: `${HEARTBEAT_MS}ms`,
      },
      ...(domain === undefined ? {} : { names: { domain } }),
    },
  };
}

/** What clients mount: the whole volume of each server. */
export const shareManifests = (namespace: string, clients: readonly string[] = ['0.0.0.0/0']): object[] =>
  SERVERS.map((server) => ({
    apiVersion: 'filerpair.dev/v1beta1',
    kind: 'FilerShare',
    metadata: { name: EXPORTS[server].slice(1), namespace },
    spec: {
      pairRef: { name: PAIR },
      server,
      volume: VOLUME,
      directory: '.',
      clients,
      squash: { mode: 'Root' },
    },
  }));

/** A PersistentVolume that every worker can mount, for each server. */
export function volumeManifests(namespace: string): object[] {
  return SERVERS.map((server) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName(namespace, server), labels: { e2e: namespace } },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteMany'],
      storageClassName: '',
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: `${SHARED_IN_NODES}/${namespace}/${server}`, type: 'Directory' },
    },
  }));
}

const volumeName = (namespace: string, server: Server) => `${namespace}-${server}`;

export class Pair {
  readonly kubectl: Kubectl;
  readonly environment: TestEnvironment;
  /** The latest state that the watch has shown. */
  #latest: FilerPairThing | undefined;
  /** By name. */
  readonly #operations = new Map<string, OperationThing>();
  #watches: readonly { readonly stop: () => void }[] = [];
  #asked = 0;

  constructor(environment: TestEnvironment, namespace: string) {
    this.environment = environment;
    this.kubectl = new Kubectl(environment, namespace);
  }

  get namespace(): string {
    return this.kubectl.namespace;
  }

  /** The volume's directory on this machine: what is really on the disk, seen past all servers. */
  directory(server: Server): string {
    return join(this.environment.cluster.sharedDirectory, this.namespace, server);
  }

  /** Namespace, volumes, FilerPair. A namespace that an earlier run left is removed first. */
  async create(domain?: string, prepare?: (pair: Pair) => Promise<void>): Promise<void> {
    await this.remove();
    await this.#gone();
    await this.makeVolumes();
    await prepare?.(this);
    await this.kubectl.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace } },
      ...this.volumes(),
    );
    await this.kubectl.apply(this.manifest(domain), ...this.shares());
    this.#follow();
  }

  protected async makeVolumes(): Promise<void> {
    for (const server of SERVERS) {
      mkdirSync(this.directory(server), { recursive: true });
      // The export's root belongs to the volume's maker; the writer is an ordinary user.
      chmodSync(this.directory(server), 0o777);
    }
  }

  protected volumes(): object[] {
    return volumeManifests(this.namespace);
  }

  protected manifest(domain?: string): object {
    return pairManifest(this.namespace, domain);
  }

  shares(): object[] {
    return shareManifests(this.namespace);
  }

  /** What a client calls the files of a server. */
  urlOf(server: Server): string {
    return `nfs://${serviceOf(server)}${EXPORTS[server]}`;
  }

  /** Where what is really on a server's disk can be read on this machine now, past all servers. */
  async onDisk(server: Server): Promise<string> {
    return this.directory(server);
  }

  /**
   * One watch instead of many reads: a kubectl for each read takes a processor, at the very moment when servers fail over on this
   * machine.
   */
  #follow(): void {
    this.#watches = [
      this.kubectl.watch<FilerPairThing>('filerpairs', ({ type, object }) => {
        if (type === 'ADDED' || type === 'MODIFIED') this.#latest = object;
      }),
      this.kubectl.watch<OperationThing>('filerpairoperations', ({ type, object }) => {
        if (type === 'ADDED' || type === 'MODIFIED') this.#operations.set(object.metadata.name, object);
      }),
    ];
  }

  /** Has everything deleted, and does not wait for it: the next scenario has a namespace of its own. */
  async remove(): Promise<void> {
    for (const watch of this.#watches) watch.stop();
    await this.kubectl.run('delete', 'namespace', this.namespace, '--ignore-not-found', '--wait=false');
    await this.kubectl.run(
      'delete',
      'persistentvolume',
      '--selector',
      `e2e=${this.namespace}`,
      '--wait=false',
    );
  }

  async #gone(): Promise<void> {
    const timeout = `--timeout=${NAMESPACE_GONE_MS_MAX / 1000}s`;
    // Succeeds at once when there is nothing to wait for.
    await this.kubectl.run('wait', `namespace/${this.namespace}`, '--for=delete', timeout);
    await this.kubectl.run(
      'wait',
      'persistentvolume',
      '--selector',
      `e2e=${this.namespace}`,
      '--for=delete',
      timeout,
    );
    rmSync(join(this.environment.cluster.sharedDirectory, this.namespace), { recursive: true, force: true });
  }

  /** As the API server told last. */
  get latest(): FilerPairThing | undefined {
    return this.#latest;
  }

  /** Waits for a condition of this reason, and returns its sentence. */
  async conditionSays(type: string, reason: string, msMax: number, words = ''): Promise<string> {
    const find = (pair: FilerPairThing) =>
      pair.status?.conditions?.find(
        (one) => one.type === type && one.reason === reason && one.message.includes(words),
      )?.message;
    await this.#eventually(`${type} is ${reason} ${words}`.trim(), msMax, (pair) => find(pair) !== undefined);
    return find(this.#latest!) ?? '';
  }

  /** The server that owns a disk set now, by the pair's status. */
  ownerOf(home: Server): string | undefined {
    return this.#latest?.status?.diskSets?.find((set) => set.name === home)?.owner;
  }

  async ready(msMax = PAIR_READY_MS_MAX): Promise<void> {
    await this.#eventually('the pair is Ready', msMax, (pair) => condition(pair, 'Ready') === 'True');
  }

  /** Waits until the operator says that a takeover would work: the next fault would be covered. */
  async takeoverPossible(msMax: number): Promise<void> {
    await this.#eventually(
      'a takeover is possible',
      msMax,
      (pair) => condition(pair, 'TakeoverPossible') === 'True',
    );
  }

  /** Waits until `owner` serves the disk set of `home`, by the pair's status. */
  async servedBy(home: Server, owner: Server, msMax: number): Promise<void> {
    await this.#eventually(`${owner} serves the disk set of ${home}`, msMax, (pair) =>
      pair.status?.diskSets?.some(
        (set) =>
          set.name === home &&
          set.owner === owner &&
          set.conditions?.some((one) => one.type === 'Served' && one.status === 'True'),
      ),
    );
  }

  /** Waits until the Lease names `owner` for the disk set of `home`: true with or without an operator. */
  async leaseHeldBy(home: Server, owner: Server, msMax: number): Promise<void> {
    await eventually(`the Lease of ${home} names ${owner}`, msMax, async () => {
      const lease = await this.kubectl.get<LeaseThing>('lease', diskSetOf(home));
      return lease.spec?.holderIdentity?.startsWith(`${owner}/`) === true;
    });
  }

  /** Asks as an administrator would, and waits for the end of the operation; throws what it says when it fails. */
  async request(kind: 'takeover' | 'giveback', home: Server): Promise<void> {
    const name = await this.ask(kind, home);
    await this.operationEnds(name);
  }

  /** @returns name of the FilerPairOperation, which goes on */
  ask(kind: 'takeover' | 'giveback', home: Server): Promise<string> {
    const type = kind === 'takeover' ? 'Takeover' : 'Giveback';
    return this.operate(`${kind}-${home}-${++this.#asked}`, { type, [kind]: { server: home } });
  }

  async operate(name: string, spec: object): Promise<string> {
    await this.kubectl.apply({
      apiVersion: 'filerpair.dev/v1beta1',
      kind: 'FilerPairOperation',
      metadata: { name, namespace: this.namespace },
      spec: { pairRef: { name: PAIR }, ...spec },
    });
    return name;
  }

  /** @returns what it says; throws that when it fails */
  async operationEnds(name: string, msMax = REQUEST_ANSWERED_MS_MAX): Promise<string> {
    const its = (type: string) =>
      this.#operations
        .get(name)
        ?.status?.conditions?.find((one) => one.type === type && one.status === 'True');
    await eventually(
      `the operation ${name} ends`,
      msMax,
      () => its('Complete') ?? its('Failed'),
      () => JSON.stringify(this.#operations.get(name)?.status ?? {}),
    );
    const failed = its('Failed');
    if (failed !== undefined) throw new Error(`${name} failed: ${failed.message}`);
    return its('Complete')!.message;
  }

  /** The latest change of the owner of a disk set. */
  async lastTransition(home: Server): Promise<Transition | undefined> {
    const { status } = await this.kubectl.get<DiskSetThing>('filerdiskset', diskSetOf(home));
    return status?.history?.[0];
  }

  /** The pod that runs a server now: the youngest that is not being deleted. */
  async pod(server: Server): Promise<PodThing> {
    const pods = await this.kubectl.list<PodThing>('pods', `filerpair.dev/server=${server}`);
    const alive = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (alive.length !== 1) throw new Error(`${alive.length} pods run ${server}`);
    return alive[0]!;
  }

  async #eventually(
    event: string,
    msMax: number,
    holds: (pair: FilerPairThing) => boolean | undefined,
  ): Promise<void> {
    await eventually(
      event,
      msMax,
      () => this.#latest !== undefined && holds(this.#latest),
      () => `status is ${JSON.stringify(this.#latest?.status ?? {}, null, 1)}`,
    );
  }
}

export function condition(pair: FilerPairThing, type: string): string | undefined {
  return pair.status?.conditions?.find((one) => one.type === type)?.status;
}
