/**
 * How much of a thread's time climbs out of very deep directories may take. The check whether a directory lies inside its export
 * climbs to the export's root, some microseconds a level, and a user can make a tree of any depth. The first levels of a climb
 * are free.
 */

// Levels beyond count as a debt that is paid off with time; while there is a debt, a deep directory has to wait, and
// directories of usual depth do not. Pure.

/** Levels of each climb that do not count: some milliseconds. */
export const FREE_LEVELS = 1024;
/** Levels paid off in a second: at most a tenth of a thread's time. */
export const LEVELS_PER_SECOND = 20_000;

export class DeepClimbs {
  #debt: number;
  /** When `debt` was right. ms */
  #atMs: number;

  constructor() {
    this.#debt = 0;
    this.#atMs = 0;
  }

  /** May a climb go on beyond its free levels? nowMs: on a clock that never goes back. */
  mayGoOn(nowMs: number): boolean {
    this.#payOff(nowMs);
    return this.#debt === 0;
  }

  /** levels: of a climb that has ended. */
  climbed(levels: number, nowMs: number): void {
    if (levels <= FREE_LEVELS) return;
    this.#payOff(nowMs);
    this.#debt += levels - FREE_LEVELS;
  }

  #payOff(nowMs: number): void {
    if (this.#debt > 0)
      this.#debt = Math.max(0, this.#debt - ((nowMs - this.#atMs) * LEVELS_PER_SECOND) / 1000);
    this.#atMs = nowMs;
  }
}
