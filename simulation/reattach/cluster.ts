/**
 * The simulated cluster around the operator: what machines, servers and disks are like. It knows the truth that no controller
 * sees, and says when a disk is in two hands.
 */
import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { ATTACHMENT_NODE_UID_ANNOTATION } from '../../operator/model/names.ts';
import type { Claim, Node, Pod, VolumeAttachment } from '../../operator/model/objects.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { SimulatedApi } from './api.ts';
import type { Fence } from './variants.ts';

// Its course of events is in cluster-course.ts, its failures are in cluster-strikes.ts.
//
// Machines have kernels with file systems mounted. Beside the kubelets there are the attach/detach controller, the scheduler and
// the collectors of pods and claims. Servers claim disk sets and open what is mounted. Who may claim when is not its subject
// (simulation/run.ts has that): here a server that lives claims at any moment, and the owner before has stopped by then.

export const homes = ['a', 'b'] as const;
export type LostNodesPolicy = 'Wait' | 'Confirmed' | 'AfterTimeout';
export type Home = (typeof homes)[number];
export type Move = readonly [name: string, run: () => void];

/** State of a machine, whatever the API says of it. */
type MachineState =
  | 'up'
  /** Neither kubelet nor servers reach anybody. The kernel runs. */
  | 'cut'
  /** Only the kubelet has stopped: servers go on, and reach the API. */
  | 'mute'
  /** The kubelet says itself that it is not well, and does nothing. */
  | 'sick'
  | 'off';

export interface Machine {
  state: MachineState;
  boot: number;
  /** When the API first called it silent, ms since the epoch; null: it does not. */
  silentSince: number | null;
  /** A word about this boot that was written while the node was well, and that a long quiet time has passed over. */
  refutedWord: boolean;
  /** Switched off for good, and somebody has said so. */
  gone: boolean;
}

export interface Process {
  readonly server: Home;
  readonly node: string;
  run: number;
  alive: boolean;
}

export const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';
/** Kubernetes' attach/detach controller waits so long for a node that is not ready. ms */
export const FORCED_DETACH_MS = 6 * 60_000;

export class SimulatedCluster {
  readonly violations: string[] = [];
  /** Something strikes: people, losses, claims. Off: everything heals. */
  striking = true;
  /** Homes whose claim somebody has deleted. */
  readonly claimsDeleted = new Set<Home>();
  /** An administrator has agreed to an empty volume, and none was made since. */
  readonly consents = new Set<Home>();
  readonly api: SimulatedApi;
  readonly random: SeededRandom;
  readonly fence: Fence;
  readonly whole: boolean;
  readonly policy: LostNodesPolicy;
  readonly now: () => number;
  readonly machines = new Map<string, Machine>();
  /** `node volume`: the file system is mounted in that kernel. */
  readonly staged = new Set<string>();
  /** `node uid`: the mount of an attachment pod, which servers see. */
  readonly mounts = new Map<string, Home>();
  /** `node volume`: detached by force while it was mounted there. */
  readonly forced = new Set<string>();
  /** Those that Kubernetes detached by its own clock, although the node was not declared off. */
  readonly forcedByTime = new Set<string>();
  /** `node uid`: the API has forgotten the pod, the kubelet has not yet. */
  readonly orphans = new Map<string, Home>();
  readonly open = new Map<Home, { readonly node: string; readonly uid: string }>();
  /** The owner's knowledge of whose mounts are the disks. */
  readonly known = new Map<Home, string | null>();
  readonly processes = new Map<string, Process>();
  readonly homeOfVolume = new Map<string, Home>();
  names = 0;
  /** Attachment pods that run on another machine than that for which they were made. */
  readonly adopted = new Set<string>();
  /** `node volume`: what the last report of a node that is off by now said to be in use. */
  readonly reportedInUse = new Set<string>();
  /** So many claims are deleted at most in one seed. */
  claimsLossesMax = 0;

  constructor(
    api: SimulatedApi,
    random: SeededRandom,
    options: {
      readonly fence: Fence;
      readonly whole: boolean;
      /** spec.storage.reattach.lostNodes.policy. */
      readonly policy: LostNodesPolicy;
      readonly now: () => number;
    },
  ) {
    this.api = api;
    this.random = random;
    this.fence = options.fence;
    this.whole = options.whole;
    this.policy = options.policy;
    this.now = options.now;
    for (const { metadata } of api.snapshot<Node>('nodes'))
      this.machines.set(metadata.name ?? '', {
        state: 'up',
        boot: 1,
        silentSince: null,
        refutedWord: false,
        gone: false,
      });
    for (const pod of api.snapshot<Pod>('pods')) {
      const node = pod.spec?.nodeName ?? '';
      const home = homeOf(pod);
      if (home === null) {
        const server = serverOf(pod);
        if (server !== null)
          this.processes.set(pod.metadata.uid ?? '', { server, node, run: 1, alive: true });
        continue;
      }
      const volume = this.volumeOf(home)!;
      this.homeOfVolume.set(volume, home);
      this.mounts.set(`${node} ${pod.metadata.uid}`, home);
      this.staged.add(`${node} ${volume}`);
      this.known.set(home, this.disks(home));
      this.open.set(home, { node, uid: pod.metadata.uid ?? '' });
    }
  }

  // ---- the truth

  lease(home: Home): Lease {
    return this.api.find<Lease>('leases', `home.${home}`)!;
  }

  epoch(home: Home): number {
    return this.lease(home).spec?.leaseTransitions ?? 0;
  }

  disks(home: Home): string | null {
    return this.lease(home).metadata.annotations?.[leaseAnnotations.disks] ?? null;
  }

  claim(home: Home): Claim | undefined {
    return this.api.find<Claim>('persistentvolumeclaims', `home.${home}.data`);
  }

  machine(node: string): Machine {
    return this.machines.get(node)!;
  }

  node(name: string): Node | undefined {
    return this.api.find<Node>('nodes', name);
  }

  /** The process that the Lease names, if it lives and reaches the API. */
  holder(home: Home): Process | null {
    const [, uid = '', run] = (this.lease(home).spec?.holderIdentity ?? '').split('/');
    const process = this.processes.get(uid);
    return process?.alive && `run-${process.run}` === run ? process : null;
  }

  /** Node of a disk set's owner, by the Lease. */
  ownersNode(home: Home): string | null {
    const uid = (this.lease(home).spec?.holderIdentity ?? '').split('/')[1] ?? '';
    return this.processes.get(uid)?.node ?? null;
  }

  isServed(home: Home): boolean {
    const process = this.holder(home);
    return process !== null && this.open.get(home)?.node === process.node;
  }

  /** Functions that let each of a server's processes that lives and reaches the API claim a disk set. */
  serversOf(server: Home): ((home: Home) => void)[] {
    return [...this.processes]
      .filter(([, one]) => one.alive && one.server === server && this.reachesApi(one))
      .map(
        ([uid, one]) =>
          (home: Home) =>
            this.claimed(home, uid, one),
      );
  }

  someServerLives(): boolean {
    return [...this.processes.values()].some(({ alive }) => alive);
  }

  /** Both servers have pods, and all of them are on nodes that are away: then none is replaced (condition NodesUnreachable). */
  allServersAreAway(): boolean {
    const pods = this.api.snapshot<Pod>('pods').filter((pod) => serverOf(pod) !== null);
    const isAway = ({ spec }: Pod): boolean =>
      spec?.nodeName !== undefined && this.machine(spec.nodeName).state !== 'up';
    return new Set(pods.map(serverOf)).size === homes.length && pods.every(isAway);
  }

  /** Both have somewhere to run: liveness is asked for. */
  someNodeIsUp(): boolean {
    return [...this.machines.values()].some(({ state }) => state === 'up');
  }

  attachmentPods(home: Home): Pod[] {
    return this.api.snapshot<Pod>('pods').filter((pod) => homeOf(pod) === home);
  }

  state(): string {
    const pods = this.api
      .snapshot<Pod>('pods')
      .map(
        ({ metadata, spec }) =>
          `${metadata.name}@${spec?.nodeName}${metadata.deletionTimestamp === undefined ? '' : ' ending'}`,
      );
    const machines = [...this.machines].map(([name, { state }]) => `${name} ${state}`);
    const attached = this.attachments().map(
      ({ spec }) => `${spec?.source?.persistentVolumeName}@${spec?.nodeName}`,
    );
    return `disks ${homes.map((home) => this.disks(home))}; mounts ${[...this.mounts.keys()]}; staged ${[...this.staged]}; attached ${attached}; ${machines}; pods ${pods}`;
  }

  /** Two kernels have one file system mounted, and the storage takes writes of both. */
  judge(): void {
    const kernels = new Map<string, string[]>();
    for (const one of this.staged) {
      const [node = '', volume = ''] = one.split(' ');
      if (this.forced.has(one)) continue;
      kernels.set(volume, [...(kernels.get(volume) ?? []), node]);
    }
    for (const [volume, nodes] of kernels)
      if (nodes.length > 1)
        this.violations.push(`${volume} is mounted in the kernels of ${nodes.sort().join(' and ')}`);
  }

  // ---- what happens

  /** When the next of Kubernetes' own timers ends, ms since the epoch. */
  timers(): number[] {
    return [...this.machines.values()].flatMap(({ silentSince }) =>
      silentSince === null ? [] : [silentSince + FORCED_DETACH_MS].filter((at) => at > this.now()),
    );
  }

  /** Nothing had anything to do for a long time: whatever people had said before must have been dealt with. */
  quietTimePassed(): void {
    for (const [name, machine] of this.machines) {
      const node = this.node(name);
      const word = node?.metadata.annotations?.[nodeAnnotations.poweredOff];
      if (machine.state === 'up' && word === bootOf(machine)) machine.refutedWord = true;
    }
  }

  /** Pods that a machine runs which was not the one that they were made for, and that nobody has told to go. */
  adoptedByAnother(): string[] {
    return [...this.adopted].filter((name) => {
      const pod = this.api.find<Pod>('pods', name);
      const madeFor = pod?.metadata.annotations?.[ATTACHMENT_NODE_UID_ANNOTATION];
      const home = pod === undefined ? null : homeOf(pod);
      return (
        pod !== undefined &&
        // Which it would lose with the pod.
        !(home !== null && this.claimsDeleted.has(home)) &&
        pod.metadata.deletionTimestamp === undefined &&
        madeFor !== this.node(pod.spec?.nodeName ?? '')?.metadata.uid
      );
    });
  }

  /** The API forgets the pod; its kubelet has not ended it. */
  forget(pod: Pod, home: Home): void {
    const { name = '', uid } = pod.metadata;
    const key = `${pod.spec?.nodeName} ${uid}`;
    if (this.mounts.has(key)) this.orphans.set(key, home);
    this.api.remove('pods', name);
  }

  closeAllOf(podUid: string): void {
    for (const home of homes)
      if (this.lease(home).spec?.holderIdentity?.split('/')[1] === podUid) this.open.delete(home);
  }

  registers(name: string): void {
    this.api.add('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: {
        nodeInfo: { bootID: bootOf(this.machine(name)) },
        conditions: [
          { type: 'Ready', status: 'True', lastTransitionTime: new Date(this.now()).toISOString() },
        ],
      },
    } as KubernetesObject);
  }

  goesOff(name: string): void {
    this.machine(name).state = 'off';
    for (const [uid, process] of this.processes)
      if (process.node === name && process.alive) {
        process.alive = false;
        this.closeAllOf(uid);
      }
    for (const one of this.staged)
      if (one.startsWith(`${name} `)) {
        this.staged.delete(one);
        this.forced.delete(one);
        this.reportedInUse.add(one);
      }
    for (const set of [this.mounts, this.orphans])
      for (const key of set.keys()) if (key.startsWith(`${name} `)) set.delete(key);
  }

  reachesApi = ({ node }: Process): boolean => ['up', 'mute', 'sick'].includes(this.machine(node).state);

  claimed(home: Home, podUid: string, { server, run }: Process): void {
    this.open.delete(home);
    const partner = [...this.processes].find(([, one]) => one.alive && one.server !== server);
    const acknowledger =
      partner === undefined ? null : `${partner[1].server}/${partner[0]}/run-${partner[1].run}`;
    this.known.set(home, this.disks(home));
    this.api.change<Lease>('leases', `home.${home}`, (old) => ({
      ...old,
      spec: {
        ...old.spec,
        holderIdentity: `${server}/${podUid}/run-${run}`,
        leaseTransitions: (old.spec?.leaseTransitions ?? 0) + 1,
      },
    }));
    this.annotateLease(home, {
      [leaseAnnotations.acknowledger]: acknowledger,
      [leaseAnnotations.lastTransition]: null,
      [leaseAnnotations.secondaryPortOpen]: null,
    });
  }

  // ---- what strikes

  volumeOf(home: Home): string | undefined {
    return this.claim(home)?.spec?.volumeName;
  }

  /** No pod is admitted that uses a claim that is being deleted, or none. */
  claimUsable(home: Home): boolean {
    const claim = this.claim(home);
    return (
      claim !== undefined &&
      claim.metadata.deletionTimestamp === undefined &&
      claim.spec?.volumeName !== undefined
    );
  }

  inUse(home: Home, node: string, uid: string): boolean {
    const open = this.open.get(home);
    return open?.node === node && open.uid === uid;
  }

  attachments(): readonly VolumeAttachment[] {
    return this.api.snapshot<VolumeAttachment>('volumeattachments');
  }

  readiness(name: string): string | undefined {
    return this.node(name)?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  }

  isReady = (name: string): boolean => this.readiness(name) === 'True';

  isTainted = (name: string): boolean =>
    this.node(name)?.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE) === true;

  changePod(name: string, change: Partial<Pod>): void {
    this.api.change<Pod>('pods', name, (old) => ({ ...old, ...change }));
  }

  changeNode(name: string, change: (old: Node) => Node): void {
    this.api.change<Node>('nodes', name, change);
  }

  annotateLease(home: Home, annotations: Readonly<Record<string, string | null>>): void {
    this.#annotate('leases', `home.${home}`, annotations);
  }

  #annotate(plural: string, name: string, annotations: Readonly<Record<string, string | null>>): void {
    this.api.change(plural, name, (old) => ({
      ...old,
      metadata: {
        ...old.metadata,
        annotations: Object.fromEntries(
          Object.entries({ ...old.metadata.annotations, ...annotations }).filter(
            (entry): entry is [string, string] => entry[1] !== null,
          ),
        ),
      },
    }));
  }
}

export const bootOf = ({ boot }: Machine): string => `boot-${boot}`;

/** Home in the pod's name, which nobody can take away. */
export const homeOf = ({ metadata }: Pod): Home | null =>
  homes.find((home) => metadata.name?.startsWith(`home-${home}-disks-`) === true) ?? null;

export const serverOf = ({ metadata }: Pod): Home | null =>
  homes.find((home) => metadata.labels?.['filerpair.dev/server'] === home) ?? null;
