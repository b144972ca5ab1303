/**
 * One instance of the operator in the simulated cluster: the real deciding code, fed from caches that lag behind kind by kind,
 * and the real executor and plan run. Each request waits until the model lets it happen. So another instance may act between any
 * two of them, an answer may get lost, and the instance may be killed at any point.
 */
import { createLogger, transports } from 'winston';
import { filerPairSpec } from '../../crds/pair/spec.ts';
import { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { Executor } from '../../operator/apply/executor.ts';
import { PlanRun } from '../../operator/apply/plan-run.ts';
import { WriteBrake } from '../../operator/apply/write-brake.ts';
import { assess } from '../../operator/assess/assessment.ts';
import { mountsDueAt } from '../../operator/assess/disk-location.ts';
import { lostNodesDueAt } from '../../operator/assess/lost-nodes.ts';
import { refutedPowerOffsDueAt } from '../../operator/assess/refuted-power-off.ts';
import { operatorMetrics } from '../../operator/metrics/metrics.ts';
import type { Action, Plan } from '../../operator/model/action.ts';
import type { FilerPairObject, Node, Pod } from '../../operator/model/objects.ts';
import type { Observed, Problem } from '../../operator/model/observed.ts';
import { viewPair } from '../../operator/model/view.ts';
import { decide, nothing, urgentActions } from '../../operator/plan/decide.ts';
import { nodesMarked, nodesUnmarked } from '../../operator/plan/node-marks.ts';
import { doneByOthers, statusLies } from '../../operator/plan/status-laws.fixture.ts';
import { settings } from '../../operator/plan/world.fixture.ts';
import type { SimulatedApi, Snapshot } from './api.ts';
import type { OperatorVariant } from './variants.ts';

const log = createLogger({ silent: true, transports: [new transports.Console({ silent: true })] });
const metrics = operatorMetrics({ pairs: () => [], queueLength: () => 0, leading: () => true });

/** Plurals of the kinds that it watches, each by a stream of its own. */
export const watched = [
  'pods',
  'leases',
  'filerpairs',
  'filerpairoperations',
  'filerdisksets',
  'persistentvolumeclaims',
  'volumeattachments',
  'nodes',
] as const;
type Watched = (typeof watched)[number];

/** A request that waits for the API server. */
export interface Request {
  readonly what: string;
  readonly resource: Resource;
  readonly name: string;
  readonly verb: 'get' | 'list' | 'create' | 'apply' | 'mergePatch' | 'delete';
  readonly body: KubernetesObject | undefined;
  /** UID for a deletion: only the object with it is deleted. */
  readonly uid: string | undefined;
  /** Carried out: its answer, or an error, reaches the operator. */
  readonly serve: () => void;
  /** Carried out, and the answer never comes. */
  readonly loseAnswer: () => void;
}

export interface OperatorAround {
  readonly api: SimulatedApi;
  /** The part that does not belong to the model's caches: it stays as it is. */
  readonly template: Observed;
  readonly now: () => number;
  /** Decides about everything, not only about what moves disks. */
  readonly whole: boolean;
  readonly variant: OperatorVariant | null;
  /** Before a request is carried out. May refuse it. */
  readonly onRequest: (operator: SimulatedOperator, request: Request) => void;
  readonly onLie: (lie: string) => void;
  /** PersistentVolumes have no fences that change. */
  readonly fenceOf: (volume: string) => Observed['volumeFences'][string];
}

/** A condition that lasts is told, and looked at again after this long. ms */
const PROBLEM_RETRY_MS = 15_000;

export class SimulatedOperator {
  readonly name: string;
  /** Leads, by its own belief. */
  active = false;
  requests: Request[] = [];
  /** By home: the epoch that the Lease had when this run looked at it past the cache, or wrote to it. */
  readonly confirmed = new Map<string, number>();
  /** Whose claim the present plan has seen, past the cache, not to be deleted. */
  readonly claimsKept = new Set<string>();
  /** The claim of which the present plan was made without knowing what became of it; null: none. */
  claimWasUnknown: string | null = null;
  /** Names of pods that the present plan deletes because their node is said to be gone. */
  nodeSaidGone: ReadonlySet<string> = new Set();
  /** Nodes of which the present plan has seen, past the cache, that there are none. */
  readonly nodesMissing = new Set<string>();
  readonly #around: OperatorAround;
  #executor: Executor;
  readonly #brake: WriteBrake;
  #seen = new Map<Watched, Snapshot>();
  #nodes: Observed['nodes'] = {};
  #readiness = new Map<string, { readonly is: string; readonly since: number }>();
  #nodesGone = new Map<string, number>();
  #claimUnknown: string | null = null;
  #problems: readonly Problem[] = [];
  #changed = true;
  #wakeAt: number | null = null;
  #busy = false;
  /** Grows when the instance is killed: what an earlier life awaited never comes. */
  #life = 0;

  constructor(name: string, around: OperatorAround) {
    this.name = name;
    this.#around = around;
    this.#brake = new WriteBrake(around.now);
    this.#executor = new Executor(this.#client(), name);
    this.lookAtAll();
  }

  /** Kinds whose cache is not up to date. */
  behind(): Watched[] {
    return watched.filter((kind) => this.#seen.get(kind) !== this.#around.api.snapshot(kind));
  }

  see(kind: Watched): void {
    this.#seen.set(kind, this.#around.api.snapshot(kind));
    this.#changed = true;
    if (kind === 'nodes') this.#seeNodes();
  }

  lookAtAll(): void {
    for (const kind of watched) this.see(kind);
  }

  /** The next look finds that the API does not say what became of this claim. */
  losesSightOf(claim: string): void {
    this.#claimUnknown = claim;
    this.#changed = true;
  }

  killed(): void {
    this.#life += 1;
    this.requests = [];
    // The answer that it awaited never comes, and nobody of the new life waits for it.
    this.#executor = new Executor(this.#client(), this.name);
    this.#busy = false;
    this.#problems = [];
    this.#readiness.clear();
    this.#nodesGone.clear();
    this.lookAtAll();
  }

  /** Nothing to do before something changes, or time passes. */
  isIdle(): boolean {
    return !this.#busy && !this.mayLook();
  }

  mayLook(): boolean {
    const due = this.#wakeAt !== null && this.#wakeAt <= this.#around.now();
    return this.active && !this.#busy && (this.#changed || due);
  }

  /** When it looks again although nothing has changed, ms since the epoch; null: not by itself. */
  get wakesAt(): number | null {
    return this.active && !this.#busy ? this.#wakeAt : null;
  }

  /** One look: decides, and begins to carry out. Its requests wait in `requests`. */
  look(): void {
    this.#changed = false;
    this.#wakeAt = null;
    this.confirmed.clear();
    this.claimsKept.clear();
    this.nodesMissing.clear();
    const observed = this.#observe();
    const plan = this.#decide(observed);
    const actions = this.#around.variant?.wants?.(plan.actions, observed) ?? plan.actions;
    for (const lie of doneByOthers(observed, { actions })) this.#around.onLie(lie);
    this.#wakeAt = plan.wakeAt;
    this.nodeSaidGone = new Set(
      actions.flatMap((one) => (one.kind === 'delete' && one.why.includes('is gone from') ? [one.name] : [])),
    );
    if (actions.length === 0 && plan.status === null) return;
    this.#busy = true;
    void this.#carryOut(observed, { ...plan, actions }, this.#life);
  }

  async #carryOut(observed: Observed, plan: Plan, life: number): Promise<void> {
    const { pair } = observed;
    const brake = this.#brake;
    const options = {
      executor: this.#executor,
      brake,
      log,
      metrics,
      mayAct: () => this.active && life === this.#life,
    };
    const run = new PlanRun(options, 'storage/home', pair);
    if (this.#around.variant?.stopsAtRefusal === true) {
      for (const action of plan.actions) if (!run.failed) await run.carryOut([action]);
    } else await run.carryOut(plan.actions);
    await this.#tell(pair, observed, plan, run.cutShort ? this.#problems : run.problems);
    if (life !== this.#life) return;
    this.#busy = false;
    if (run.errors.length > 0) this.#changed = true;
    if (run.heldMs !== null)
      this.#wakeAt = Math.min(this.#wakeAt ?? Number.POSITIVE_INFINITY, this.#around.now() + run.heldMs);
    if (run.problems.length > 0)
      this.#wakeAt = Math.min(
        this.#wakeAt ?? Number.POSITIVE_INFINITY,
        this.#around.now() + PROBLEM_RETRY_MS,
      );
  }

  async #tell(
    pair: FilerPairObject | null,
    observed: Observed,
    plan: Plan,
    problems: readonly Problem[],
  ): Promise<void> {
    const same = problems.length === 0 && this.#problems.length === 0;
    this.#problems = problems;
    if (!this.#around.whole || pair === null || !this.active) return;
    const { status } = same ? plan : decide({ ...observed, problems }, settings, this.#around.now());
    if (status === null) return;
    const told = this.#around.variant?.tells?.(status, observed) ?? status;
    await this.#executor.writeStatus(pair, told).catch(() => {
      this.#changed = true;
    });
  }

  #decide(observed: Observed): Plan {
    const now = this.#around.now();
    if (this.#around.whole) {
      const plan = decide(observed, settings, now);
      const { variant } = this.#around;
      const status = plan.status ?? observed.pair?.status ?? null;
      const told = status === null ? null : (variant?.tells?.(status, observed) ?? status);
      for (const lie of statusLies(observed, { ...plan, status: told })) this.#around.onLie(lie);
      return { ...plan, actions: [...plan.actions, ...nodesUnmarked(observed.nodes)] };
    }
    const { pair } = observed;
    if (pair === null) return { ...nothing, actions: nodesUnmarked(observed.nodes) };
    const known = viewPair({ ...observed, pair }, specOf(pair), settings, now);
    if (known === null) throw new Error('nobody says what holds for the volumes');
    const view = assess(known);
    const due = [mountsDueAt(view), lostNodesDueAt(view), refutedPowerOffsDueAt(view)].filter(
      (at) => at !== null,
    );
    const actions: Action[] = [
      ...urgentActions(view),
      ...nodesMarked(view),
      ...nodesUnmarked(observed.nodes),
    ];
    const wakeAt = due.length === 0 ? null : Math.min(...due);
    return { ...nothing, actions, wakeAt };
  }

  #observe(): Observed {
    const { template, api, variant } = this.#around;
    const pods = this.#cached<Pod>('pods');
    const found: Record<string, Node> = {};
    const gone: Record<string, number> = {};
    for (const { spec } of pods) {
      const name = spec?.nodeName;
      if (name === undefined || this.#nodes[name] !== undefined) continue;
      // Asked past the cache.
      const node = api.find<Node>('nodes', name);
      if (variant?.asksForNodes === false) gone[name] = 0;
      else if (node !== undefined) found[name] = node;
      else gone[name] = this.#nodesGone.get(name) ?? this.#around.now();
    }
    this.#nodesGone = new Map(Object.entries(gone));
    const claims = Object.fromEntries(
      this.#cached('persistentvolumeclaims').map((claim) => [claim.metadata.name ?? '', claim]),
    ) as Observed['claims'];
    const unknown = this.#claimUnknown === null ? {} : { [this.#claimUnknown]: 'unknown' as const };
    if (this.#claimUnknown !== null) this.#changed = true;
    this.claimWasUnknown = this.#claimUnknown;
    this.#claimUnknown = null;
    const volumes = Object.values(claims).flatMap((claim) =>
      typeof claim === 'object' ? (claim.spec?.volumeName ?? []) : [],
    );
    const whole = this.#around.whole
      ? Object.fromEntries(
          (
            [
              'services',
              'endpointSlices',
              'configMaps',
              'serviceAccounts',
              'roles',
              'roleBindings',
              'podDisruptionBudgets',
            ] as const
          ).map((kind) => [kind, api.snapshot(resources[kind].plural)]),
        )
      : {};
    const observed: Observed = {
      ...template,
      ...whole,
      pair: this.#cached<FilerPairObject>('filerpairs')[0] ?? null,
      pods,
      leases: this.#cached('leases'),
      filerPairOperations: this.#cached('filerpairoperations'),
      filerDiskSets: this.#cached('filerdisksets'),
      claims: { ...claims, ...unknown },
      volumeAttachments: this.#cached('volumeattachments'),
      volumeFences: Object.fromEntries(volumes.map((volume) => [volume, this.#around.fenceOf(volume)])),
      nodes: { ...this.#nodes, ...found },
      readinessSince: Object.fromEntries([...this.#readiness].map(([name, { since }]) => [name, since])),
      nodesGone: gone,
      problems: this.#problems,
    };
    return variant?.hears?.(observed) ?? observed;
  }

  #cached<T extends KubernetesObject>(kind: Watched): readonly T[] {
    return (this.#seen.get(kind) ?? []) as readonly T[];
  }

  #seeNodes(): void {
    const nodes = this.#cached<Node>('nodes');
    this.#nodes = Object.fromEntries(nodes.map((node) => [node.metadata.name ?? '', node]));
    const before = this.#readiness;
    this.#readiness = new Map(
      nodes.map(({ metadata: { name = '', uid }, status }) => {
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        const is = `${uid} ${ready?.status} ${ready?.lastTransitionTime}`;
        const known = before.get(name);
        return [name, known?.is === is ? known : { is, since: this.#around.now() }];
      }),
    );
  }

  /** Client of the executor: each call waits in `requests`. */
  #client(): KubernetesClient {
    const ask = <T>(
      verb: Request['verb'],
      resource: Resource,
      name: string,
      body: KubernetesObject | undefined,
      work: (api: SimulatedApi) => T,
      uid?: string,
    ): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        const carryOut = (): (() => void) => {
          this.requests = this.requests.filter((one) => one !== request);
          try {
            this.#around.onRequest(this, request);
            const answer = work(this.#around.api);
            return () => resolve(answer);
          } catch (error) {
            return () => reject(error);
          }
        };
        const lost = new ApiError({ outcome: 'unknown', reason: 'Timeout', message: 'no answer' });
        const request: Request = {
          what: `${verb} ${resource.plural} ${name}`,
          verb,
          resource,
          name,
          body,
          uid,
          serve: () => carryOut()(),
          loseAnswer: () => {
            carryOut();
            reject(lost);
          },
        };
        this.requests.push(request);
      });
    return {
      get: (resource: Resource, at: { name: string }) =>
        ask('get', resource, at.name, undefined, (api) => api.get(resource, at)),
      list: (resource: Resource) => ask('list', resource, '', undefined, (api) => api.list(resource)),
      create: (resource: Resource, object: KubernetesObject, options?: { dryRun?: boolean }) =>
        ask('create', resource, object.metadata.name ?? '', object, (api) =>
          options?.dryRun || resource.kind === 'Event' ? object : api.create(resource, object),
        ),
      apply: (resource: Resource, object: KubernetesObject) =>
        ask('apply', resource, object.metadata.name ?? '', object, (api) => api.apply(resource, object)),
      mergePatch: (resource: Resource, at: { name: string }, patch: KubernetesObject) =>
        ask('mergePatch', resource, at.name, patch, (api) => api.mergePatch(resource, at, patch as never)),
      delete: (resource: Resource, at: { name: string }, expected: { uid?: string } = {}) =>
        ask(
          'delete',
          resource,
          at.name,
          undefined,
          (api) => api.delete(resource, at, expected),
          expected.uid,
        ),
    } as unknown as KubernetesClient;
  }
}

const specs = new WeakMap<object, ReturnType<typeof filerPairSpec.parse>>();

function specOf({ spec }: FilerPairObject): ReturnType<typeof filerPairSpec.parse> {
  let parsed = specs.get(spec);
  if (parsed === undefined) specs.set(spec, (parsed = filerPairSpec.parse(spec)));
  return parsed;
}
