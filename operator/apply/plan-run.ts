/**
 * One attempt to carry out the actions of a plan. An action that fails holds up only the actions that need it: the rest of the
 * plan goes on, so that one refused object never keeps a dead server from being replaced.
 */

import type { Logger } from 'winston';
import { ApiError } from '../../kubernetes/api-error.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { MergePatch } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import type { OperatorMetrics } from '../metrics/metrics.ts';
import type { Action } from '../model/action.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { Problem } from '../model/observed.ts';
import { ExecutionProblem, type Executor, nameOf } from './executor.ts';
import type { Write, WriteBrake } from './write-brake.ts';

export interface PlanRunOptions {
  readonly executor: Executor;
  readonly log: Logger;
  readonly metrics: OperatorMetrics;
  /** Asked before everything that is written: false where another instance may lead. */
  readonly mayAct: () => boolean;
  /** Keeps each object from being written in a loop. */
  readonly brake: WriteBrake;
  /** Told before each action. */
  readonly onAction?: (action: Action) => void;
}

export class PlanRun {
  readonly #options: PlanRunOptions;
  /** Subject of log lines: the pair, or what else the run is about. */
  readonly #key: string;
  readonly #pair: FilerPairObject | null;
  /** Problems of the attempt before. */
  readonly #known: ReadonlyMap<string, Problem>;
  readonly #failedParts = new Set<string>();
  readonly #problems = new Map<string, Problem>();
  readonly #errors: unknown[] = [];
  #cutShort = false;
  #heldMs: number | null = null;

  constructor(
    options: PlanRunOptions,
    key: string,
    pair: FilerPairObject | null,
    known: ReadonlyMap<string, Problem> = new Map(),
  ) {
    this.#options = options;
    this.#key = key;
    this.#pair = pair;
    this.#known = known;
  }

  /** Refusals for a reason that stays. A write that is held back counts as before: a status must not change with each try. */
  get problems(): readonly Problem[] {
    return [...this.#problems.values()];
  }

  /** The same, for the next attempt. */
  get problemsByObject(): ReadonlyMap<string, Problem> {
    return this.#problems;
  }

  /** Errors of actions that may work the next time, the first first: ApiError, or a bug. */
  get errors(): readonly unknown[] {
    return this.#errors;
  }

  /** When the first write that was held back may be made, ms from now; null: none was. */
  get heldMs(): number | null {
    return this.#heldMs;
  }

  get failed(): boolean {
    return this.#problems.size + this.#errors.length > 0 || this.#heldMs !== null;
  }

  /** Some actions were not tried, so that nothing is known of them. */
  get cutShort(): boolean {
    return this.#cutShort;
  }

  async carryOut(actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      if (!this.#options.mayAct()) this.#cutShort = true;
      if (this.#cutShort) return;
      if (action.needs?.some((part) => this.#failedParts.has(part))) this.#failedPart(action);
      else await this.#attempt(action);
    }
  }

  async #attempt(action: Action): Promise<void> {
    const { executor, log, metrics, brake, onAction } = this.#options;
    const { kind, resource, why } = action;
    const about = { pair: this.#key, action: kind, resource };
    const write = isWrite(action) ? writeOf(this.#key, action) : null;
    const object = write?.object ?? `${kind} ${resources[resource].kind} ${nameOf(action)}`;
    const waitMs = write === null ? 0 : brake.take(write);
    if (waitMs > 0) {
      this.#failedPart(action);
      const before = this.#known.get(object);
      if (before !== undefined) this.#problems.set(object, before);
      this.#heldMs = Math.min(this.#heldMs ?? waitMs, waitMs);
      metrics.errors.inc({ reason: 'Contested' });
      log.warn(
        `${kind} ${resource} ${nameOf(action)} is held back for ${waitMs} ms: it was written too often`,
        about,
      );
      return;
    }
    onAction?.(action);
    try {
      const version = await executor.execute(action);
      if (write !== null) brake.wrote(write.object, version);
    } catch (error) {
      this.#failedPart(action);
      if (error instanceof ExecutionProblem) {
        const { reason, message } = error.problem;
        this.#problems.set(object, error.problem);
        metrics.errors.inc({ reason });
        log.error(message, { ...about, reason });
      } else {
        this.#errors.push(error);
        this.#cutShort = concernsTheWholeApi(error);
      }
      return;
    }
    metrics.actions.inc({ action: kind, resource });
    log.info(`${kind} ${resource} ${nameOf(action)}: ${why}`, about);
    if (action.event !== undefined)
      await executor
        .recordEvent(this.#pair, action.event)
        .catch((error: unknown) => this.#errors.push(error));
  }

  #failedPart({ part }: Action): void {
    if (part !== undefined) this.#failedParts.add(part);
  }
}

const isWrite = ({ kind }: Action): boolean => kind !== 'check' && !kind.startsWith('confirm');

/** New pods of a server have names of their own, and what comes after the end of the last one repeats it. */
function writeOf(owner: string, action: Action): Write {
  const object = `${resources[action.resource].kind} ${nameOf(action)}`;
  switch (action.kind) {
    case 'apply':
      return { owner, object, content: action.object, fields: action.differing };
    case 'applyStatus':
      return { owner, object, content: action.object };
    case 'patch':
      return { owner, object, content: action.patch, fields: fieldsOf(action.patch) };
    case 'create': {
      const { namespace, labels: made } = action.object.metadata;
      const server = action.resource === 'pods' ? made?.[labels.server] : undefined;
      if (server === undefined) return { owner, object, content: action.object };
      return {
        owner,
        object: `new pods of ${namespace}/${made?.[labels.pair]}/${server}`,
        content: action.kind,
      };
    }
    default:
      return { owner, object, content: action.kind };
  }
}

/** `metadata.labels`: what a patch of an object is about. */
const fieldsOf = (patch: MergePatch): string[] =>
  Object.entries(patch).flatMap(([part, members]) =>
    Object.keys(members ?? {})
      .filter((name) => name !== 'resourceVersion' && name !== 'uid')
      .map((name) => `${part}.${name}`),
  );

/** No connection, or throttled: what comes next would fail too, and only make it worse. */
const concernsTheWholeApi = (error: unknown): boolean =>
  error instanceof ApiError && (error.outcome === 'notSent' || error.status === 429);
