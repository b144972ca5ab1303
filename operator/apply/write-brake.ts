/**
 * Whatever another controller does, no object is written in a hot loop. A webhook that takes a change back, or an operator of
 * another version that wants the object otherwise, answers each write with a change that makes the next reconcile, and so the
 * next write.
 */

// An object may be written many times at once, which no real change of a pair comes near, and from then on once in a while,
// until it has been left alone for long enough.

/** So many writes of one object are made at once: a failover and what follows it need fewer than ten. */
const WRITES_AT_ONCE = 20;
/** One more may be made after this long. ms */
const REFILL_MS = 10_000;
/** The object counts as contested until so many could be made at once again. */
const CALM_WRITES = 10;

interface Budget {
  /** Whose work writes it: a pair. */
  readonly owner: string;
  writes: number;
  /** When `writes` was right, ms on the monotonic clock. */
  at: number;
  contested: boolean;
}

export interface Contested {
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
  take(owner: string, object: string): number {
    this.#sweep();
    const budget = this.#budgets.get(object) ?? {
      owner,
      writes: WRITES_AT_ONCE,
      at: this.#now(),
      contested: false,
    };
    this.#budgets.set(object, budget);
    this.#refill(budget);
    if (budget.writes < 1) {
      budget.contested = true;
      return Math.ceil((1 - budget.writes) * REFILL_MS);
    }
    budget.writes -= 1;
    return 0;
  }

  /** Objects of this owner that somebody else keeps changing; null: none. */
  contested(owner: string): Contested | null {
    const objects: string[] = [];
    let calmInMs = Number.POSITIVE_INFINITY;
    for (const [object, budget] of this.#budgets) {
      if (!budget.contested || budget.owner !== owner) continue;
      this.#refill(budget);
      if (!budget.contested) continue;
      objects.push(object);
      calmInMs = Math.min(calmInMs, (CALM_WRITES - budget.writes) * REFILL_MS);
    }
    return objects.length === 0 ? null : { objects, calmInMs };
  }

  #refill(budget: Budget): void {
    const now = this.#now();
    budget.writes = Math.min(WRITES_AT_ONCE, budget.writes + (now - budget.at) / REFILL_MS);
    budget.at = now;
    if (budget.writes >= CALM_WRITES) budget.contested = false;
  }

  /** What could be written as often as at first need not be remembered. */
  #sweep(): void {
    const now = this.#now();
    if (now - this.#swept < WRITES_AT_ONCE * REFILL_MS) return;
    this.#swept = now;
    for (const [object, budget] of this.#budgets) {
      this.#refill(budget);
      if (budget.writes === WRITES_AT_ONCE) this.#budgets.delete(object);
    }
  }
}
