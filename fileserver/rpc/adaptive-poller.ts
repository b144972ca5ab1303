/**
 * Keeps a thread polling for a moment when it has nothing to do. A client that makes one call after the other sends the next one
 * as soon as it has the answer. To fall asleep and be woken (an interrupt to a processor that sleeps) takes several times as long
 * as to answer.
 */

//   call --> answer, look, look, look, call --> answer, look ...      while that pays
//   call --> answer, asleep ......... call --> answer                 otherwise
//
// Between two polls it gives way (sched_yield): where the client, or another process, waits for this very processor, it runs at
// once. So looking takes only what nobody wants. Without that a lone call waits for its answer up to a whole time slice of the
// one who looks for it, which is worse than sleeping.
//
// It is done only where somebody is likely to come:
// - after a turn with one call: where there are more, nobody waits for the waking of one;
// - for POLL_MS at most, and only while it has mostly been worth it recently;
// - in fewer threads at a time than there are processors;
// - not where processor time is rationed (a container with a limit): there the looks would be charged.

/** A client on the same machine or in the same network has answered by then, or is doing something else. ms */
const POLL_MS = 0.5;
/** Calls that came in time, less those that did not: the more, the longer a client may think now and then. */
const CREDIT_MAX = 16;
const CREDIT_LOST = 3;
/** Every so often it is tried without credit. */
const TRY_EVERY = 32;

export interface AdaptivePollerHooks {
  /** Another thread may poll. rest() ends what it returned true for. */
  readonly mayPoll: () => boolean;
  readonly pollEnded: () => void;
  /** performance.now() */
  readonly now: () => number;
  /** Lets others have the processor, if they want it. */
  readonly giveWay: () => void;
  /** Calls back in the next turn of the event loop, which looks at the sockets before and does not wait for them. */
  readonly nextTurn: (callback: () => void) => void;
}

export class AdaptivePoller {
  readonly #hooks: AdaptivePollerHooks;
  #credit: number;
  #loneCalls: number;
  #polling: boolean;
  /** A turn of looking is under way: there is never more than one. */
  #turnPending: boolean;
  #pollUntil: number;
  readonly #poll: () => void;

  constructor(hooks: AdaptivePollerHooks) {
    this.#hooks = hooks;
    this.#credit = 0;
    this.#loneCalls = 0;
    this.#polling = false;
    this.#turnPending = false;
    this.#pollUntil = 0;
    this.#poll = () => this.#pollAgain();
  }

  /** Something has come: calls, or another thread's replies. */
  arrived(): void {
    if (!this.#polling) return;
    this.#credit = Math.min(CREDIT_MAX, this.#credit + 1);
    this.#endPoll();
  }

  /** A turn is over in which so many calls were answered, or passed on to another thread. */
  handled(calls: number): void {
    if (calls !== 1 || this.#polling) return;
    this.#loneCalls += 1;
    if (this.#credit <= 0 && this.#loneCalls % TRY_EVERY !== 0) return;
    if (!this.#hooks.mayPoll()) return;
    this.#polling = true;
    this.#pollUntil = this.#hooks.now() + POLL_MS;
    if (this.#turnPending) return;
    this.#turnPending = true;
    this.#hooks.nextTurn(this.#poll);
  }

  #endPoll(): void {
    this.#polling = false;
    this.#hooks.pollEnded();
  }

  #pollAgain(): void {
    if (this.#polling && this.#hooks.now() < this.#pollUntil) {
      this.#hooks.giveWay();
      this.#hooks.nextTurn(this.#poll);
      return;
    }
    this.#turnPending = false;
    if (!this.#polling) return;
    this.#credit = Math.max(0, this.#credit - CREDIT_LOST);
    this.#endPoll();
  }
}
