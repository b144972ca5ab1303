/** Detects that the adopted connection is silent with calls outstanding, still silent, or silent for so long that they are lost. */
import { performance } from 'node:perf_hooks';
import type { AttemptsState } from './attempts-state.ts';
import type { RecordConnection } from './record-connection.ts';
import type { UnansweredCalls } from './unanswered-calls.ts';

/** As long as other NFS clients wait over TCP before they send a call again. */
const STUCK_MS = 60_000;

/** While the adopted connection stands still: interval between two checks whether it has sent bytes, in ms. */
const SENT_INTERVAL_MS = 200;

export interface SilenceHandlers {
  /** Nothing was heard for the plan's patience. */
  readonly onSilent: () => void;
  /** A connection that stood still could send something. */
  readonly onSent: () => void;
  /** The oldest call has waited for `stuckMs`; next time it may wait twice as long. */
  readonly onStuck: (stuckMs: number, now: number) => void;
}

/** One timer for all calls, set anew only when it fires: a call costs nothing here. */
export class SilenceWatch {
  readonly #calls: UnansweredCalls;
  readonly #plan: () => AttemptsState;
  readonly #handlers: SilenceHandlers;
  readonly #stuckMsLeast: number;
  #stuckMs: number;
  #connection: RecordConnection | null = null;
  #heardAtMs = 0;
  #unsentSizeBefore = 0;
  #paused = false;
  #timer: NodeJS.Timeout | null = null;
  #ref = true;

  constructor(
    calls: UnansweredCalls,
    plan: () => AttemptsState,
    stuckMs: number | undefined,
    handlers: SilenceHandlers,
  ) {
    this.#calls = calls;
    this.#plan = plan;
    this.#stuckMsLeast = stuckMs ?? STUCK_MS;
    this.#stuckMs = this.#stuckMsLeast;
    this.#handlers = handlers;
  }

  /** The adopted connection from now on; null: there is none. */
  attach(connection: RecordConnection | null, now: number): void {
    this.#connection = connection;
    this.#heardAtMs = now;
    this.#unsentSizeBefore = 0;
  }

  heard(now: number): void {
    this.#heardAtMs = now;
  }

  /** Nothing is unanswered: the next call may wait for as long as the first. */
  relax(): void {
    this.#stuckMs = this.#stuckMsLeast;
  }

  /** Silence while paused is our own doing. */
  pause(): void {
    this.#paused = true;
  }

  resume(now: number): void {
    this.#paused = false;
    this.#heardAtMs = now;
    this.watch();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Whether the timer keeps the process alive. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    if (ref) this.#timer?.ref();
    else this.#timer?.unref();
  }

  /** After a call was sent, or the plan has changed. */
  watch(): void {
    if (this.#timer !== null || this.#connection === null) return;
    if (this.#calls.count === 0 || this.#paused) return;
    const { mode, patienceMs } = this.#plan();
    if (mode === 'suspect') {
      this.#timer = setTimeout(() => this.#check(), SENT_INTERVAL_MS);
    } else {
      const delayMs = Math.max(1, Math.ceil(this.#quietSinceMs() + patienceMs - performance.now()));
      // After the timer the event loop looks at the sockets, then runs immediates: replies that were already here
      // while this process was busy are heard before silence is declared.
      this.#timer = setTimeout(() => setImmediate(() => this.#check()), Math.min(delayMs, 1000));
    }
    if (!this.#ref) this.#timer.unref();
  }

  #check(): void {
    if (this.#timer === null) return;
    this.#timer = null;
    const connection = this.#connection;
    if (connection === null || this.#calls.count === 0 || this.#paused) return;
    const { mode, patienceMs } = this.#plan();
    if (mode === 'suspect') {
      this.#checkSent(connection);
      this.watch();
      return;
    }
    const now = performance.now();
    const stuckMs = this.#stuckMs;
    if (now - this.#calls.oldest!.sentAtMs >= stuckMs) {
      this.#stuckMs *= 2;
      this.#handlers.onStuck(stuckMs, now);
    } else if (now - this.#quietSinceMs() >= patienceMs) {
      this.#handlers.onSilent();
    }
    this.watch();
  }

  #quietSinceMs(): number {
    return Math.max(this.#heardAtMs, this.#calls.oldest!.sentAtMs);
  }

  #checkSent(connection: RecordConnection): void {
    const before = this.#unsentSizeBefore;
    this.#unsentSizeBefore = connection.unsentSize;
    // Larger: what was there before has gone out, and the next has begun.
    if (before > 0 && this.#unsentSizeBefore !== before) this.#handlers.onSent();
  }
}
