// The loop: something changed -> observe -> decide -> execute. Holds no knowledge of its own but the last problem of
// each pair, so it may be killed at any moment.

import type { Logger } from 'winston';
import { ApiError, isConflict, isNotFound } from '../../kubernetes/api-error.ts';
import { decide } from '../decide/decide.ts';
import type { Action, Plan } from '../decide/plan.ts';
import { newTransitions } from '../decide/status.ts';
import { ExecutionProblem, type Executor, isNamespaceEnding, nameOf } from '../execute/executor.ts';
import { type Caches, keyOf } from '../observe/caches.ts';
import type { FilerPairObject } from '../observe/objects.ts';
import type { Observed, OperatorSettings, Problem } from '../observe/observed.ts';
import { countTransition, type OperatorMetrics } from './metrics.ts';
import { WorkQueue } from './work-queue.ts';

/** Everything is looked at again this often, in case that something got lost. Reads caches; writes nothing if all is well. */
const resyncMs = 10 * 60_000;
/** A name taken or a right missing is rarely put right in seconds; changes of the pair wake it at once anyway. */
const problemRetryMs = 15_000;

export class Controller {
  readonly #caches: Caches;
  readonly #executor: Executor;
  readonly #settings: OperatorSettings;
  readonly #log: Logger;
  readonly #metrics: OperatorMetrics;
  readonly #mayAct: () => boolean;
  readonly #queue: WorkQueue;
  readonly #problems = new Map<string, Problem>();
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
    this.#queue = new WorkQueue({
      work: (key) => this.#measured(key),
      onFailure: (key, error, retryInMs) => this.#failed(key, error, retryInMs),
      // Each of them waits for the API most of the time; when a node dies, many pairs have to be looked at at once.
      concurrency: 16,
      retryMsMin: 100,
      retryMsMax: 30_000,
    });
  }

  get queueLength(): number {
    return this.#queue.waiting;
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
    };
    all();
    this.#resync = setInterval(all, resyncMs);
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
    const [namespace = '', name = ''] = key.split('/');
    const observed = await this.#caches.observe(namespace, name, this.#problems.get(key) ?? null);
    const now = Date.now();
    const plan = decide(observed, this.#settings, now);
    this.#caches.ask(key, plan.questions);
    const first = plan.actions.filter(({ urgent }) => urgent);
    // A node dies, and many pairs have lost a server: the rest of this one's work waits until the others' clients don't.
    const inTurn = first.length > 0 && first.length < plan.actions.length && this.#queue.waiting > 0;
    const problem = await this.#carryOut(key, observed.pair, inTurn ? first : plan.actions);
    if (inTurn && problem === null) {
      this.#queue.add(key);
      return null;
    }
    if (observed.pair === null) this.#problems.delete(key);
    if (problem !== null || this.#problems.has(key)) await this.#tellProblem(key, observed, problem);
    else await this.#tell(observed.pair, plan);
    const wakeMs = plan.wakeAt === null ? null : Math.max(0, plan.wakeAt - now) + 10;
    return problem === null ? wakeMs : Math.min(problemRetryMs, wakeMs ?? problemRetryMs);
  }

  /** Returns what stopped it, if that has to be told; throws what may work the next time. */
  async #carryOut(
    key: string,
    pair: FilerPairObject | null,
    actions: readonly Action[],
  ): Promise<Problem | null> {
    for (const action of actions) {
      if (!this.#mayAct()) return null;
      const { kind, resource, why } = action;
      // Whatever becomes of it: what was seen of them is out of date.
      if (resource === 'secrets') this.#caches.forgetSecrets(pair?.metadata.uid);
      try {
        await this.#executor.execute(action);
      } catch (error) {
        if (!(error instanceof ExecutionProblem)) throw error;
        this.#metrics.errors.inc({ reason: error.problem.reason });
        this.#log.error(error.problem.message, {
          pair: key,
          action: kind,
          resource,
          reason: error.problem.reason,
        });
        return error.problem;
      }
      this.#metrics.actions.inc({ action: kind, resource });
      this.#log.info(`${kind} ${resource} ${nameOf(action)}: ${why}`, { pair: key, action: kind, resource });
      if (action.event !== undefined && pair !== null) await this.#executor.tell(pair, action.event);
    }
    return null;
  }

  /** A problem began, changed or ended: the status says so in the same words as the log. */
  async #tellProblem(key: string, observed: Observed, problem: Problem | null): Promise<void> {
    if (problem === null) this.#problems.delete(key);
    else this.#problems.set(key, problem);
    await this.#tell(observed.pair, decide({ ...observed, problem }, this.#settings, Date.now()));
  }

  async #tell(pair: FilerPairObject | null, { status, events }: Plan): Promise<void> {
    if (pair === null || !this.#mayAct()) return;
    if (status !== null) {
      await this.#executor.writeStatus(pair, status);
      for (const transition of newTransitions(pair.status, status))
        countTransition(this.#metrics, transition);
    }
    for (const event of events) {
      const { namespace = '', name = '' } = pair.metadata;
      this.#log.log(event.type === 'Warning' ? 'warn' : 'info', event.note, {
        pair: keyOf(namespace, name),
        reason: event.reason,
      });
      await this.#executor.tell(pair, event);
    }
  }

  #failed(key: string, error: unknown, retryInMs: number): void {
    this.#metrics.errors.inc({ reason: error instanceof ApiError ? error.reason : 'Bug' });
    if (!(error instanceof ApiError)) {
      this.#log.error(`a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
        pair: key,
      });
      return;
    }
    // Somebody wrote or deleted at the same time; the next look sees it.
    const level = isConflict(error) || isNotFound(error) || isNamespaceEnding(error) ? 'debug' : 'warn';
    this.#log.log(level, `${error.message}; trying again in ${Math.round(retryInMs)} ms`, {
      pair: key,
      reason: error.reason,
      outcome: error.outcome,
    });
  }
}
