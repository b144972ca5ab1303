/**
 * One seed of the model of moving disks (storage type Reattach): two operators, an old leader and a new one, and a cluster in which
 * everything strikes that its file names. Then everything heals, and each disk set must be served again.
 */

import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import type { Claim, FilerPairObject, Node, Pod } from '../../operator/model/objects.ts';
import type { Observed, VolumeFence } from '../../operator/model/observed.ts';
import { running } from '../../operator/plan/reattach-world.fixture.ts';
import { startedAt } from '../../operator/plan/world.fixture.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { refused, SimulatedApi, type Snapshot } from './api.ts';
import { type Home, homes, type Move, SimulatedCluster } from './cluster.ts';
import { ClusterCourse } from './cluster-course.ts';
import { type Request, SimulatedOperator } from './operator.ts';
import type { Fence, OperatorVariant } from './variants.ts';
import { Wishes } from './wishes.ts';

export interface ReattachOutcome {
  readonly violations: readonly string[];
  /** Moves that happened, in order. */
  readonly trace: readonly string[];
  /** Requests of operators that were carried out. */
  readonly requests: number;
  /** Changes of owners. */
  readonly claims: number;
  readonly detachedByForce: number;
}

export interface ReattachOptions {
  readonly fence?: Fence;
  /** Operators decide about everything that belongs to the pair, not only about its disks. */
  readonly whole?: boolean;
  /** People ask for disk sets to be moved; with `whole`. */
  readonly wishes?: boolean;
  /** The FilerPair is gone when everything heals; its Nodes stay. Not with `whole`. */
  readonly pairGoes?: boolean;
  readonly variant?: OperatorVariant | null;
}

const STRIKING_MOVES = 180;
const HEALING_MOVES_MAX = 700;
/** The silence after which `AfterTimeout` lets a node be marked. ms */
const SILENT_AFTER_MS = 60_000;
const QUIET_MS = 10 * 60_000;
const policies = ['Wait', 'Confirmed', 'AfterTimeout'] as const;

const template: Observed = (() => {
  const { observed } = running();
  const nodes = Object.fromEntries(
    Object.entries(observed.nodes).map(([name, node]) => [
      name,
      { ...node, status: { ...node.status, nodeInfo: { bootID: 'boot-1' } } } as Node,
    ]),
  );
  return { ...observed, nodes };
})();

const pairs = policies.map((policy): FilerPairObject => {
  const pair = template.pair!;
  const lostNodes = policy === 'AfterTimeout' ? { policy, timeout: '60s' } : { policy };
  const storage = { type: 'Reattach' as const, reattach: { lostNodes } };
  return { ...pair, spec: { ...pair.spec, storage } };
});

const listed = [
  'pods',
  'leases',
  'filerDiskSets',
  'services',
  'endpointSlices',
  'configMaps',
  'serviceAccounts',
  'roles',
  'roleBindings',
  'podDisruptionBudgets',
  'volumeAttachments',
] as const;

const fences: Readonly<Record<Fence, VolumeFence>> = {
  attach: { accessModes: ['ReadWriteOnce'], driver: 'disks.csi.example.org', attachRequired: true },
  multi: {
    accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
    driver: 'disks.csi.example.org',
    attachRequired: true,
  },
  none: { accessModes: ['ReadWriteOnce'], driver: 'disks.csi.example.org', attachRequired: false },
};

export async function runReattachSeed(seed: number, options: ReattachOptions = {}): Promise<ReattachOutcome> {
  const one = new Run(seed, options);
  await one.strike();
  if (one.violations.length === 0) await one.heal();
  return one.outcome;
}

class Run {
  readonly #random: SeededRandom;
  readonly #trace: string[] = [];
  readonly #fence: Fence;
  readonly #whole: boolean;
  readonly #pairGoes: boolean;
  readonly #wishes: Wishes | null;
  readonly #variant: OperatorVariant | null;
  readonly #policy: (typeof policies)[number];
  readonly #api: SimulatedApi;
  readonly #cluster: SimulatedCluster;
  readonly #course: ClusterCourse;
  readonly #operators: readonly [SimulatedOperator, SimulatedOperator];
  /** Plurals whose changes the API server refuses throughout. */
  readonly #refuses: ReadonlySet<string>;
  #now = startedAt;
  #requests = 0;

  constructor(
    seed: number,
    { fence = 'attach', whole = false, wishes = false, pairGoes = false, variant = null }: ReattachOptions,
  ) {
    this.#random = new SeededRandom(seed);
    this.#fence = fence;
    this.#whole = whole;
    this.#pairGoes = pairGoes;
    this.#variant = variant;
    const chosen = Math.floor(this.#random.next() * policies.length);
    this.#policy = policies[chosen]!;
    const objects = new Map<string, Snapshot>(listed.map((kind) => [resources[kind].plural, template[kind]]));
    objects.set('filerpairs', [pairs[chosen]!]);
    objects.set('filerpairoperations', []);
    objects.set('nodes', Object.values(template.nodes));
    objects.set('persistentvolumeclaims', Object.values(template.claims) as Claim[]);
    if (fence === 'none') objects.set('volumeattachments', []);
    const now = () => this.#now;
    this.#api = new SimulatedApi(objects, now);
    this.#cluster = new SimulatedCluster(this.#api, this.#random, {
      fence,
      whole,
      policy: this.#policy,
      now,
    });
    this.#course = new ClusterCourse(this.#cluster);
    this.#cluster.claimsLossesMax = this.#random.chance(0.3) ? 2 : 0;
    this.#wishes = wishes ? new Wishes(this.#api, this.#random, this.#cluster) : null;
    this.#refuses = new Set(whole && this.#random.chance(0.3) ? ['persistentvolumeclaims'] : []);
    const around = {
      api: this.#api,
      template,
      now,
      whole,
      variant,
      onRequest: (operator: SimulatedOperator, request: Request) => this.#judge(operator, request),
      onLie: (lie: string) => this.violations.push(lie),
      fenceOf: (volume: string) => ({ ...fences[fence], inUseAs: volume }),
    };
    this.#operators = [new SimulatedOperator('old', around), new SimulatedOperator('new', around)];
    this.#operators[0].active = true;
  }

  get violations(): string[] {
    return this.#cluster.violations;
  }

  get outcome(): ReattachOutcome {
    const count = (part: string) => this.#trace.filter((line) => line.includes(part)).length;
    return {
      violations: this.violations,
      trace: this.#trace,
      requests: this.#requests,
      claims: count(' claims '),
      detachedByForce: count(' by force'),
    };
  }

  async strike(): Promise<void> {
    for (let step = 0; step < STRIKING_MOVES && this.violations.length === 0; step++) await this.#step();
  }

  /** Nothing strikes any more, one operator leads. Each disk set is served in the end, unless its claim or all nodes are gone. */
  async heal(): Promise<void> {
    this.#cluster.striking = false;
    if (this.#pairGoes) this.#api.remove('filerpairs', 'home');
    const [first, second] = this.#operators;
    second.active = false;
    second.killed();
    first.active = true;
    first.killed();
    for (let step = 0; step < HEALING_MOVES_MAX && this.violations.length === 0; step++)
      if (!(await this.#step())) break;
    if (this.violations.length > 0 || this.#fence !== 'attach') return;
    if (this.#pairGoes) this.violations.push(...this.#stillMarked());
    else
      this.violations.push(
        ...homes.flatMap((home) => this.#notServed(home)),
        ...this.#stillMarked(),
        ...this.#cluster
          .adoptedByAnother()
          .map((name) => `at the end ${name} holds disks, and was made for another machine`),
        ...this.#unanswered(),
      );
  }

  /** Where a server is away for good nobody can do what it was asked for. */
  #unanswered(): string[] {
    const well = homes.every((home) => this.#cluster.serversOf(home).length > 0);
    return well && this.#cluster.claimsDeleted.size === 0 ? (this.#wishes?.unanswered() ?? []) : [];
  }

  #notServed(home: Home): string[] {
    const cluster = this.#cluster;
    if (cluster.claimsDeleted.has(home) || !cluster.someNodeIsUp()) return [];
    const process = cluster.holder(home);
    // Servers on a node that is off for good are replaced by what decides about everything.
    if (process === null && !this.#whole && !cluster.someServerLives()) return [];
    if (cluster.allServersAreAway() || this.#isLeftToAPerson(home)) return [];
    if (process === null) return [`at the end the owner of ${home} does not run: ${cluster.state()}`];
    if (cluster.isServed(home)) return [];
    return [`at the end ${process.server} has no disks of ${home}: ${cluster.state()}`];
  }

  /** Where nobody says whether a lost node is off, its disks wait for that. */
  #isLeftToAPerson(home: Home): boolean {
    const from = this.#cluster.lease(home).metadata.annotations?.[leaseAnnotations.disksNode];
    return [from, ...this.#cluster.attachmentPods(home).map(({ spec }) => spec?.nodeName)].some(
      (node) => node !== undefined && this.#policy === 'Wait' && this.#cluster.machine(node).gone,
    );
  }

  #stillMarked(): string[] {
    return this.#api
      .snapshot<Node>('nodes')
      .filter(
        ({ metadata, status }) =>
          metadata.annotations?.[nodeAnnotations.outOfService] !== undefined &&
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      )
      .map(({ metadata }) => `at the end ${metadata.name} is ready and is still marked`);
  }

  /** One move of somebody; false: nobody has anything to do any more. */
  async #step(): Promise<boolean> {
    const moves = [
      ...this.#course.moves(),
      ...(this.#wishes?.moves() ?? []),
      ...this.#operators.flatMap((one) => this.#operatorMoves(one)),
    ];
    const hurried = this.#hurried(moves);
    const at = Math.floor(this.#random.next() * hurried.length);
    const move = hurried[at] ?? this.#timePasses();
    if (move === null) return false;
    const [name, run] = move;
    this.#trace.push(name);
    this.#now += 50;
    run();
    await settled();
    this.#cluster.judge();
    return true;
  }

  /** The moves to which a variant has to be helped: see OperatorVariant.hurries. */
  #hurried(moves: readonly Move[]): readonly Move[] {
    const requests = this.#operators.flatMap((one) => one.requests.map(({ what }) => what));
    const names = this.#variant?.hurries?.(requests) ?? null;
    if (names === null || !this.#random.chance(0.95)) return moves;
    const first = moves.filter(([name]) => names.test(name));
    return first.length > 0 ? first : moves;
  }

  #operatorMoves(operator: SimulatedOperator): Move[] {
    const { name } = operator;
    const moves: Move[] = operator
      .behind()
      .map((kind): Move => [`the ${name} operator sees ${kind}`, () => operator.see(kind)]);
    for (const request of operator.requests) {
      moves.push([`the ${name} operator: ${request.what}`, () => request.serve()]);
      if (this.#cluster.striking && this.#random.chance(0.03))
        moves.push([`the ${name} operator: ${request.what}, no answer`, () => request.loseAnswer()]);
    }
    if (operator.mayLook()) moves.push([`the ${name} operator looks`, () => operator.look()]);
    if (!this.#cluster.striking) return moves;
    if (operator.active && this.#random.chance(0.03))
      moves.push([`the ${name} operator is killed`, () => operator.killed()]);
    if (this.#random.chance(0.02)) moves.push(['the leader changes', () => this.#leaderChanges()]);
    if (operator.active && this.#random.chance(0.02)) {
      const claim = `home.${homes[Math.floor(this.#random.next() * 2)]}.data`;
      moves.push([`the ${name} operator loses sight of ${claim}`, () => operator.losesSightOf(claim)]);
    }
    return moves;
  }

  /** Sometimes the old one has not noticed yet. */
  #leaderChanges(): void {
    const [first, second] = this.#operators;
    const from = first.active ? first : second;
    const to = from === first ? second : first;
    if (this.#random.chance(0.5)) from.active = false;
    to.active = true;
  }

  /** Nobody has anything to do: to the next of the timers, or far beyond all of them. */
  #timePasses(): Move | null {
    const due = [...this.#operators.map(({ wakesAt }) => wakesAt), ...this.#cluster.timers()]
      .filter((at) => at !== null)
      .filter((at) => at > this.#now);
    if (due.length > 0)
      return [
        'time passes',
        () => {
          this.#now = Math.min(...due);
        },
      ];
    if (!this.#cluster.striking) return null;
    return [
      'a long quiet time',
      () => {
        this.#now += QUIET_MS;
        this.#cluster.quietTimePassed();
      },
    ];
  }

  /** Finds requests that the operator may never make. Throws the error that the API server answers instead. */
  #judge(operator: SimulatedOperator, request: Request): void {
    this.#requests += 1;
    const { verb, resource, name, body, uid } = request;
    if (verb !== 'get' && this.#refuses.has(resource.plural))
      throw refused(403, 'Forbidden', `${name} is forbidden`);
    this.#wishes?.judge(request);
    if (resource.plural === 'leases') this.#judgeLease(operator, request);
    if (resource.plural === 'persistentvolumeclaims' && verb === 'get') this.#noteClaim(operator, name);
    if (resource.plural === 'nodes' && verb === 'get' && this.#cluster.node(name) === undefined)
      operator.nodesMissing.add(name);
    if (resource.plural === 'nodes' && verb === 'mergePatch') this.#judgeMark(operator, name, body!);
    if (resource.plural === 'pods' && verb === 'delete') this.#judgeDeletion(operator, name, uid);
    if (resource.plural === 'pods' && verb === 'create') this.#judgeCreation(operator, name);
    if (resource.plural === 'persistentvolumeclaims' && verb === 'apply') this.#judgeClaim(name);
  }

  #judgeLease(operator: SimulatedOperator, { name, verb, body }: Request): void {
    const home = homes.find((one) => name === `home.${one}`);
    if (home === undefined) return;
    const { resourceVersion } = this.#cluster.lease(home).metadata;
    if (verb === 'get' || body?.metadata.resourceVersion === resourceVersion)
      operator.confirmed.set(home, this.#cluster.epoch(home));
  }

  #noteClaim(operator: SimulatedOperator, name: string): void {
    const home = homes.find((one) => name === `home.${one}.data`);
    if (home !== undefined && !this.#isClaimGoing(home)) operator.claimsKept.add(home);
  }

  #isClaimGoing = (home: Home): boolean =>
    this.#cluster.claim(home)?.metadata.deletionTimestamp !== undefined;

  #judgeMark(operator: SimulatedOperator, name: string, patch: KubernetesObject): void {
    if (typeof patch.metadata.annotations?.[nodeAnnotations.outOfService] !== 'string') return;
    const node = this.#cluster.node(name);
    const machine = this.#cluster.machine(name);
    if (node === undefined || node.metadata.resourceVersion !== patch.metadata.resourceVersion) return;
    for (const home of homes)
      if (
        this.#isClaimGoing(home) &&
        !operator.claimsKept.has(home) &&
        this.#cluster.attachmentPods(home).some(({ spec }) => spec?.nodeName === name)
      )
        this.violations.push(
          `${operator.name} takes the last pod from a claim that somebody has deleted: ${name}`,
        );
    const said = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (this.#policy === 'Wait')
      this.violations.push(`${name} is marked, although an administrator is to do that`);
    if (this.#policy === 'Confirmed' && machine.state !== 'off' && machine.refutedWord)
      this.violations.push(
        `${name} is marked after a confirmation that it has refuted, and is ${machine.state}`,
      );
    if (this.#policy !== 'AfterTimeout') return;
    if (said !== 'Unknown') this.violations.push(`${name} is marked, and its kubelet reports`);
    const silentMs = this.#now - (machine.silentSince ?? this.#now);
    if (said === 'Unknown' && silentMs < SILENT_AFTER_MS)
      this.violations.push(`${name} is marked after a silence of ${silentMs} ms`);
  }

  #judgeDeletion(operator: SimulatedOperator, name: string, uid: string | undefined): void {
    const pod = this.#api.find<Pod>('pods', name);
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
    // Another pod has the name by now, and the API server refuses.
    if (uid !== undefined && uid !== pod.metadata.uid) return;
    const home = homes.find((one) => name.startsWith(`home-${one}-disks-`));
    const node = pod.spec?.nodeName;
    if (home === undefined) {
      const saidGone = operator.nodeSaidGone.has(name) && !operator.nodesMissing.has(node ?? '');
      if (node !== undefined && this.#cluster.node(node) !== undefined && saidGone)
        this.violations.push(`${operator.name} deletes ${name} of a node that is there`);
      return;
    }
    if (this.#isClaimGoing(home) && !operator.claimsKept.has(home))
      this.violations.push(
        `${operator.name} takes the last pod from a claim that somebody has deleted: ${name}`,
      );
    const isOwners = node !== undefined && node === this.#cluster.ownersNode(home);
    const madeFor = pod.metadata.annotations?.['filerpair.dev/node-uid'];
    if (!isOwners || madeFor !== this.#cluster.node(node)?.metadata.uid) return;
    const confirmed = operator.confirmed.get(home);
    if (confirmed === undefined || confirmed === this.#cluster.epoch(home))
      this.violations.push(
        `the ${operator.name} operator deletes the pod under the owner of ${home}: ${name}`,
      );
  }

  #judgeCreation(operator: SimulatedOperator, name: string): void {
    const home = homes.find((one) => name.startsWith(`home-${one}-disks-`));
    if (home !== undefined && operator.claimWasUnknown === `home.${home}.data`)
      this.violations.push(`${name} asks for the disks of a claim that is not known`);
  }

  #judgeClaim(name: string): void {
    const home = homes.find((one) => name === `home.${one}.data`);
    if (home === undefined || this.#cluster.claim(home) !== undefined) return;
    if (!this.#cluster.consents.delete(home))
      this.violations.push(`an empty ${name} is made without consent`);
  }
}

/** Until everybody who has been answered has come to the next request. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
