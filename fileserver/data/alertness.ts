/**
 * Keeps a thread awake for a moment after a lone call: a client that makes one call after the other sends the next one
 * as soon as it has the answer, and to fall asleep and be woken again takes longer than to answer.
 *
 *   call --> answer, look, look, look, call --> answer, look ...      while that pays
 *   call --> answer, asleep ......... call --> answer                 otherwise
 *
 * Looking costs a processor, so it is done only where somebody is likely to come and nobody else is held up:
 * - after a turn with one call; where there are more, nobody waits for the waking of one;
 * - for AWAKE_MS at most, and only while it has mostly been worth it of late;
 * - in half as many threads at a time as there are processors, and in none where there is only one;
 * - not where others wait for processors, as the kernel says (look at it once a second: setPressure), or where it does not
 *   say; and not for a moment after a look that came late.
 */

/** A client on the same machine or network segment has answered by then, or is doing something else. ms */
const AWAKE_MS = 0.1;
/** Between two looks, if nobody else wants the processor. ms */
const LATE_MS = 0.05;
/** How long nobody stays awake after a late look. ms */
const BUSY_MS = 100;
/** Part of the time in which somebody waits for a processor, on a machine that has none to spare. */
const PRESSURE_MAX = 0.05;
/** Calls that came in time, less those that did not: the more, the longer a client may think now and then. */
const CREDIT_MAX = 16;
const CREDIT_LOST = 3;
/** Every so often it is tried without credit. */
const TRY_EVERY = 32;

export interface AlertnessHooks {
  /** Another thread may stay awake. What it returned true for is ended by rest(). */
  readonly mayWake: () => boolean;
  readonly rest: () => void;
  /** performance.now() */
  readonly now: () => number;
  /** Calls back in the next turn of the event loop, which looks at the sockets before and does not wait for them. */
  readonly nextTurn: (callback: () => void) => void;
}

export class Alertness {
  private readonly hooks: AlertnessHooks;
  private credit: number;
  private loneCalls: number;
  private awake: boolean;
  private awakeUntil: number;
  private lookedAt: number;
  private busyUntil: number;
  private spare: boolean;
  private readonly look: () => void;

  constructor(hooks: AlertnessHooks) {
    this.hooks = hooks;
    this.credit = 0;
    this.loneCalls = 0;
    this.awake = false;
    this.awakeUntil = 0;
    this.lookedAt = 0;
    this.busyUntil = 0;
    this.spare = false;
    this.look = () => this.lookAgain();
  }

  /** Part of the time in which somebody waits for a processor (processor-pressure.ts); null: not known. */
  setPressure(pressure: number | null): void {
    this.spare = pressure !== null && pressure <= PRESSURE_MAX;
  }

  /** Something has come: calls, or another thread's replies. */
  arrived(): void {
    if (!this.awake) return;
    this.credit = Math.min(CREDIT_MAX, this.credit + 1);
    this.fallAsleep();
  }

  /** A turn is over in which so many calls were handled. */
  handled(calls: number): void {
    if (calls !== 1 || this.awake || !this.spare) return;
    this.loneCalls += 1;
    if (this.credit <= 0 && this.loneCalls % TRY_EVERY !== 0) return;
    const now = this.hooks.now();
    if (now < this.busyUntil || !this.hooks.mayWake()) return;
    this.awake = true;
    this.awakeUntil = now + AWAKE_MS;
    this.lookedAt = now;
    this.hooks.nextTurn(this.look);
  }

  private fallAsleep(): void {
    this.awake = false;
    this.hooks.rest();
  }

  private lookAgain(): void {
    if (!this.awake) return;
    const now = this.hooks.now();
    const late = now - this.lookedAt > LATE_MS;
    if (!late && now < this.awakeUntil) {
      this.lookedAt = now;
      this.hooks.nextTurn(this.look);
      return;
    }
    if (late) this.busyUntil = now + BUSY_MS;
    this.credit = Math.max(0, this.credit - CREDIT_LOST);
    this.fallAsleep();
  }
}
