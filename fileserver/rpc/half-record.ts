/**
 * How long a client may take to send the rest of a call that it has begun. What has come of it is kept in memory, which others may
 * be waiting for. In ticks of a second. Pure.
 */

/** Without a byte, and for all of it (a WRITE of 1 MiB by a line of 30 kbit/s). */
const QUIET_TICKS_MAX = 30;
const TICKS_MAX = 300;
/** The same while other connections wait for the memory that it lies in. */
const WANTED_QUIET_TICKS_MAX = 2;
const WANTED_TICKS_MAX = 10;

export class HalfRecord {
  #ticks = 0;
  #quietTicks = 0;

  /** No call is half there. */
  reset(): void {
    this.#ticks = 0;
    this.#quietTicks = 0;
  }

  /**
   * One more tick with the same call. true: its connection is to be ended.
   *
   * @param active something of it has come since the last tick
   * @param wanted it lies in memory that others wait for
   */
  isOverdue(active: boolean, wanted: boolean): boolean {
    this.#ticks += 1;
    this.#quietTicks = active ? 0 : this.#quietTicks + 1;
    const quietMax = wanted ? WANTED_QUIET_TICKS_MAX : QUIET_TICKS_MAX;
    return this.#quietTicks > quietMax || this.#ticks > (wanted ? WANTED_TICKS_MAX : TICKS_MAX);
  }
}
