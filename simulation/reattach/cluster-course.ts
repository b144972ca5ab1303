/** Events in the simulated cluster: what kubelets, Kubernetes' controllers, machines and owners of disk sets may do next. */
import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { ATTACHMENT_NODE_ANNOTATION, ATTACHMENT_NODE_UID_ANNOTATION } from '../../operator/model/names.ts';
import type { Claim, Pod, VolumeAttachment } from '../../operator/model/objects.ts';
import {
  bootOf,
  FORCED_DETACH_MS,
  type Home,
  homeOf,
  homes,
  type Move,
  type SimulatedCluster,
  serverOf,
} from './cluster.ts';
import { ClusterStrikes } from './cluster-strikes.ts';

export class ClusterCourse {
  readonly #cluster: SimulatedCluster;
  readonly #strikes: ClusterStrikes;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
    this.#strikes = new ClusterStrikes(cluster);
  }

  moves(): Move[] {
    const moves: Move[] = [];
    for (const pod of this.#cluster.api.snapshot<Pod>('pods')) {
      const home = homeOf(pod);
      if (home === null) this.#serverPod(pod, moves);
      else this.#attachmentPod(pod, home, moves);
    }
    this.#kernels(moves);
    this.#detaching(moves);
    this.#claims(moves);
    this.#nodes(moves);
    for (const home of homes) this.#owner(home, moves);
    if (this.#cluster.striking) this.#strikes.add(moves);
    return moves;
  }

  #attachmentPod(pod: Pod, home: Home, moves: Move[]): void {
    const { name = '', uid = '', annotations, deletionTimestamp } = pod.metadata;
    const node = pod.spec?.nodeName;
    const ending = deletionTimestamp !== undefined;
    if (node === undefined) {
      const target = annotations?.[ATTACHMENT_NODE_ANNOTATION] ?? '';
      if (ending) moves.push([`${name} goes`, () => this.#cluster.api.remove('pods', name)]);
      else if (
        this.#cluster.node(target) !== undefined &&
        !this.#cluster.isTainted(target) &&
        this.#cluster.claimUsable(home)
      )
        moves.push([
          `${name} is put onto ${target}`,
          () => this.#cluster.changePod(name, { spec: { ...pod.spec, nodeName: target } }),
        ]);
      return;
    }
    const machine = this.#cluster.machine(node);
    const volume = this.#cluster.volumeOf(home);
    const here = this.#cluster
      .attachments()
      .filter(({ spec }) => spec?.source?.persistentVolumeName === volume);
    const isHere = here.some(({ spec }) => spec?.nodeName === node);
    if (
      volume !== undefined &&
      this.#cluster.fence !== 'none' &&
      !isHere &&
      !ending &&
      (this.#cluster.fence === 'multi' || here.length === 0)
    )
      moves.push([
        `${volume} is attached to ${node}`,
        () => this.#cluster.api.add('volumeattachments', attachmentOf(volume, node)),
      ]);
    if (this.#cluster.isTainted(node)) {
      if (!ending)
        moves.push([
          `${name} is evicted from a node out of service`,
          () => this.#cluster.api.markDeleted('pods', name),
        ]);
      else if (!this.#cluster.isReady(node))
        moves.push([`${name} is collected`, () => this.#cluster.forget(pod, home)]);
    }
    if (machine.state !== 'up') return;
    const key = `${node} ${uid}`;
    if (
      !ending &&
      !this.#cluster.mounts.has(key) &&
      volume !== undefined &&
      (isHere || this.#cluster.fence === 'none')
    )
      moves.push([
        `${node} mounts ${volume} for ${name}`,
        () => {
          const madeFor = annotations?.[ATTACHMENT_NODE_UID_ANNOTATION];
          if (madeFor !== undefined && madeFor !== this.#cluster.node(node)?.metadata.uid)
            this.#cluster.adopted.add(name);
          this.#judgeMount(volume, node);
          this.#cluster.staged.add(`${node} ${volume}`);
          // The kubelet says so before it mounts.
          this.#reportsInUse(node);
          this.#cluster.forced.delete(`${node} ${volume}`);
          this.#cluster.forcedByTime.delete(`${node} ${volume}`);
          this.#cluster.mounts.set(key, home);
          this.#cluster.changePod(name, {
            status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
          });
        },
      ]);
    if (ending && !this.#cluster.inUse(home, node, uid))
      moves.push([
        `${node} ends ${name}`,
        () => {
          this.#cluster.mounts.delete(key);
          this.#cluster.api.remove('pods', name);
        },
      ]);
  }

  /** A machine that was away, and that nobody has said to be off, has the file system mounted all the same. */
  #judgeMount(volume: string, node: string): void {
    for (const one of this.#cluster.forcedByTime) {
      const [other = '', of] = one.split(' ');
      if (of !== volume || other === node || !this.#cluster.staged.has(one)) continue;
      const { state } = this.#cluster.machine(other);
      if (this.#cluster.node(other) !== undefined && !this.#cluster.isTainted(other))
        this.#cluster.violations.push(
          `${node} mounts ${volume}, which is mounted on ${other}, and ${other} is ${state === 'up' ? 'back' : 'only silent'}`,
        );
    }
  }

  #serverPod(pod: Pod, moves: Move[]): void {
    const { name = '', uid = '', deletionTimestamp } = pod.metadata;
    const server = serverOf(pod);
    if (server === null) return;
    const node = pod.spec?.nodeName;
    if (node === undefined) {
      const ready = [...this.#cluster.machines.keys()].filter(
        (one) => this.#cluster.isReady(one) && !this.#cluster.isTainted(one),
      );
      const [at = ''] = ready.includes(own(server)) ? [own(server)] : ready;
      if (deletionTimestamp !== undefined)
        moves.push([`${name} goes`, () => this.#cluster.api.remove('pods', name)]);
      else if (at !== '')
        moves.push([
          `${name} is put onto ${at}`,
          () => this.#cluster.changePod(name, { spec: { ...pod.spec, nodeName: at } }),
        ]);
      return;
    }
    if (this.#cluster.isTainted(node) && deletionTimestamp === undefined)
      moves.push([
        `${name} is evicted from a node out of service`,
        () => this.#cluster.api.markDeleted('pods', name),
      ]);
    const end = (): void => {
      const process = this.#cluster.processes.get(uid);
      if (process !== undefined) process.alive = false;
      this.#cluster.closeAllOf(uid);
      this.#cluster.api.remove('pods', name);
      if (!this.#cluster.whole) this.#serverPodAgain(pod);
    };
    if (deletionTimestamp !== undefined && this.#cluster.isTainted(node) && !this.#cluster.isReady(node))
      moves.push([`${name} is collected`, end]);
    if (this.#cluster.machine(node).state !== 'up') return;
    if (deletionTimestamp !== undefined) {
      moves.push([`${node} ends ${name}`, end]);
      return;
    }
    const process = this.#cluster.processes.get(uid);
    if (process?.alive === true) {
      if (!isReported(pod)) moves.push([`${node} reports ${name}`, () => this.#reportRunning(name, node)]);
      return;
    }
    moves.push([
      `${node} starts ${name}`,
      () => {
        this.#cluster.processes.set(uid, { server, node, run: (process?.run ?? 0) + 1, alive: true });
        this.#reportRunning(name, node);
      },
    ]);
  }

  #reportRunning(name: string, node: string): void {
    this.#cluster.changePod(name, {
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
    const name = `home-${metadata.labels?.['filerpair.dev/server']}-again${++this.#cluster.names}`;
    this.#cluster.api.add('pods', {
      ...pod,
      metadata: { ...kept, name },
      spec: unplaced,
    } as KubernetesObject);
  }

  #kernels(moves: Move[]): void {
    for (const [key, home] of this.#cluster.orphans) {
      const [node = '', uid = ''] = key.split(' ');
      if (this.#cluster.machine(node).state === 'up' && !this.#cluster.inUse(home, node, uid))
        moves.push([
          `${node} ends what is left of ${uid}`,
          () => {
            this.#cluster.orphans.delete(key);
            this.#cluster.mounts.delete(key);
          },
        ]);
    }
    for (const one of this.#cluster.staged) {
      const [node = '', volume = ''] = one.split(' ');
      const home = this.#cluster.homeOfVolume.get(volume);
      if (this.#cluster.machine(node).state !== 'up' || home === undefined) continue;
      const users =
        this.#cluster.attachmentPods(home).some(({ spec }) => spec?.nodeName === node) ||
        [...this.#cluster.mounts].some(([key, of]) => of === home && key.startsWith(`${node} `));
      if (!users)
        moves.push([
          `${node} unmounts ${volume}`,
          () => {
            this.#cluster.staged.delete(one);
            this.#cluster.forced.delete(one);
          },
        ]);
    }
  }

  #detaching(moves: Move[]): void {
    for (const attachment of this.#cluster.attachments()) {
      const node = attachment.spec?.nodeName ?? '';
      const volume = attachment.spec?.source?.persistentVolumeName ?? '';
      const home = this.#cluster.homeOfVolume.get(volume);
      const key = `${node} ${volume}`;
      const wanted =
        home !== undefined && this.#cluster.attachmentPods(home).some(({ spec }) => spec?.nodeName === node);
      if (wanted) continue;
      const { silentSince, state } = this.#cluster.machine(node);
      const inUse =
        this.#cluster.staged.has(key) ||
        (state === 'off' && this.#cluster.reportedInUse.has(key)) ||
        this.#cluster.node(node)?.status?.volumesInUse?.includes(volume) === true;
      const byForce =
        this.#cluster.isTainted(node) ||
        (silentSince !== null && this.#cluster.now() >= silentSince + FORCED_DETACH_MS);
      if (inUse && !byForce) continue;
      moves.push([
        `${volume} is detached from ${node}${inUse ? ' by force' : ''}`,
        () => {
          if (this.#cluster.staged.has(key)) this.#cluster.forced.add(key);
          if (this.#cluster.staged.has(key) && !this.#cluster.isTainted(node))
            this.#cluster.forcedByTime.add(key);
          this.#cluster.reportedInUse.delete(key);
          this.#cluster.api.remove('volumeattachments', attachment.metadata.name ?? '');
        },
      ]);
    }
  }

  /** Kubernetes keeps a claim that is being deleted until no pod uses it. */
  #claims(moves: Move[]): void {
    for (const home of homes) {
      const claim = this.#cluster.claim(home);
      if (claim === undefined) continue;
      const name = claim.metadata.name ?? '';
      if (claim.metadata.deletionTimestamp !== undefined && this.#cluster.attachmentPods(home).length === 0)
        moves.push([`${name} goes`, () => this.#cluster.api.remove('persistentvolumeclaims', name)]);
      if (claim.spec?.volumeName === undefined)
        moves.push([
          `${name} is bound`,
          () => {
            const volumeName = `pv-${home}-${++this.#cluster.names}`;
            this.#cluster.homeOfVolume.set(volumeName, home);
            this.#cluster.api.change<Claim>('persistentvolumeclaims', name, (old) => ({
              ...old,
              spec: { ...old.spec, volumeName, accessModes: ['ReadWriteOnce'] },
              status: { phase: 'Bound' },
            }));
          },
        ]);
    }
  }

  #nodes(moves: Move[]): void {
    for (const [name, machine] of this.#cluster.machines) {
      const said = this.#cluster.readiness(name);
      const silent = machine.state === 'cut' || machine.state === 'mute' || machine.state === 'off';
      const truth = silent ? 'Unknown' : machine.state === 'sick' ? 'False' : 'True';
      const markOfAPerson =
        this.#cluster.node(name)?.metadata.annotations?.[nodeAnnotations.outOfService] === undefined;
      if (
        !this.#cluster.striking &&
        this.#cluster.isTainted(name) &&
        this.#cluster.isReady(name) &&
        markOfAPerson
      )
        moves.push([
          `somebody takes the mark off ${name}`,
          () => this.#cluster.changeNode(name, (old) => ({ ...old, spec: { taints: [] } })),
        ]);
      const mayComeBack = machine.state !== 'up' && !machine.gone;
      if (mayComeBack && (!this.#cluster.striking || this.#cluster.random.chance(0.05)))
        moves.push([`${name} is back`, () => this.#back(name)]);
      if (this.#cluster.node(name) === undefined) {
        if (machine.state === 'up') moves.push([`${name} registers`, () => this.#cluster.registers(name)]);
        continue;
      }
      if (machine.state === 'up' && said === truth && this.#saidInUse(name) !== this.#inUseOn(name).join())
        moves.push([`${name} reports what it has mounted`, () => this.#reportsInUse(name)]);
      if (said !== truth)
        moves.push([
          `${name} is said to be Ready=${truth}`,
          () => {
            machine.silentSince = truth === 'Unknown' ? this.#cluster.now() : null;
            this.#cluster.changeNode(name, (node) => ({
              ...node,
              status: {
                ...node.status,
                nodeInfo: truth === 'Unknown' ? (node.status?.nodeInfo ?? {}) : { bootID: bootOf(machine) },
                volumesInUse: truth === 'Unknown' ? (node.status?.volumesInUse ?? []) : this.#inUseOn(name),
                conditions: [
                  {
                    type: 'Ready',
                    status: truth,
                    lastTransitionTime: new Date(this.#cluster.now()).toISOString(),
                  },
                ],
              },
            }));
          },
        ]);
    }
  }

  #saidInUse(node: string): string {
    return this.#cluster.node(node)?.status?.volumesInUse?.join() ?? '';
  }

  #reportsInUse(name: string): void {
    if (this.#cluster.node(name) === undefined) return;
    this.#cluster.changeNode(name, (node) => ({
      ...node,
      status: { ...node.status, volumesInUse: this.#inUseOn(name) },
    }));
  }

  #inUseOn(node: string): string[] {
    return [...this.#cluster.staged]
      .filter((one) => one.startsWith(`${node} `))
      .map((one) => one.slice(node.length + 1));
  }

  #back(name: string): void {
    const machine = this.#cluster.machine(name);
    if (machine.state === 'off') {
      machine.boot += 1;
      machine.refutedWord = false;
    }
    machine.state = 'up';
  }

  /** The owner of a disk set: sees its Lease, opens what is mounted. If it is dead somebody else claims. */
  #owner(home: Home, moves: Move[]): void {
    const process = this.#cluster.holder(home);
    const may = process === null ? [] : ['up', 'mute', 'sick'];
    if (process !== null && may.includes(this.#cluster.machine(process.node).state)) {
      if (this.#cluster.known.get(home) !== this.#cluster.disks(home))
        moves.push([
          `${process.server} sees the Lease of ${home}`,
          () => this.#cluster.known.set(home, this.#cluster.disks(home)),
        ]);
      const uid = this.#cluster.known.get(home) ?? null;
      if (uid !== null && !this.#cluster.open.has(home) && this.#cluster.mounts.has(`${process.node} ${uid}`))
        moves.push([`${process.server} opens ${home}`, () => this.#opens(home, process.node, uid)]);
      return;
    }
    const isLost = process === null || this.#cluster.machine(process.node).state === 'cut';
    if (!isLost) return;
    for (const [uid, one] of this.#cluster.processes)
      if (one.alive && one !== process && this.#cluster.reachesApi(one))
        moves.push([
          `${one.server} claims ${home} of a dead owner`,
          () => this.#cluster.claimed(home, uid, one),
        ]);
  }

  #opens(home: Home, node: string, uid: string): void {
    const volume = this.#cluster.volumeOf(home) ?? '';
    // Where nobody else has the disk yet the storage refuses what is written, and the server finds that out as it verifies.
    const elsewhere = this.#cluster
      .attachments()
      .find(({ spec }) => spec?.source?.persistentVolumeName === volume && spec.nodeName !== node);
    if (this.#cluster.forced.has(`${node} ${volume}`) && elsewhere !== undefined)
      this.#cluster.violations.push(
        `${this.#cluster.lease(home).spec?.holderIdentity} takes the mount ${uid} on ${node} for the disk, which is attached to ${elsewhere.spec?.nodeName}`,
      );
    this.#cluster.open.set(home, { node, uid });
    const epoch = this.#cluster.epoch(home);
    const transition = { kind: 'Takeover', cause: 'Silent', epoch, to: 'x', at: '', phases: [] };
    this.#cluster.annotateLease(home, { [leaseAnnotations.lastTransition]: JSON.stringify(transition) });
  }
}

const own = (server: Home): string => (server === 'a' ? 'node-1' : 'node-2');

const isReported = ({ status }: Pod): boolean => status?.containerStatuses?.[0]?.state?.running !== undefined;

const attachmentOf = (volume: string, node: string): VolumeAttachment => ({
  metadata: { name: `csi-${volume}-${node}` },
  spec: { nodeName: node, source: { persistentVolumeName: volume } },
  status: { attached: true },
});
