/** Detects that the adopted connection is silent with calls outstanding, still silent, or silent for so long that they are lost. */
import type { AttemptsState } from './attempts-state.ts';
import type { Clock, Timed } from './event-loop-clock.ts';

/** As long as other NFS clients wait over TCP before they send a call again. */
const STUCK_MS = 60_000;
/** While the connection stands still: interval between two checks whether it has sent bytes, in ms. */
const SENT_INTERVAL_MS = 200;
/** Longest time between two checks while calls are unanswered. Ms. */
const CHECK_INTERVAL_MS_MAX = 1000;

export interface WatchedCalls {
  /** Unanswered. */
  readonly count: number;
  /** sentAtMs is Infinity while it waits for room. */
  readonly oldest: { readonly sentAtMs: number } | undefined;
}

export interface SilenceHandlers {
  /** The plan; null: no connection is adopted. */
  readonly plan: () => Pick<AttemptsState, 'mode' | 'patienceMs'> | null;
  /** Has the adopted connection, which stood still, sent something since this was asked last? */
  readonly hasSent: () => boolean;
  /** Nothing was heard for the plan's patience. */
  readonly onSilent: () => void;
  /** A connection that stood still could send something. */
  readonly onSent: () => void;
  /** The oldest call has waited for `stuckMs`; next time it may wait twice as long. */
  readonly onStuck: (stuckMs: number, now: number) => void;
}

/** One time for all calls, set anew only when it has come: a call costs nothing here. */
export class SilenceWatch implements Timed {
  dueAtMs = Number.POSITIVE_INFINITY;
  readonly #clock: Clock;
  readonly #calls: WatchedCalls;
  readonly #handlers: SilenceHandlers;
  readonly #stuckMsLeast: number;
  #stuckMs: number;
  #heardAtMs = 0;
  #paused = false;
  #stopped = false;

  constructor(clock: Clock, calls: WatchedCalls, handlers: SilenceHandlers, stuckMs: number = STUCK_MS) {
    this.#clock = clock;
    this.#calls = calls;
    this.#handlers = handlers;
    this.#stuckMsLeast = stuckMs;
    this.#stuckMs = stuckMs;
  }

  /** From the server; or a connection has been adopted. */
  heard(): void {
    this.#heardAtMs = this.#clock.now;
  }

  /** Nothing is unanswered: the next call may wait for as long as the first. */
  relax(): void {
    this.#stuckMs = this.#stuckMsLeast;
  }

  /** Silence while paused is our own doing. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.heard();
    this.watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.callAt(this, Number.POSITIVE_INFINITY);
  }

  /** After a call was sent, or the plan has changed. */
  watch(): void {
    if (this.dueAtMs !== Number.POSITIVE_INFINITY) return;
    const plan = this.#planOfUse;
    if (plan === null) return;
    const { now } = this.#clock;
    const { mode, patienceMs } = plan;
    const atMs =
      mode === 'suspect'
        ? now + SENT_INTERVAL_MS
        : Math.min(this.#quietSinceMs + patienceMs, now + CHECK_INTERVAL_MS_MAX);
    this.#clock.callAt(this, atMs);
  }

  onDue(now: number): void {
    const plan = this.#planOfUse;
    if (plan === null) return;
    const { mode, patienceMs } = plan;
    if (mode === 'suspect') {
      if (this.#handlers.hasSent()) this.#handlers.onSent();
    } else if (now - this.#calls.oldest!.sentAtMs >= this.#stuckMs) {
      const stuckMs = this.#stuckMs;
      this.#stuckMs *= 2;
      this.#handlers.onStuck(stuckMs, now);
    } else if (now - this.#quietSinceMs >= patienceMs) {
      this.#handlers.onSilent();
    }
    this.watch();
  }

  get #planOfUse(): Pick<AttemptsState, 'mode' | 'patienceMs'> | null {
    return this.#stopped || this.#paused || this.#calls.count === 0 ? null : this.#handlers.plan();
  }

  get #quietSinceMs(): number {
    return Math.max(this.#heardAtMs, this.#calls.oldest!.sentAtMs);
  }
}
