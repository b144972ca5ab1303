/** Detects that a client's connection to the servers is silent with calls unanswered, or leaves one unanswered for too long. */
import type { KeptCalls } from './kept-calls.ts';
import type { Poller, Timed } from './poller.ts';
import type { Upstream } from './upstream.ts';

/** As long as other NFS clients wait over TCP before they send a call again. */
const STUCK_MS = 60_000;
/** While the connection stands still: interval between two checks whether it has sent bytes, in ms. */
const SENT_INTERVAL_MS = 200;
/** Longest time between two checks while calls are unanswered. Ms. */
const CHECK_INTERVAL_MS_MAX = 1000;

export interface SilenceHandlers {
  /** Nothing was heard for the plan's patience. */
  readonly onSilent: () => void;
  /** A connection that stood still could send something. */
  readonly onSent: () => void;
  /** The oldest call has waited for `stuckMs`; next time it may wait twice as long. */
  readonly onStuck: (stuckMs: number) => void;
}

export class SilenceTimer implements Timed {
  dueAtMs = Number.POSITIVE_INFINITY;
  readonly #poller: Poller;
  readonly #calls: KeptCalls;
  readonly #upstream: Upstream;
  readonly #handlers: SilenceHandlers;
  #heardAtMs = 0;
  #stuckMs = STUCK_MS;
  #paused = false;
  #stopped = false;
  #sentSizeBefore = 0;

  constructor(poller: Poller, calls: KeptCalls, upstream: Upstream, handlers: SilenceHandlers) {
    this.#poller = poller;
    this.#calls = calls;
    this.#upstream = upstream;
    this.#handlers = handlers;
  }

  /** A connection has been adopted. */
  attach(): void {
    this.#heardAtMs = this.#poller.now;
    this.#sentSizeBefore = this.#calls.sentSize;
  }

  heard(): void {
    this.#heardAtMs = this.#poller.now;
  }

  /** Nothing is unanswered: the next call may wait for as long as the first. */
  relax(): void {
    this.#stuckMs = STUCK_MS;
  }

  /** Silence while paused is our own doing. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#heardAtMs = this.#poller.now;
    this.watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#poller.callAt(this, Number.POSITIVE_INFINITY);
  }

  /** After something was sent. */
  watch(): void {
    if (this.dueAtMs !== Number.POSITIVE_INFINITY || !this.#isOfUse) return;
    const { mode, patienceMs } = this.#upstream.state;
    const { now } = this.#poller;
    const atMs =
      mode === 'suspect'
        ? now + SENT_INTERVAL_MS
        : Math.min(this.#quietSinceMs + patienceMs, now + CHECK_INTERVAL_MS_MAX);
    this.#poller.callAt(this, atMs);
  }

  onDue(now: number): void {
    if (!this.#isOfUse) return;
    const { mode, patienceMs } = this.#upstream.state;
    if (mode === 'suspect') {
      this.#checkSent();
    } else if (now - this.#calls.oldest!.sentAtMs >= this.#stuckMs) {
      const stuckMs = this.#stuckMs;
      this.#stuckMs *= 2;
      this.#handlers.onStuck(stuckMs);
    } else if (now - this.#quietSinceMs >= patienceMs) {
      this.#handlers.onSilent();
    }
    this.watch();
  }

  get #isOfUse(): boolean {
    return !this.#stopped && !this.#paused && this.#upstream.adopted !== null && this.#calls.count > 0;
  }

  /** Infinity: the oldest call waits for room. */
  get #quietSinceMs(): number {
    return Math.max(this.#heardAtMs, this.#calls.oldest!.sentAtMs);
  }

  #checkSent(): void {
    const before = this.#sentSizeBefore;
    this.#sentSizeBefore = this.#calls.sentSize;
    if (before !== this.#sentSizeBefore) this.#handlers.onSent();
  }
}
