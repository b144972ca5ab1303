/**
 * The loop: something changed -> observe -> decide -> execute. Holds no knowledge of its own but the last problems of each
 * pair, so it may be killed at any moment.
 */

import type { Logger } from 'winston';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import { ApiError, isConflict, isNotFound } from '../../kubernetes/api-error.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { type Executor, isNamespaceEnding } from '../apply/executor.ts';
import { PlanRun } from '../apply/plan-run.ts';
import { type Contested, WriteBrake } from '../apply/write-brake.ts';
import { countTransition, type OperatorMetrics } from '../metrics/metrics.ts';
import type { Plan } from '../model/action.ts';
import { mismatches } from '../model/matches.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { Observed, OperatorSettings, Problem } from '../model/observed.ts';
import { decide, earliest } from '../plan/decide.ts';
import { nodesUnmarked } from '../plan/node-marks.ts';
import type { Caches } from '../watch/caches.ts';
import { keyOf } from '../watch/cluster-copy.ts';
import { NODES_KEY } from '../watch/concerned-pairs.ts';
import { FleetRollout } from './fleet-rollout.ts';
import { WorkQueue } from './work-queue.ts';

/** Every pair is reconciled this often, in case a change was missed. That reads caches, and writes nothing if all is well. */
const RESYNC_MS = 10 * 60_000;
/** A name that is taken, or a missing right, is rarely mended within seconds; a change of the pair is reconciled at once anyway. */
const PROBLEM_RETRY_MS = 15_000;

export class Controller {
  readonly #caches: Caches;
  readonly #executor: Executor;
  readonly #settings: OperatorSettings;
  readonly #log: Logger;
  readonly #metrics: OperatorMetrics;
  readonly #mayAct: () => boolean;
  readonly #queue: WorkQueue;
  readonly #wave: FleetRollout;
  readonly #brake = new WriteBrake();
  readonly #problems = new Map<string, readonly Problem[]>();
  /** Refusals of the API server for each pair, by object. */
  readonly #refused = new Map<string, ReadonlyMap<string, Problem>>();
  #resync: NodeJS.Timeout | undefined;
  #active = false;

  constructor(
    caches: Caches,
    executor: Executor,
    settings: OperatorSettings,
    log: Logger,
    metrics: OperatorMetrics,
    /** Asked before everything that is written: false where another instance may lead. */
    mayAct: () => boolean,
  ) {
    this.#mayAct = mayAct;
    this.#metrics = metrics;
    this.#caches = caches;
    this.#executor = executor;
    this.#settings = settings;
    this.#log = log;
    this.#wave = new FleetRollout(
      () => pairsByKey(caches),
      this.#imageOf,
      (key) => this.wake(key),
    );
    this.#queue = new WorkQueue({
      work: (key) => this.#measured(key),
      onFailure: (key, error, retryInMs) => this.#failed(key, error, retryInMs),
      // A worker waits for the API most of the time. When a node dies, many pairs have to be reconciled at once.
      concurrency: 16,
      retryMsMin: 100,
      retryMsMax: 30_000,
    });
  }

  #imageOf = (pair: FilerPairObject): string =>
    this.#caches.imageOfClass(pair) ?? this.#settings.fileserverImage;

  get queueLength(): number {
    return this.#queue.waiting;
  }

  /** Problems with requests that the API server refused in a pair's last reconcile. */
  problemsOf(key: string): readonly Problem[] {
    return this.#problems.get(key) ?? [];
  }

  /** Something about this pair changed. Before start() it is not worked on. */
  wake(key: string): void {
    if (this.#active) this.#queue.add(key);
  }

  start(): void {
    this.#active = true;
    const all = (): void => {
      this.#caches.forgetSecrets();
      for (const key of this.#caches.keys()) this.#queue.add(key);
      this.#queue.add(NODES_KEY);
    };
    all();
    this.#resync = setInterval(all, RESYNC_MS);
  }

  async stop(): Promise<void> {
    this.#active = false;
    clearInterval(this.#resync);
    await this.#queue.stop();
  }

  async #measured(key: string): Promise<number | null> {
    const stop = this.#metrics.reconcileSeconds.startTimer();
    try {
      const waitMs = await this.#reconcile(key);
      this.#metrics.reconciles.inc({ result: this.#problems.has(key) ? 'problem' : 'done' });
      return waitMs;
    } catch (error) {
      this.#metrics.reconciles.inc({ result: 'retry' });
      throw error;
    } finally {
      stop();
    }
  }

  async #reconcile(key: string): Promise<number | null> {
    if (key === NODES_KEY) return this.#unmarkNodes();
    const [namespace = '', name = ''] = key.split('/');
    const known = this.#problems.get(key) ?? [];
    const seen = await this.#caches.observe(namespace, name, known);
    const now = Date.now();
    const image = seen.pair === null ? '' : this.#imageOf(seen.pair);
    const observed = { ...seen, others: this.#wave.others(key, image, now) };
    const plan = decide(observed, this.#settings, now);
    this.#noteRollout(key, observed, plan);
    this.#caches.ask(key, plan.lookups);
    const run = this.#planRun(key, observed.pair);
    const first = plan.actions.filter(({ urgent }) => urgent);
    await run.carryOut(first);
    // After the death of a node many pairs have lost a server: what their clients wait for goes before the rest of this pair's work.
    const rest = plan.actions.slice(first.length);
    if (first.length > 0 && rest.length > 0 && this.#queue.waiting > 0 && !run.failed) {
      this.#queue.add(key);
      return null;
    }
    await run.carryOut(rest);
    const contested = this.#brake.contested(key);
    if (observed.pair === null) this.#refused.delete(key);
    else if (!run.cutShort) this.#refused.set(key, run.problemsByObject);
    const problems = run.cutShort ? known.filter(({ concerns }) => concerns !== 'contested') : run.problems;
    const toldInMs = await this.#tellAll(key, observed, plan, [...problems, ...contestedProblem(contested)]);
    if (run.errors.length > 0) this.#raise(key, run.errors);
    return earliest([
      plan.wakeAt === null ? null : Math.max(0, plan.wakeAt - now) + 10,
      run.problems.length === 0 ? null : PROBLEM_RETRY_MS,
      run.heldMs,
      contested === null ? null : contested.calmInMs,
      toldInMs,
      // Writing the status has become contested; the next status says so.
      contested === null && this.#brake.contested(key) !== null ? 0 : null,
    ]);
  }

  /** In the same turn as the decision: two pairs must not both take the last turn of a wave. */
  #noteRollout(key: string, { pair, pods }: Observed, { rollout }: Plan): void {
    if (pair === null) {
      this.#wave.forget(key);
      return;
    }
    const servers = pods.filter(({ metadata }) => metadata.labels?.[labels.server] !== undefined);
    this.#wave.note(key, rollout, servers, pods);
  }

  /** Belongs to no pair: a node's mark outlives the pair that it was set for. */
  async #unmarkNodes(): Promise<number | null> {
    const run = this.#planRun(NODES_KEY, null);
    await run.carryOut(nodesUnmarked(this.#caches.nodes()));
    if (run.errors.length > 0) this.#raise(NODES_KEY, run.errors);
    return earliest([run.problems.length === 0 ? null : PROBLEM_RETRY_MS, run.heldMs]);
  }

  #planRun(key: string, pair: FilerPairObject | null): PlanRun {
    return new PlanRun(
      {
        executor: this.#executor,
        log: this.#log,
        metrics: this.#metrics,
        mayAct: this.#mayAct,
        brake: this.#brake,
        // Whether it succeeds or not: what is known of the pair's Secrets is out of date.
        onAction: ({ resource }) => {
          if (resource === 'secrets') this.#caches.forgetSecrets(pair?.metadata.uid);
        },
      },
      key,
      pair,
      this.#refused.get(key),
    );
  }

  /** Throws the first, so that the queue tries again; the others are told here. */
  #raise(key: string, [first, ...others]: readonly unknown[]): never {
    for (const error of others) this.#logFailure(key, error, 'it is tried again');
    throw first;
  }

  /** Refusals are told in the same words as in the log. Returns as #tell does. */
  async #tellAll(
    key: string,
    observed: Observed,
    plan: Plan,
    problems: readonly Problem[],
  ): Promise<number | null> {
    if (problems.length === 0 || observed.pair === null) this.#problems.delete(key);
    else this.#problems.set(key, problems);
    const same = problems.length === 0 && observed.problems.length === 0;
    return this.#tell(
      observed.pair,
      same ? plan : decide({ ...observed, problems }, this.#settings, Date.now()),
    );
  }

  /** Returns ms until a status that was written too often may be written again; null: it is told. */
  async #tell(pair: FilerPairObject | null, { status, events, transitions }: Plan): Promise<number | null> {
    if (pair === null || !this.#mayAct()) return null;
    const { namespace = '', name = '' } = pair.metadata;
    if (status !== null) {
      const key = keyOf(namespace, name);
      const object = `the status of FilerPair ${key}`;
      const tells = { seen: pair.metadata.resourceVersion };
      const fields = toldOtherwise(status, pair.status);
      const waitMs = this.#brake.take({ owner: key, object, content: status, fields, tells });
      if (waitMs > 0) return waitMs;
      this.#brake.wrote(object, await this.#executor.writeStatus(pair, status));
      for (const transition of transitions) countTransition(this.#metrics, { namespace, name }, transition);
    }
    for (const event of events) {
      this.#log.log(event.type === 'Warning' ? 'warn' : 'info', event.note, {
        pair: keyOf(namespace, name),
        reason: event.reason,
        ...(event.transition === undefined ? {} : { transition: event.transition }),
      });
      await this.#executor.recordEvent(pair, event);
    }
    return null;
  }

  #failed(key: string, error: unknown, retryInMs: number): void {
    this.#logFailure(key, error, `trying again in ${Math.round(retryInMs)} ms`);
  }

  #logFailure(key: string, error: unknown, then: string): void {
    this.#metrics.errors.inc({ reason: error instanceof ApiError ? error.reason : 'Bug' });
    if (!(error instanceof ApiError)) {
      this.#log.error(`a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
        pair: key,
      });
      return;
    }
    // Somebody wrote or deleted at the same time; the next reconcile sees it.
    const level = isConflict(error) || isNotFound(error) || isNamespaceEnding(error) ? 'debug' : 'warn';
    this.#log.log(level, `${error.message}; ${then}`, {
      pair: key,
      reason: error.reason,
      outcome: error.outcome,
    });
  }
}

function contestedProblem(found: Contested | null): Problem[] {
  if (found === null) return [];
  const message = `Somebody changes back what the operator writes: ${found.objects.join(', ')}. It is written once in 10 s from now on. Look for another controller, an admission webhook, or an operator of another version.`;
  return [{ reason: 'Contested', message, concerns: 'contested' }];
}

/** Fields of a status that have changed, their times apart. */
const toldOtherwise = (wanted: FilerPairStatus, seen: FilerPairStatus | undefined): string[] =>
  mismatches(wanted, seen ?? {}).filter((field) => !field.endsWith('Time'));

function* pairsByKey(caches: Caches): Iterable<readonly [string, FilerPairObject]> {
  for (const pair of caches.pairs())
    yield [keyOf(pair.metadata.namespace ?? '', pair.metadata.name ?? ''), pair];
}
