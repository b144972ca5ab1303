/** Strikes at the simulated cluster: failures of machines, claims of servers, and what people do. */
import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { FilerDiskSetObject, FilerPairOperationObject, Pod } from '../../operator/model/objects.ts';
import {
  bootOf,
  type Home,
  homes,
  type Move,
  OUT_OF_SERVICE,
  type SimulatedCluster,
  serverOf,
} from './cluster.ts';

export class ClusterStrikes {
  readonly #cluster: SimulatedCluster;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
  }

  /** Adds the strikes that may happen now to the moves that there are. Draws of the seed's random numbers decide. */
  add(moves: Move[]): void {
    const chance = (probability: number): boolean => this.#cluster.random.chance(probability);
    for (const home of homes) {
      if (chance(0.15))
        for (const [uid, one] of this.#cluster.processes)
          if (one.alive && this.#cluster.reachesApi(one) && this.#mayTakeFrom(home))
            moves.push([`${one.server} claims ${home}`, () => this.#cluster.claimed(home, uid, one)]);
      for (const pod of this.#cluster.attachmentPods(home)) this.#strikesAtPod(pod, home, moves);
      if (chance(0.01)) this.#strikesAtClaim(home, moves);
    }
    const names = [...this.#cluster.machines.keys()];
    const up = names.filter((name) => this.#cluster.machine(name).state === 'up');
    if (up.length > 0 && chance(up.length === names.length ? 0.04 : 0.01)) {
      const name = up[Math.floor(this.#cluster.random.next() * up.length)]!;
      for (const state of ['cut', 'mute', 'sick'] as const)
        moves.push([
          `${name} is ${state}`,
          () => {
            this.#cluster.machine(name).state = state;
          },
        ]);
      moves.push([`${name} is switched off`, () => this.#cluster.goesOff(name)]);
    }
    for (const name of names) this.#strikesAtNode(name, moves);
    if (this.#cluster.whole && chance(0.05))
      for (const { metadata } of this.#cluster.api
        .snapshot<Pod>('pods')
        .filter((pod) => serverOf(pod) !== null))
        moves.push([
          `somebody deletes ${metadata.name}`,
          () => this.#cluster.api.markDeleted('pods', metadata.name ?? ''),
        ]);
  }

  /** An owner that is cut off has stopped by the time at which its right has run out; one that lives lets go when asked. */
  #mayTakeFrom = (home: Home): boolean => this.#cluster.claim(home) !== undefined;

  #strikesAtPod(pod: Pod, home: Home, moves: Move[]): void {
    const { name = '', deletionTimestamp } = pod.metadata;
    if (this.#cluster.random.chance(0.02) && deletionTimestamp === undefined)
      moves.push([`somebody deletes ${name}`, () => this.#cluster.api.markDeleted('pods', name)]);
    if (this.#cluster.random.chance(0.02))
      moves.push([`somebody deletes ${name} by force`, () => this.#cluster.forget(pod, home)]);
    if (this.#cluster.random.chance(0.01))
      moves.push([
        `somebody takes the labels off ${name}`,
        () =>
          this.#cluster.api.change<Pod>('pods', name, (old) => ({
            ...old,
            metadata: { ...old.metadata, labels: {} },
          })),
      ]);
  }

  #strikesAtClaim(home: Home, moves: Move[]): void {
    const claim = this.#cluster.claim(home);
    const name = `home.${home}.data`;
    const operations = this.#cluster.api.snapshot<FilerPairOperationObject>('filerpairoperations');
    const lostClaimUID = this.#cluster.api
      .find<FilerDiskSetObject>('filerdisksets', `home.${home}`)
      ?.spec.claims?.find(({ volume }) => volume === 'data')?.uid;
    const asked = operations.some(
      ({ spec }) => spec.recreateClaim?.server === home && spec.recreateClaim.lostClaimUID === lostClaimUID,
    );
    if (claim === undefined && this.#cluster.whole && !asked && lostClaimUID !== undefined)
      moves.push([
        `somebody accepts an empty ${name}`,
        () => {
          this.#cluster.consents.add(home);
          this.#cluster.api.add('filerpairoperations', {
            metadata: { name: `again-${++this.#cluster.names}`, namespace: 'storage', generation: 1 },
            spec: {
              pairRef: { name: 'home' },
              type: 'RecreateClaim',
              recreateClaim: { server: home, volume: 'data', lostClaimUID },
              ttlSecondsAfterFinished: 600,
            },
          } as KubernetesObject);
        },
      ]);
    const used = this.#cluster
      .attachmentPods(home)
      .some(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (
      claim !== undefined &&
      claim.metadata.deletionTimestamp === undefined &&
      used &&
      this.#cluster.isServed(home) &&
      this.#cluster.claimsLossesMax > 0
    )
      moves.push([
        `somebody deletes ${name}`,
        () => {
          this.#cluster.claimsLossesMax -= 1;
          this.#cluster.claimsDeleted.add(home);
          this.#cluster.api.markDeleted('persistentvolumeclaims', name);
        },
      ]);
  }

  #strikesAtNode(name: string, moves: Move[]): void {
    const machine = this.#cluster.machine(name);
    const node = this.#cluster.node(name);
    if (node === undefined) return;
    const { annotations } = node.metadata;
    const silent = this.#cluster.readiness(name) === 'Unknown';
    if (machine.state === 'off' && this.#cluster.random.chance(0.1)) {
      if (annotations?.[nodeAnnotations.poweredOff] === undefined)
        moves.push([
          `an agent says that ${name} is off`,
          () => {
            machine.gone = this.#cluster.random.chance(0.5);
            // As docs/operator.md says: the boot that its Node names, which may be the one before.
            this.#says(name, node.status?.nodeInfo?.bootID ?? bootOf(machine));
          },
        ]);
      if (!this.#cluster.isTainted(name) && silent)
        moves.push([
          `somebody marks ${name}`,
          () =>
            this.#cluster.changeNode(name, (old) => ({
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
          this.#cluster.api.remove('nodes', name);
          this.#cluster.registers(name);
        },
      ]);
    }
    if (
      machine.state === 'up' &&
      this.#cluster.policy === 'Confirmed' &&
      this.#cluster.random.chance(0.04) &&
      annotations?.[nodeAnnotations.poweredOff] === undefined
    )
      moves.push([`somebody is wrong about ${name} being off`, () => this.#says(name, bootOf(machine))]);
    if (machine.state === 'up' && !this.#cluster.isTainted(name) && this.#cluster.random.chance(0.01))
      moves.push([`the Node ${name} is deleted`, () => this.#cluster.api.remove('nodes', name)]);
    if (
      this.#cluster.isTainted(name) &&
      annotations?.[nodeAnnotations.outOfService] === undefined &&
      this.#cluster.isReady(name)
    )
      moves.push([
        `somebody takes the mark off ${name}`,
        () => this.#cluster.changeNode(name, (old) => ({ ...old, spec: { taints: [] } })),
      ]);
  }

  #says(name: string, boot: string): void {
    this.#cluster.changeNode(name, (old) => ({
      ...old,
      poweredOffSaidAt: new Date(this.#cluster.now()).toISOString(),
      metadata: {
        ...old.metadata,
        annotations: { ...old.metadata.annotations, [nodeAnnotations.poweredOff]: boot },
      },
    }));
  }

  // ---- small looks
}
