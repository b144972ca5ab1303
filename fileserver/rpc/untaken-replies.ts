/**
 * How long a client may leave replies untaken that it has asked for. They are kept in memory, which others may be waiting for. In ticks
 * of a second. Pure.
 */

/** Without taking a byte: longer than a machine that is moved or suspended for a moment is away. */
const QUIET_TICKS_MAX = 60;
/** The same while the replies of all take more memory than they should; and then less than this is nothing. Bytes a tick. */
const WANTED_QUIET_TICKS_MAX = 2;
const WANTED_SIZE_MIN = 64 * 1024;

export class UntakenReplies {
  #quietTicks = 0;
  #completeBefore = 0;
  #openBefore = 0;

  /**
   * One more tick. true: its connection is to be ended.
   *
   * @param waiting bytes of replies that the kernel has not taken, or not all of the reply that they are of
   * @param complete bytes of replies that it has taken as a whole, ever
   * @param open of the reply that it is taking, bytes that it has not taken yet
   * @param wanted others wait for the memory
   */
  isOverdue(waiting: number, complete: number, open: number, wanted: boolean): boolean {
    const taken = complete === this.#completeBefore ? this.#openBefore - open : Number.POSITIVE_INFINITY;
    this.#completeBefore = complete;
    this.#openBefore = open;
    const moves = waiting === 0 || taken >= (wanted ? WANTED_SIZE_MIN : 1);
    this.#quietTicks = moves ? 0 : this.#quietTicks + 1;
    return this.#quietTicks > (wanted ? WANTED_QUIET_TICKS_MAX : QUIET_TICKS_MAX);
  }
}
