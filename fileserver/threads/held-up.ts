/**
 * Times in which this thread did not turn: a long call, or no processor. It has not yet read what was answered
 * in the meantime, so they do not count as time that a call has waited.
 */

/** Waits are not looked at for longer. ms */
const REMEMBERED_MS = 600_000;

export class HeldUp {
  readonly #everyMs: number;
  #lookedAt: number;
  /** Oldest first. */
  readonly #times: { readonly until: number; readonly ms: number }[];

  /** everyMs: between two looks of a thread that turns. now: performance.now() */
  constructor(everyMs: number, now: number) {
    this.#everyMs = everyMs;
    this.#lookedAt = now;
    this.#times = [];
  }

  look(now: number): void {
    const ms = now - this.#lookedAt - this.#everyMs;
    this.#lookedAt = now;
    // A timer is some ms late as a matter of course.
    if (ms > this.#everyMs) this.#times.push({ until: now, ms });
    while (this.#times.length > 0 && this.#times[0]!.until < now - REMEMBERED_MS) this.#times.shift();
  }

  /** ms from `since` to `now` in which this thread turned. */
  turnedMs(since: number, now: number): number {
    let ms = now - since;
    for (const { until, ms: held } of this.#times) if (until > since) ms -= Math.min(held, until - since);
    return Math.max(0, ms);
  }
}
