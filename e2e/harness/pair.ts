// A FilerPair of its own for a scenario: namespace, volumes on the directory that both workers share, the resource.
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

export const SERVERS = ['filer-a', 'filer-b'] as const;
export type Server = (typeof SERVERS)[number];
export const PAIR = 'home';
export const SUFFIX = '-failover';
export const VOLUME = 'data';
/** What clients mount, by server. */
export const EXPORTS: Readonly<Record<Server, string>> = { 'filer-a': '/home', 'filer-b': '/projects' };

export const partnerOf = (server: Server): Server => (server === 'filer-a' ? 'filer-b' : 'filer-a');

/** How a disk set changed its owner last, as the pair's status tells it. */
export interface Transition {
  readonly kind: string;
  readonly cause: string;
  readonly epoch: number;
  readonly took: string;
  readonly to: string;
  readonly phases: readonly { readonly name: string; readonly at: string; readonly took: string }[];
}

export interface FilerPairThing extends Thing {
  readonly status?: {
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[];
    readonly diskSets?: readonly {
      home: string;
      owner?: string;
      holder?: string;
      epoch: number;
      phase: string;
    }[];
    readonly servers?: readonly { name: string; pod?: string; node?: string; state: string }[];
    readonly lastTransition?: Transition;
    readonly lastRequest?: { kind: string; result: string; message: string };
    readonly lastSnapshot?: { name: string; result: string; message: string };
    readonly rollout?: { state: string; message: string };
  };
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
export function pairManifest(namespace: string, domain?: string): object {
  return {
    apiVersion: 'filerpair.dev/v1alpha1',
    kind: 'FilerPair',
    metadata: { name: PAIR, namespace },
    spec: {
      servers: SERVERS.map((name) => ({
        name,
        volumes: [
          {
            name: VOLUME,
            claim: { size: '1Gi', storageClassName: '', volumeName: volumeName(namespace, name) },
          },
        ],
        exports: [{ path: EXPORTS[name], volume: VOLUME, clients: ['0.0.0.0/0'], squash: 'Root' }],
        // Without a request the kernel gives a pod next to nothing of a busy machine, and a server that gets no
        // processor for the length of its lease is rightly declared dead.
        placement: { resources: { requests: { cpu: '500m', memory: '256Mi' } } },
      })),
      // The scenarios ask for their givebacks themselves, so that they know when to look.
      giveback: { mode: 'Manual' },
      failover: { lease: `${LEASE_MS}ms`, guard: `${GUARD_MS}ms`, heartbeat: `${HEARTBEAT_MS}ms` },
      // Both workers are containers of one kernel, and the directory is one directory of it.
      storage: { transfer: 'Shared', lateWrites: 'Coherent' },
      ...(domain === undefined ? {} : { dns: { domain } }),
    },
  };
}

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
  #watch: { readonly stop: () => void } | undefined;

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
    await this.kubectl.apply(this.manifest(domain));
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

  /** What a client calls the files of a server. */
  urlOf(server: Server): string {
    return `nfs://${server}${EXPORTS[server]}`;
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
    this.#watch = this.kubectl.watch<FilerPairThing>('filerpairs', ({ type, object }) => {
      if (type === 'ADDED' || type === 'MODIFIED') this.#latest = object;
    });
  }

  /** Has everything deleted, and does not wait for it: the next scenario has a namespace of its own. */
  async remove(): Promise<void> {
    this.#watch?.stop();
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
    return this.#latest?.status?.diskSets?.find((set) => set.home === home)?.owner;
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
        (set) => set.home === home && set.owner === owner && set.phase === 'Serving',
      ),
    );
  }

  /** Waits until the Lease names `owner` for the disk set of `home`: true with or without an operator. */
  async leaseHeldBy(home: Server, owner: Server, msMax: number): Promise<void> {
    await eventually(`the Lease of ${home} names ${owner}`, msMax, async () => {
      const lease = await this.kubectl.get<LeaseThing>('lease', `${PAIR}-${home}`);
      return lease.spec?.holderIdentity?.startsWith(`${owner}/`) === true;
    });
  }

  /** Asks as an administrator would, with an annotation, and waits for the recorded answer. */
  async request(kind: 'takeover' | 'giveback', home: Server): Promise<void> {
    const annotation = `filerpair.dev/${kind}=${home}`;
    const version = ['-o', 'jsonpath={.metadata.resourceVersion}'];
    const asked = await this.kubectl.run(
      'annotate',
      'filerpair',
      PAIR,
      annotation,
      '--overwrite',
      ...version,
    );
    await this.#eventually(`the ${kind} of ${home} is answered`, REQUEST_ANSWERED_MS_MAX, (pair) => {
      // Before, the watch shows an older answer.
      if (Number(pair.metadata.resourceVersion) < Number(asked)) return false;
      const answered = pair.metadata.annotations?.[`filerpair.dev/${kind}`] === undefined;
      const last = pair.status?.lastRequest;
      if (answered && last?.result === 'Refused')
        throw new Error(`${kind} of ${home} was refused: ${last.message}`);
      return answered && last?.kind === kind && last.result === 'Done';
    });
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
