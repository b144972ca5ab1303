/** Calls back at given times, once what has arrived by then was read: an answer that is here already is not too late. */
import { performance } from 'node:perf_hooks';

export interface Timed {
  /** When it is to be called; Infinity: not at all. Written by the clock only. Ms. */
  dueAtMs: number;
  onDue(now: number): void;
}

export interface Clock {
  /** Ms. */
  readonly now: number;
  /** Instead of the time that it had; Infinity: not at all. */
  callAt(timed: Timed, atMs: number): void;
}

export class EventLoopClock implements Clock {
  readonly #timers = new Map<Timed, NodeJS.Timeout>();
  #ref = true;

  get now(): number {
    return performance.now();
  }

  callAt(timed: Timed, atMs: number): void {
    clearTimeout(this.#timers.get(timed));
    this.#timers.delete(timed);
    timed.dueAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    // Timers round down by up to a millisecond; one that fires early would only come again.
    const delayMs = Math.max(0, Math.ceil(atMs - this.now));
    // After the timer the event loop looks at the sockets, then runs immediates.
    const timer = setTimeout(() => setImmediate(() => this.#call(timed, timer)), delayMs);
    this.#timers.set(timed, timer);
    if (!this.#ref) timer.unref();
  }

  #call(timed: Timed, timer: NodeJS.Timeout): void {
    // Set anew meanwhile, or not needed any more.
    if (this.#timers.get(timed) !== timer) return;
    this.#timers.delete(timed);
    timed.dueAtMs = Number.POSITIVE_INFINITY;
    timed.onDue(this.now);
  }

  /** Whether its timers keep the process alive. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    for (const timer of this.#timers.values()) {
      if (ref) timer.ref();
      else timer.unref();
    }
  }
}
