/**
 * Whatever another controller does, no object is written in a hot loop. A webhook that takes a change back, or an operator of
 * another version that wants the object otherwise, answers each write with a change that makes the next reconcile, and so the
 * next write.
 */

import { isOlder } from '../../kubernetes/resource-version.ts';
import { fingerprint } from '../model/fingerprint.ts';

// A write that repeats one before it was refused, or somebody has undone it. It may be made so many times at once, and from then on
// once in a while, until the object has been left alone for long enough. Writes that differ are news, as the many statuses of a
// pair that starts on a slow machine. They have a limit of their own, in case that somebody else's changes make them.

/** So many repetitions of a write are made at once. */
const REPETITIONS_AT_ONCE = 20;
/** One more may be made after this long. ms */
const REPETITION_REFILL_MS = 10_000;
/** The object counts as contested until so many could be made at once again. */
const CALM_REPETITIONS = 10;
/** So many writes that differ are made at once: a start needs about twenty of the pair's status. */
const NEWS_AT_ONCE = 100;
const NEWS_REFILL_MS = 1000;
/** After this long of peace every object may be written as often as at first. */
const FORGOTTEN_MS = REPETITIONS_AT_ONCE * REPETITION_REFILL_MS;
/** Limit for one object. */
const FIELDS_TOLD = 5;
/** So many different writes of an object are remembered. */
const REMEMBERED = 8;

/** A write that is about to be made. */
export interface Write {
  /** Whose work it is: a pair. */
  readonly owner: string;
  /** Name of the written object, as people are told it. */
  readonly object: string;
  /** As the API server gets it. */
  readonly content: unknown;
  /** Names of what was found otherwise, for people. */
  readonly fields?: readonly string[] | undefined;
  /** A status comes back to what it was when the pair does: only a repetition of the last one counts. */
  readonly tells?: {
    /** resourceVersion of the copy from which it was decided. */
    readonly seen: string | undefined;
  };
}

/** Outcome of a write: whether it was carried out, and the resourceVersion of the object since. */
interface Outcome {
  readonly done: boolean;
  readonly version: string | undefined;
}

interface Budget {
  readonly owner: string;
  readonly repetitions: Bucket;
  readonly news: Bucket;
  /** By content, the latest last. */
  readonly written: Map<string, Outcome>;
  /** The write that was let through last, and what had become of the same before. */
  last: { readonly content: string; readonly before: Outcome | null };
  /** Fields that somebody keeps undoing; null: nobody does. */
  undone: readonly string[] | null;
}

export interface Contested {
  /** Objects, with the fields that are undone. */
  readonly objects: readonly string[];
  /** When the next of them counts as left alone if nobody writes it, ms from now. */
  readonly calmInMs: number;
}

export class WriteBrake {
  readonly #now: () => number;
  readonly #budgets = new Map<string, Budget>();
  #swept = 0;

  /** @param now ms on a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Asked before each write. 0: it may be made, and counts. Else: not before so many ms have passed. */
  take(write: Write): number {
    this.#sweep();
    const budget = this.#budgetOf(write);
    const content = withoutMoments(write.content);
    if (write.tells !== undefined && budget.last.content !== content) budget.written.clear();
    const before = budget.written.get(content) ?? null;
    // Decided before the watch has shown what was written: nobody has undone that.
    const unseen = before?.done === true && isOlder(write.tells?.seen, before.version);
    const repeated = before !== null && !unseen;
    const waitMs = (repeated ? budget.repetitions : budget.news).take(this.#now());
    if (waitMs > 0) {
      // The first fields stay: telling them changes what a status says.
      if (repeated && before.done) budget.undone ??= write.fields ?? [];
      return waitMs;
    }
    budget.last = { content, before: repeated ? before : null };
    remember(budget.written, content, before ?? { done: false, version: undefined });
    return 0;
  }

  /** The last write of this object was carried out. @param version the resourceVersion that the object has since. */
  wrote(object: string, version: string | undefined): void {
    const budget = this.#budgets.get(object);
    if (budget === undefined) return;
    const { content, before } = budget.last;
    // It changed nothing, so the object was as it was wanted.
    if (version !== undefined && version === before?.version) budget.repetitions.giveBack();
    remember(budget.written, content, { done: true, version });
  }

  /** Objects of this owner that somebody else keeps changing; null: none. */
  contested(owner: string): Contested | null {
    const objects: string[] = [];
    let calmInMs = Number.POSITIVE_INFINITY;
    const now = this.#now();
    for (const [object, budget] of this.#budgets) {
      if (budget.undone === null || budget.owner !== owner) continue;
      const leftMs = budget.repetitions.fullInMs(now, CALM_REPETITIONS);
      if (leftMs <= 0) {
        budget.undone = null;
        continue;
      }
      objects.push(budget.undone.length === 0 ? object : `${object} (${someOf(budget.undone)})`);
      calmInMs = Math.min(calmInMs, leftMs);
    }
    return objects.length === 0 ? null : { objects, calmInMs };
  }

  #budgetOf({ owner, object }: Write): Budget {
    const known = this.#budgets.get(object);
    if (known !== undefined) return known;
    const now = this.#now();
    const made: Budget = {
      owner,
      repetitions: new Bucket(REPETITIONS_AT_ONCE, REPETITION_REFILL_MS, now),
      news: new Bucket(NEWS_AT_ONCE, NEWS_REFILL_MS, now),
      written: new Map(),
      last: { content: '', before: null },
      undone: null,
    };
    this.#budgets.set(object, made);
    return made;
  }

  /** An object that could be written as often as at first need not be remembered. */
  #sweep(): void {
    const now = this.#now();
    if (now - this.#swept < FORGOTTEN_MS) return;
    this.#swept = now;
    for (const [object, { repetitions, news }] of this.#budgets) {
      if (repetitions.isFull(now) && news.isFull(now)) this.#budgets.delete(object);
    }
  }
}

/** So many at once, and one more after a while. */
class Bucket {
  readonly #size: number;
  readonly #refillMs: number;
  #left: number;
  /** When `#left` was right, ms on the monotonic clock. */
  #at: number;

  constructor(size: number, refillMs: number, now: number) {
    this.#size = size;
    this.#refillMs = refillMs;
    this.#left = size;
    this.#at = now;
  }

  /** 0: one was taken. Else: ms until there is one. */
  take(now: number): number {
    this.#refill(now);
    if (this.#left < 1) return Math.ceil((1 - this.#left) * this.#refillMs);
    this.#left -= 1;
    return 0;
  }

  giveBack(): void {
    this.#left = Math.min(this.#size, this.#left + 1);
  }

  /** ms until there are so many; 0 or less: there are. */
  fullInMs(now: number, count: number): number {
    this.#refill(now);
    return (count - this.#left) * this.#refillMs;
  }

  isFull(now: number): boolean {
    return this.fullInMs(now, this.#size) <= 0;
  }

  #refill(now: number): void {
    this.#left = Math.min(this.#size, this.#left + (now - this.#at) / this.#refillMs);
    this.#at = now;
  }
}

function remember(written: Map<string, Outcome>, content: string, outcome: Outcome): void {
  written.delete(content);
  written.set(content, outcome);
  const [oldest] = written.keys();
  if (written.size > REMEMBERED && oldest !== undefined) written.delete(oldest);
}

function someOf(fields: readonly string[]): string {
  const some = fields.slice(0, FIELDS_TOLD).join(', ');
  return fields.length > FIELDS_TOLD ? `${some} and ${fields.length - FIELDS_TOLD} more` : some;
}

const MOMENT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

/** Time stamps and versions differ although the same is wanted. */
function withoutMoments(content: unknown): string {
  const text = JSON.stringify(content, (key, value: unknown) =>
    key === 'resourceVersion' ? undefined : value,
  );
  return fingerprint(text.replaceAll(MOMENT, ''));
}
