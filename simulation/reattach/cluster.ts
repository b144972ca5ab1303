/**
 * The simulated cluster around the operator: machines, kubelets, Kubernetes' controllers, servers and administrators. It knows the
 * truth that no controller sees, and says when a disk is in two hands.
 */
import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { ATTACHMENT_NODE_ANNOTATION, ATTACHMENT_NODE_UID_ANNOTATION } from '../../operator/model/names.ts';
import type {
  Claim,
  FilerDiskSetObject,
  FilerPairOperationObject,
  Node,
  Pod,
  VolumeAttachment,
} from '../../operator/model/objects.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { SimulatedApi } from './api.ts';
import type { Fence } from './variants.ts';

// Machines have kernels with file systems mounted. Beside the kubelets there are the attach/detach controller, the scheduler and
// the collectors of pods and claims. Servers claim disk sets and open what is mounted. Who may claim when is not its subject
// (simulation/run.ts has that): here a server that lives claims at any moment, and the owner before has stopped by then.

export const homes = ['a', 'b'] as const;
export type LostNodesPolicy = 'Wait' | 'Confirmed' | 'AfterTimeout';
export type Home = (typeof homes)[number];
export type Move = readonly [name: string, run: () => void];

/** What a machine is like, whatever the API says of it. */
type MachineState =
  | 'up'
  /** Neither kubelet nor servers reach anybody. The kernel runs. */
  | 'cut'
  /** Only the kubelet has stopped: servers go on, and reach the API. */
  | 'mute'
  /** The kubelet says itself that it is not well, and does nothing. */
  | 'sick'
  | 'off';

interface Machine {
  state: MachineState;
  boot: number;
  /** When the API first called it silent, ms since the epoch; null: it does not. */
  silentSince: number | null;
  /** A word about this boot that was written while the node was well, and that a long quiet time has passed over. */
  refutedWord: boolean;
  /** Switched off for good, and somebody has said so. */
  gone: boolean;
}

interface Process {
  readonly server: Home;
  readonly node: string;
  run: number;
  alive: boolean;
}

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';
/** Kubernetes' attach/detach controller waits so long for a node that is not ready. ms */
const FORCED_DETACH_MS = 6 * 60_000;

export class SimulatedCluster {
  readonly violations: string[] = [];
  /** Something strikes: people, losses, claims. Off: everything heals. */
  striking = true;
  /** Homes whose claim somebody has deleted. */
  readonly claimsDeleted = new Set<Home>();
  /** An administrator has agreed to an empty volume, and none was made since. */
  readonly consents = new Set<Home>();
  readonly #api: SimulatedApi;
  readonly #random: SeededRandom;
  readonly #fence: Fence;
  readonly #whole: boolean;
  readonly #policy: LostNodesPolicy;
  readonly #now: () => number;
  readonly #machines = new Map<string, Machine>();
  /** `node volume`: the file system is mounted in that kernel. */
  readonly #staged = new Set<string>();
  /** `node uid`: the mount of an attachment pod, which servers see. */
  readonly #mounts = new Map<string, Home>();
  /** `node volume`: detached by force while it was mounted there. */
  readonly #forced = new Set<string>();
  /** Of those: by Kubernetes' own clock, and nobody had said that the node is off. */
  readonly #forcedByTime = new Set<string>();
  /** `node uid`: the API has forgotten the pod, the kubelet has not yet. */
  readonly #orphans = new Map<string, Home>();
  readonly #open = new Map<Home, { readonly node: string; readonly uid: string }>();
  /** What the owner knows of whose mounts are the disks. */
  readonly #known = new Map<Home, string | null>();
  readonly #processes = new Map<string, Process>();
  readonly #homeOfVolume = new Map<string, Home>();
  #names = 0;

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
    this.#api = api;
    this.#random = random;
    this.#fence = options.fence;
    this.#whole = options.whole;
    this.#policy = options.policy;
    this.#now = options.now;
    for (const { metadata } of api.snapshot<Node>('nodes'))
      this.#machines.set(metadata.name ?? '', {
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
          this.#processes.set(pod.metadata.uid ?? '', { server, node, run: 1, alive: true });
        continue;
      }
      const volume = this.#volumeOf(home)!;
      this.#homeOfVolume.set(volume, home);
      this.#mounts.set(`${node} ${pod.metadata.uid}`, home);
      this.#staged.add(`${node} ${volume}`);
      this.#known.set(home, this.disks(home));
      this.#open.set(home, { node, uid: pod.metadata.uid ?? '' });
    }
  }

  // ---- the truth

  lease(home: Home): Lease {
    return this.#api.find<Lease>('leases', `home.${home}`)!;
  }

  epoch(home: Home): number {
    return this.lease(home).spec?.leaseTransitions ?? 0;
  }

  disks(home: Home): string | null {
    return this.lease(home).metadata.annotations?.[leaseAnnotations.disks] ?? null;
  }

  claim(home: Home): Claim | undefined {
    return this.#api.find<Claim>('persistentvolumeclaims', `home.${home}.data`);
  }

  machine(node: string): Machine {
    return this.#machines.get(node)!;
  }

  node(name: string): Node | undefined {
    return this.#api.find<Node>('nodes', name);
  }

  /** The process that the Lease names, if it lives and reaches the API. */
  holder(home: Home): Process | null {
    const [, uid = '', run] = (this.lease(home).spec?.holderIdentity ?? '').split('/');
    const process = this.#processes.get(uid);
    return process?.alive && `run-${process.run}` === run ? process : null;
  }

  /** Of a disk set's owner, by the Lease. */
  ownersNode(home: Home): string | null {
    const uid = (this.lease(home).spec?.holderIdentity ?? '').split('/')[1] ?? '';
    return this.#processes.get(uid)?.node ?? null;
  }

  isServed(home: Home): boolean {
    const process = this.holder(home);
    return process !== null && this.#open.get(home)?.node === process.node;
  }

  /** What lets each of a server's processes claim a disk set that lives and reaches the API. */
  serversOf(server: Home): ((home: Home) => void)[] {
    return [...this.#processes]
      .filter(([, one]) => one.alive && one.server === server && this.#reachesApi(one))
      .map(
        ([uid, one]) =>
          (home: Home) =>
            this.#claimed(home, uid, one),
      );
  }

  someServerLives(): boolean {
    return [...this.#processes.values()].some(({ alive }) => alive);
  }

  /** Both servers have pods, and all of them are on nodes that are away: then none is replaced (condition NodesUnreachable). */
  allServersAreAway(): boolean {
    const pods = this.#api.snapshot<Pod>('pods').filter((pod) => serverOf(pod) !== null);
    const isAway = ({ spec }: Pod): boolean =>
      spec?.nodeName !== undefined && this.machine(spec.nodeName).state !== 'up';
    return new Set(pods.map(serverOf)).size === homes.length && pods.every(isAway);
  }

  /** Both have somewhere to run: liveness is asked for. */
  someNodeIsUp(): boolean {
    return [...this.#machines.values()].some(({ state }) => state === 'up');
  }

  attachmentPods(home: Home): Pod[] {
    return this.#api.snapshot<Pod>('pods').filter((pod) => homeOf(pod) === home);
  }

  state(): string {
    const pods = this.#api
      .snapshot<Pod>('pods')
      .map(
        ({ metadata, spec }) =>
          `${metadata.name}@${spec?.nodeName}${metadata.deletionTimestamp === undefined ? '' : ' ending'}`,
      );
    const machines = [...this.#machines].map(([name, { state }]) => `${name} ${state}`);
    const attached = this.#attachments().map(
      ({ spec }) => `${spec?.source?.persistentVolumeName}@${spec?.nodeName}`,
    );
    return `disks ${homes.map((home) => this.disks(home))}; mounts ${[...this.#mounts.keys()]}; staged ${[...this.#staged]}; attached ${attached}; ${machines}; pods ${pods}`;
  }

  /** Two kernels have one file system mounted, and the storage takes writes of both. */
  judge(): void {
    const kernels = new Map<string, string[]>();
    for (const one of this.#staged) {
      const [node = '', volume = ''] = one.split(' ');
      if (this.#forced.has(one)) continue;
      kernels.set(volume, [...(kernels.get(volume) ?? []), node]);
    }
    for (const [volume, nodes] of kernels)
      if (nodes.length > 1)
        this.violations.push(`${volume} is mounted in the kernels of ${nodes.sort().join(' and ')}`);
  }

  // ---- what happens

  moves(): Move[] {
    const moves: Move[] = [];
    for (const pod of this.#api.snapshot<Pod>('pods')) {
      const home = homeOf(pod);
      if (home === null) this.#serverPod(pod, moves);
      else this.#attachmentPod(pod, home, moves);
    }
    this.#kernels(moves);
    this.#detaching(moves);
    this.#claims(moves);
    this.#nodes(moves);
    for (const home of homes) this.#owner(home, moves);
    if (this.striking) this.#strikes(moves);
    return moves;
  }

  /** When the next of Kubernetes' own timers ends, ms since the epoch. */
  timers(): number[] {
    return [...this.#machines.values()].flatMap(({ silentSince }) =>
      silentSince === null ? [] : [silentSince + FORCED_DETACH_MS].filter((at) => at > this.#now()),
    );
  }

  /** Nothing had anything to do for a long time: whatever people had said before must have been dealt with. */
  quietTimePassed(): void {
    for (const [name, machine] of this.#machines) {
      const node = this.node(name);
      const word = node?.metadata.annotations?.[nodeAnnotations.poweredOff];
      if (machine.state === 'up' && word === bootOf(machine)) machine.refutedWord = true;
    }
  }

  #attachmentPod(pod: Pod, home: Home, moves: Move[]): void {
    const { name = '', uid = '', annotations, deletionTimestamp } = pod.metadata;
    const node = pod.spec?.nodeName;
    const ending = deletionTimestamp !== undefined;
    if (node === undefined) {
      const target = annotations?.[ATTACHMENT_NODE_ANNOTATION] ?? '';
      if (ending) moves.push([`${name} goes`, () => this.#api.remove('pods', name)]);
      else if (this.node(target) !== undefined && !this.#isTainted(target) && this.#claimUsable(home))
        moves.push([
          `${name} is put onto ${target}`,
          () => this.#changePod(name, { spec: { ...pod.spec, nodeName: target } }),
        ]);
      return;
    }
    const machine = this.machine(node);
    const volume = this.#volumeOf(home);
    const here = this.#attachments().filter(({ spec }) => spec?.source?.persistentVolumeName === volume);
    const isHere = here.some(({ spec }) => spec?.nodeName === node);
    if (
      volume !== undefined &&
      this.#fence !== 'none' &&
      !isHere &&
      !ending &&
      (this.#fence === 'multi' || here.length === 0)
    )
      moves.push([
        `${volume} is attached to ${node}`,
        () => this.#api.add('volumeattachments', attachmentOf(volume, node)),
      ]);
    if (this.#isTainted(node)) {
      if (!ending)
        moves.push([
          `${name} is evicted from a node out of service`,
          () => this.#api.markDeleted('pods', name),
        ]);
      else if (!this.#isReady(node)) moves.push([`${name} is collected`, () => this.#forget(pod, home)]);
    }
    if (machine.state !== 'up') return;
    const key = `${node} ${uid}`;
    if (!ending && !this.#mounts.has(key) && volume !== undefined && (isHere || this.#fence === 'none'))
      moves.push([
        `${node} mounts ${volume} for ${name}`,
        () => {
          const madeFor = annotations?.[ATTACHMENT_NODE_UID_ANNOTATION];
          if (madeFor !== undefined && madeFor !== this.node(node)?.metadata.uid)
            this.#adoptedByAnother.add(name);
          this.#judgeMount(volume, node);
          this.#staged.add(`${node} ${volume}`);
          // The kubelet says so before it mounts.
          this.#reportsInUse(node);
          this.#forced.delete(`${node} ${volume}`);
          this.#forcedByTime.delete(`${node} ${volume}`);
          this.#mounts.set(key, home);
          this.#changePod(name, {
            status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
          });
        },
      ]);
    if (ending && !this.#inUse(home, node, uid))
      moves.push([
        `${node} ends ${name}`,
        () => {
          this.#mounts.delete(key);
          this.#api.remove('pods', name);
        },
      ]);
  }

  /** A machine that was away, and that nobody has said to be off, has the file system mounted all the same. */
  #judgeMount(volume: string, node: string): void {
    for (const one of this.#forcedByTime) {
      const [other = '', of] = one.split(' ');
      if (of !== volume || other === node || !this.#staged.has(one)) continue;
      const { state } = this.machine(other);
      if (this.node(other) !== undefined && !this.#isTainted(other))
        this.violations.push(
          `${node} mounts ${volume}, which is mounted on ${other}, and ${other} is ${state === 'up' ? 'back' : 'only silent'}`,
        );
    }
  }

  /** Attachment pods that run on another machine than that for which they were made. */
  readonly #adoptedByAnother = new Set<string>();

  /** Pods that a machine runs which was not the one that they were made for, and that nobody has told to go. */
  adoptedByAnother(): string[] {
    return [...this.#adoptedByAnother].filter((name) => {
      const pod = this.#api.find<Pod>('pods', name);
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
  #forget(pod: Pod, home: Home): void {
    const { name = '', uid } = pod.metadata;
    const key = `${pod.spec?.nodeName} ${uid}`;
    if (this.#mounts.has(key)) this.#orphans.set(key, home);
    this.#api.remove('pods', name);
  }

  #serverPod(pod: Pod, moves: Move[]): void {
    const { name = '', uid = '', deletionTimestamp } = pod.metadata;
    const server = serverOf(pod);
    if (server === null) return;
    const node = pod.spec?.nodeName;
    if (node === undefined) {
      const ready = [...this.#machines.keys()].filter((one) => this.#isReady(one) && !this.#isTainted(one));
      const [at = ''] = ready.includes(own(server)) ? [own(server)] : ready;
      if (deletionTimestamp !== undefined) moves.push([`${name} goes`, () => this.#api.remove('pods', name)]);
      else if (at !== '')
        moves.push([
          `${name} is put onto ${at}`,
          () => this.#changePod(name, { spec: { ...pod.spec, nodeName: at } }),
        ]);
      return;
    }
    if (this.#isTainted(node) && deletionTimestamp === undefined)
      moves.push([
        `${name} is evicted from a node out of service`,
        () => this.#api.markDeleted('pods', name),
      ]);
    const end = (): void => {
      const process = this.#processes.get(uid);
      if (process !== undefined) process.alive = false;
      this.#closeAllOf(uid);
      this.#api.remove('pods', name);
      if (!this.#whole) this.#serverPodAgain(pod);
    };
    if (deletionTimestamp !== undefined && this.#isTainted(node) && !this.#isReady(node))
      moves.push([`${name} is collected`, end]);
    if (this.machine(node).state !== 'up') return;
    if (deletionTimestamp !== undefined) {
      moves.push([`${node} ends ${name}`, end]);
      return;
    }
    const process = this.#processes.get(uid);
    if (process?.alive === true) {
      if (!isReported(pod)) moves.push([`${node} reports ${name}`, () => this.#reportRunning(name, node)]);
      return;
    }
    moves.push([
      `${node} starts ${name}`,
      () => {
        this.#processes.set(uid, { server, node, run: (process?.run ?? 0) + 1, alive: true });
        this.#reportRunning(name, node);
      },
    ]);
  }

  #reportRunning(name: string, node: string): void {
    this.#changePod(name, {
      status: {
        phase: 'Running',
        podIP: `10.0.0.${node.at(-1)}`,
        containerStatuses: [{ name: 'server', ready: true, restartCount: 0, state: { running: {} } }],
      },
    });
  }

  /** Where the model's operators decide about disks alone, a server's pod is made again all the same. */
  #serverPodAgain({ metadata, spec, status: _, ...pod }: Pod): void {
    const { uid: _uid, deletionTimestamp: _deleted, ...kept } = metadata;
    const { nodeName: _node, ...unplaced } = spec ?? {};
    const name = `home-${metadata.labels?.['filerpair.dev/server']}-again${++this.#names}`;
    this.#api.add('pods', { ...pod, metadata: { ...kept, name }, spec: unplaced } as KubernetesObject);
  }

  #closeAllOf(podUid: string): void {
    for (const home of homes)
      if (this.lease(home).spec?.holderIdentity?.split('/')[1] === podUid) this.#open.delete(home);
  }

  #kernels(moves: Move[]): void {
    for (const [key, home] of this.#orphans) {
      const [node = '', uid = ''] = key.split(' ');
      if (this.machine(node).state === 'up' && !this.#inUse(home, node, uid))
        moves.push([
          `${node} ends what is left of ${uid}`,
          () => {
            this.#orphans.delete(key);
            this.#mounts.delete(key);
          },
        ]);
    }
    for (const one of this.#staged) {
      const [node = '', volume = ''] = one.split(' ');
      const home = this.#homeOfVolume.get(volume);
      if (this.machine(node).state !== 'up' || home === undefined) continue;
      const users =
        this.attachmentPods(home).some(({ spec }) => spec?.nodeName === node) ||
        [...this.#mounts].some(([key, of]) => of === home && key.startsWith(`${node} `));
      if (!users)
        moves.push([
          `${node} unmounts ${volume}`,
          () => {
            this.#staged.delete(one);
            this.#forced.delete(one);
          },
        ]);
    }
  }

  #detaching(moves: Move[]): void {
    for (const attachment of this.#attachments()) {
      const node = attachment.spec?.nodeName ?? '';
      const volume = attachment.spec?.source?.persistentVolumeName ?? '';
      const home = this.#homeOfVolume.get(volume);
      const key = `${node} ${volume}`;
      const wanted =
        home !== undefined && this.attachmentPods(home).some(({ spec }) => spec?.nodeName === node);
      if (wanted) continue;
      const { silentSince, state } = this.machine(node);
      const inUse =
        this.#staged.has(key) ||
        (state === 'off' && this.#reportedInUse.has(key)) ||
        this.node(node)?.status?.volumesInUse?.includes(volume) === true;
      const byForce =
        this.#isTainted(node) || (silentSince !== null && this.#now() >= silentSince + FORCED_DETACH_MS);
      if (inUse && !byForce) continue;
      moves.push([
        `${volume} is detached from ${node}${inUse ? ' by force' : ''}`,
        () => {
          if (this.#staged.has(key)) this.#forced.add(key);
          if (this.#staged.has(key) && !this.#isTainted(node)) this.#forcedByTime.add(key);
          this.#reportedInUse.delete(key);
          this.#api.remove('volumeattachments', attachment.metadata.name ?? '');
        },
      ]);
    }
  }

  /** `node volume`: what the last report of a node that is off by now said to be in use. */
  readonly #reportedInUse = new Set<string>();

  /** Kubernetes keeps a claim that is being deleted until no pod uses it. */
  #claims(moves: Move[]): void {
    for (const home of homes) {
      const claim = this.claim(home);
      if (claim === undefined) continue;
      const name = claim.metadata.name ?? '';
      if (claim.metadata.deletionTimestamp !== undefined && this.attachmentPods(home).length === 0)
        moves.push([`${name} goes`, () => this.#api.remove('persistentvolumeclaims', name)]);
      if (claim.spec?.volumeName === undefined)
        moves.push([
          `${name} is bound`,
          () => {
            const volumeName = `pv-${home}-${++this.#names}`;
            this.#homeOfVolume.set(volumeName, home);
            this.#api.change<Claim>('persistentvolumeclaims', name, (old) => ({
              ...old,
              spec: { ...old.spec, volumeName, accessModes: ['ReadWriteOnce'] },
              status: { phase: 'Bound' },
            }));
          },
        ]);
    }
  }

  #nodes(moves: Move[]): void {
    for (const [name, machine] of this.#machines) {
      const said = this.#readiness(name);
      const silent = machine.state === 'cut' || machine.state === 'mute' || machine.state === 'off';
      const truth = silent ? 'Unknown' : machine.state === 'sick' ? 'False' : 'True';
      const markOfAPerson =
        this.node(name)?.metadata.annotations?.[nodeAnnotations.outOfService] === undefined;
      if (!this.striking && this.#isTainted(name) && this.#isReady(name) && markOfAPerson)
        moves.push([
          `somebody takes the mark off ${name}`,
          () => this.#changeNode(name, (old) => ({ ...old, spec: { taints: [] } })),
        ]);
      const mayComeBack = machine.state !== 'up' && !machine.gone;
      if (mayComeBack && (!this.striking || this.#random.chance(0.05)))
        moves.push([`${name} is back`, () => this.#back(name)]);
      if (this.node(name) === undefined) {
        if (machine.state === 'up') moves.push([`${name} registers`, () => this.#registers(name)]);
        continue;
      }
      if (machine.state === 'up' && said === truth && this.#saidInUse(name) !== this.#inUseOn(name).join())
        moves.push([`${name} reports what it has mounted`, () => this.#reportsInUse(name)]);
      if (said !== truth)
        moves.push([
          `${name} is said to be Ready=${truth}`,
          () => {
            machine.silentSince = truth === 'Unknown' ? this.#now() : null;
            this.#changeNode(name, (node) => ({
              ...node,
              status: {
                ...node.status,
                nodeInfo: truth === 'Unknown' ? (node.status?.nodeInfo ?? {}) : { bootID: bootOf(machine) },
                volumesInUse: truth === 'Unknown' ? (node.status?.volumesInUse ?? []) : this.#inUseOn(name),
                conditions: [
                  { type: 'Ready', status: truth, lastTransitionTime: new Date(this.#now()).toISOString() },
                ],
              },
            }));
          },
        ]);
    }
  }

  #inUseOn(node: string): string[] {
    return [...this.#staged]
      .filter((one) => one.startsWith(`${node} `))
      .map((one) => one.slice(node.length + 1));
  }

  #saidInUse(node: string): string {
    return this.node(node)?.status?.volumesInUse?.join() ?? '';
  }

  #reportsInUse(name: string): void {
    if (this.node(name) === undefined) return;
    this.#changeNode(name, (node) => ({
      ...node,
      status: { ...node.status, volumesInUse: this.#inUseOn(name) },
    }));
  }

  #registers(name: string): void {
    this.#api.add('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: {
        nodeInfo: { bootID: bootOf(this.machine(name)) },
        conditions: [
          { type: 'Ready', status: 'True', lastTransitionTime: new Date(this.#now()).toISOString() },
        ],
      },
    } as KubernetesObject);
  }

  #back(name: string): void {
    const machine = this.machine(name);
    if (machine.state === 'off') {
      machine.boot += 1;
      machine.refutedWord = false;
    }
    machine.state = 'up';
  }

  #goesOff(name: string): void {
    this.machine(name).state = 'off';
    for (const [uid, process] of this.#processes)
      if (process.node === name && process.alive) {
        process.alive = false;
        this.#closeAllOf(uid);
      }
    for (const one of this.#staged)
      if (one.startsWith(`${name} `)) {
        this.#staged.delete(one);
        this.#forced.delete(one);
        this.#reportedInUse.add(one);
      }
    for (const set of [this.#mounts, this.#orphans])
      for (const key of set.keys()) if (key.startsWith(`${name} `)) set.delete(key);
  }

  /** The owner of a disk set: sees its Lease, opens what is mounted. If it is dead somebody else claims. */
  #owner(home: Home, moves: Move[]): void {
    const process = this.holder(home);
    const may = process === null ? [] : ['up', 'mute', 'sick'];
    if (process !== null && may.includes(this.machine(process.node).state)) {
      if (this.#known.get(home) !== this.disks(home))
        moves.push([
          `${process.server} sees the Lease of ${home}`,
          () => this.#known.set(home, this.disks(home)),
        ]);
      const uid = this.#known.get(home) ?? null;
      if (uid !== null && !this.#open.has(home) && this.#mounts.has(`${process.node} ${uid}`))
        moves.push([`${process.server} opens ${home}`, () => this.#opens(home, process.node, uid)]);
      return;
    }
    const isLost = process === null || this.machine(process.node).state === 'cut';
    if (!isLost) return;
    for (const [uid, one] of this.#processes)
      if (one.alive && one !== process && this.#reachesApi(one))
        moves.push([`${one.server} claims ${home} of a dead owner`, () => this.#claimed(home, uid, one)]);
  }

  #reachesApi = ({ node }: Process): boolean => ['up', 'mute', 'sick'].includes(this.machine(node).state);

  #opens(home: Home, node: string, uid: string): void {
    const volume = this.#volumeOf(home) ?? '';
    // Where nobody else has the disk yet the storage refuses what is written, and the server finds that out as it verifies.
    const elsewhere = this.#attachments().find(
      ({ spec }) => spec?.source?.persistentVolumeName === volume && spec.nodeName !== node,
    );
    if (this.#forced.has(`${node} ${volume}`) && elsewhere !== undefined)
      this.violations.push(
        `${this.lease(home).spec?.holderIdentity} takes the mount ${uid} on ${node} for the disk, which is attached to ${elsewhere.spec?.nodeName}`,
      );
    this.#open.set(home, { node, uid });
    const epoch = this.epoch(home);
    const transition = { kind: 'Takeover', cause: 'Silent', epoch, to: 'x', at: '', phases: [] };
    this.#annotateLease(home, { [leaseAnnotations.lastTransition]: JSON.stringify(transition) });
  }

  #claimed(home: Home, podUid: string, { server, run }: Process): void {
    this.#open.delete(home);
    const partner = [...this.#processes].find(([, one]) => one.alive && one.server !== server);
    const acknowledger =
      partner === undefined ? null : `${partner[1].server}/${partner[0]}/run-${partner[1].run}`;
    this.#known.set(home, this.disks(home));
    this.#api.change<Lease>('leases', `home.${home}`, (old) => ({
      ...old,
      spec: {
        ...old.spec,
        holderIdentity: `${server}/${podUid}/run-${run}`,
        leaseTransitions: (old.spec?.leaseTransitions ?? 0) + 1,
      },
    }));
    this.#annotateLease(home, {
      [leaseAnnotations.acknowledger]: acknowledger,
      [leaseAnnotations.lastTransition]: null,
      [leaseAnnotations.secondaryPortOpen]: null,
    });
  }

  // ---- what strikes

  #strikes(moves: Move[]): void {
    const { chance } = { chance: (probability: number) => this.#random.chance(probability) };
    for (const home of homes) {
      if (chance(0.15))
        for (const [uid, one] of this.#processes)
          if (one.alive && this.#reachesApi(one) && this.#mayTakeFrom(home))
            moves.push([`${one.server} claims ${home}`, () => this.#claimed(home, uid, one)]);
      for (const pod of this.attachmentPods(home)) this.#strikesAtPod(pod, home, moves);
      if (chance(0.01)) this.#strikesAtClaim(home, moves);
    }
    const names = [...this.#machines.keys()];
    const up = names.filter((name) => this.machine(name).state === 'up');
    if (up.length > 0 && chance(up.length === names.length ? 0.04 : 0.01)) {
      const name = up[Math.floor(this.#random.next() * up.length)]!;
      for (const state of ['cut', 'mute', 'sick'] as const)
        moves.push([
          `${name} is ${state}`,
          () => {
            this.machine(name).state = state;
          },
        ]);
      moves.push([`${name} is switched off`, () => this.#goesOff(name)]);
    }
    for (const name of names) this.#strikesAtNode(name, moves);
    if (this.#whole && chance(0.05))
      for (const { metadata } of this.#api.snapshot<Pod>('pods').filter((pod) => serverOf(pod) !== null))
        moves.push([
          `somebody deletes ${metadata.name}`,
          () => this.#api.markDeleted('pods', metadata.name ?? ''),
        ]);
  }

  /** An owner that is cut off has stopped by the time at which its right has run out; one that lives lets go when asked. */
  #mayTakeFrom = (home: Home): boolean => this.claim(home) !== undefined;

  #strikesAtPod(pod: Pod, home: Home, moves: Move[]): void {
    const { name = '', deletionTimestamp } = pod.metadata;
    if (this.#random.chance(0.02) && deletionTimestamp === undefined)
      moves.push([`somebody deletes ${name}`, () => this.#api.markDeleted('pods', name)]);
    if (this.#random.chance(0.02))
      moves.push([`somebody deletes ${name} by force`, () => this.#forget(pod, home)]);
    if (this.#random.chance(0.01))
      moves.push([
        `somebody takes the labels off ${name}`,
        () =>
          this.#api.change<Pod>('pods', name, (old) => ({
            ...old,
            metadata: { ...old.metadata, labels: {} },
          })),
      ]);
  }

  #strikesAtClaim(home: Home, moves: Move[]): void {
    const claim = this.claim(home);
    const name = `home.${home}.data`;
    const operations = this.#api.snapshot<FilerPairOperationObject>('filerpairoperations');
    const lostClaimUID = this.#api
      .find<FilerDiskSetObject>('filerdisksets', `home.${home}`)
      ?.spec.claims?.find(({ volume }) => volume === 'data')?.uid;
    const asked = operations.some(
      ({ spec }) => spec.recreateClaim?.server === home && spec.recreateClaim.lostClaimUID === lostClaimUID,
    );
    if (claim === undefined && this.#whole && !asked && lostClaimUID !== undefined)
      moves.push([
        `somebody accepts an empty ${name}`,
        () => {
          this.consents.add(home);
          this.#api.add('filerpairoperations', {
            metadata: { name: `again-${++this.#names}`, namespace: 'storage', generation: 1 },
            spec: {
              pairRef: { name: 'home' },
              type: 'RecreateClaim',
              recreateClaim: { server: home, volume: 'data', lostClaimUID },
              ttlSecondsAfterFinished: 600,
            },
          } as KubernetesObject);
        },
      ]);
    const used = this.attachmentPods(home).some(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (
      claim !== undefined &&
      claim.metadata.deletionTimestamp === undefined &&
      used &&
      this.isServed(home) &&
      this.claimsLossesMax > 0
    )
      moves.push([
        `somebody deletes ${name}`,
        () => {
          this.claimsLossesMax -= 1;
          this.claimsDeleted.add(home);
          this.#api.markDeleted('persistentvolumeclaims', name);
        },
      ]);
  }

  /** So many claims are deleted at most in one seed. */
  claimsLossesMax = 0;

  #strikesAtNode(name: string, moves: Move[]): void {
    const machine = this.machine(name);
    const node = this.node(name);
    if (node === undefined) return;
    const { annotations } = node.metadata;
    const silent = this.#readiness(name) === 'Unknown';
    if (machine.state === 'off' && this.#random.chance(0.1)) {
      if (annotations?.[nodeAnnotations.poweredOff] === undefined)
        moves.push([
          `an agent says that ${name} is off`,
          () => {
            machine.gone = this.#random.chance(0.5);
            // As docs/operator.md says: the boot that its Node names, which may be the one before.
            this.#says(name, node.status?.nodeInfo?.bootID ?? bootOf(machine));
          },
        ]);
      if (!this.#isTainted(name) && silent)
        moves.push([
          `somebody marks ${name}`,
          () =>
            this.#changeNode(name, (old) => ({
              ...old,
              spec: { taints: [{ key: OUT_OF_SERVICE, effect: 'NoExecute' }] },
            })),
        ]);
      moves.push([
        `another machine comes under the name of ${name}`,
        () => {
          machine.boot += 1;
          machine.gone = false;
          machine.refutedWord = false;
          machine.state = 'up';
          machine.silentSince = null;
          this.#api.remove('nodes', name);
          this.#registers(name);
        },
      ]);
    }
    if (
      machine.state === 'up' &&
      this.#policy === 'Confirmed' &&
      this.#random.chance(0.04) &&
      annotations?.[nodeAnnotations.poweredOff] === undefined
    )
      moves.push([`somebody is wrong about ${name} being off`, () => this.#says(name, bootOf(machine))]);
    if (machine.state === 'up' && !this.#isTainted(name) && this.#random.chance(0.01))
      moves.push([`the Node ${name} is deleted`, () => this.#api.remove('nodes', name)]);
    if (
      this.#isTainted(name) &&
      annotations?.[nodeAnnotations.outOfService] === undefined &&
      this.#isReady(name)
    )
      moves.push([
        `somebody takes the mark off ${name}`,
        () => this.#changeNode(name, (old) => ({ ...old, spec: { taints: [] } })),
      ]);
  }

  #says(name: string, boot: string): void {
    this.#changeNode(name, (old) => ({
      ...old,
      poweredOffSaidAt: new Date(this.#now()).toISOString(),
      metadata: {
        ...old.metadata,
        annotations: { ...old.metadata.annotations, [nodeAnnotations.poweredOff]: boot },
      },
    }));
  }

  // ---- small looks

  #volumeOf(home: Home): string | undefined {
    return this.claim(home)?.spec?.volumeName;
  }

  /** No pod is admitted that uses a claim that is being deleted, or none. */
  #claimUsable(home: Home): boolean {
    const claim = this.claim(home);
    return (
      claim !== undefined &&
      claim.metadata.deletionTimestamp === undefined &&
      claim.spec?.volumeName !== undefined
    );
  }

  #inUse(home: Home, node: string, uid: string): boolean {
    const open = this.#open.get(home);
    return open?.node === node && open.uid === uid;
  }

  #attachments(): readonly VolumeAttachment[] {
    return this.#api.snapshot<VolumeAttachment>('volumeattachments');
  }

  #readiness(name: string): string | undefined {
    return this.node(name)?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  }

  #isReady = (name: string): boolean => this.#readiness(name) === 'True';

  #isTainted = (name: string): boolean =>
    this.node(name)?.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE) === true;

  #changePod(name: string, change: Partial<Pod>): void {
    this.#api.change<Pod>('pods', name, (old) => ({ ...old, ...change }));
  }

  #changeNode(name: string, change: (old: Node) => Node): void {
    this.#api.change<Node>('nodes', name, change);
  }

  #annotateLease(home: Home, annotations: Readonly<Record<string, string | null>>): void {
    this.#annotate('leases', `home.${home}`, annotations);
  }

  #annotate(plural: string, name: string, annotations: Readonly<Record<string, string | null>>): void {
    this.#api.change(plural, name, (old) => ({
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

const own = (server: Home): string => (server === 'a' ? 'node-1' : 'node-2');

const bootOf = ({ boot }: Machine): string => `boot-${boot}`;

/** By its name, which nobody can take away. */
const homeOf = ({ metadata }: Pod): Home | null =>
  homes.find((home) => metadata.name?.startsWith(`home-${home}-disks-`) === true) ?? null;

const serverOf = ({ metadata }: Pod): Home | null =>
  homes.find((home) => metadata.labels?.['filerpair.dev/server'] === home) ?? null;

const isReported = ({ status }: Pod): boolean => status?.containerStatuses?.[0]?.state?.running !== undefined;

const attachmentOf = (volume: string, node: string): VolumeAttachment => ({
  metadata: { name: `csi-${volume}-${node}` },
  spec: { nodeName: node, source: { persistentVolumeName: volume } },
  status: { attached: true },
});
