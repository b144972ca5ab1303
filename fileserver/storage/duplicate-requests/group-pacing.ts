/**
 * When the queue (operation-log.ts) begins its next group: beside the flush of the one before, behind it, or a moment later. Only
 * speed depends on it. Decided from what flushes and operations took recently; no clock of its own: all times are ms, on the
 * caller's clock.
 */

//   flushes about as fast as executing     next group beside the flush: neither processor nor disk waits
//   slow flushes                           one after the other, and those that were just answered are waited for: else half
//                                          of the clients wait for the flush of the other half, and the other way round

/**
 * A group is executed beside a flush if that takes at least this part of the flush: else more would come to join it. (Some file
 * systems make operations wait meanwhile, ext4 for blocks that are just written to its journal. Then they are not slower than
 * behind the flush.)
 */
const OVERLAP_MIN = 0.2;
/** Weight of the newest in the usual durations. */
const NEWEST = 0.125;
/**
 * Waiting for those that have just been answered pays if a flush takes longer than their way to the client and back, so many
 * ms, and the execution of all of them.
 */
const TURN_AROUND_MS = 1;
/** They are waited for this part of what a flush takes, as long as it brings that part of them... */
const GATHER_MAX = 0.25;
const GATHERED_MIN = 0.25;
/** ...and otherwise tried again after so many groups. */
const VAIN_GROUPS = 16;

/** Questions that the operation log asks about the pace of its groups. */
export interface Pacing {
  /** A group is being flushed. Begin the next one, of those that wait, beside it? */
  mayOverlap(waiting: number, flushing: number): boolean;
  /** None is. For so long more are waited for; 0: begin. Asked again when more have come, or the time is over. */
  gatherMs(waiting: number, nowMs: number): number;
  /** A group has been answered, of so many; so many others wait already. */
  noteAnswered(count: number, waiting: number, nowMs: number): void;
  noteFlush(ms: number): void;
  /** Notes the duration of each operation of a group. */
  noteExecution(ms: number): void;
}

export class GroupPacing implements Pacing {
  /** Usual duration of a flush, and of the execution of one operation. */
  #flushMs = 0;
  #changeMs = 0;
  /** How many may wait, if all come back that have just been answered; and how many were waiting then. */
  #expected = 0;
  #expectedFrom = 0;
  /** So long they are waited for; 0: they are not. */
  #gatherUntilMs = 0;
  /** Groups for which it is not tried again to wait for them. */
  #vain = 0;

  noteFlush(ms: number): void {
    this.#flushMs += NEWEST * (ms - this.#flushMs);
  }

  noteExecution(ms: number): void {
    this.#changeMs += NEWEST * (ms - this.#changeMs);
  }

  mayOverlap(waiting: number, flushing: number): boolean {
    if (this.#flushMs === 0 || this.#gatheringPays(waiting + flushing)) return false;
    return waiting * this.#changeMs >= OVERLAP_MIN * this.#flushMs;
  }

  #gatheringPays(count: number): boolean {
    return this.#flushMs > TURN_AROUND_MS + count * this.#changeMs;
  }

  noteAnswered(count: number, waiting: number, nowMs: number): void {
    this.#expectedFrom = waiting;
    this.#expected = waiting + count;
    this.#gatherUntilMs = 0;
    if (!this.#gatheringPays(this.#expected)) return;
    if (this.#vain > 0) this.#vain -= 1;
    else this.#gatherUntilMs = nowMs + GATHER_MAX * this.#flushMs;
  }

  gatherMs(waiting: number, nowMs: number): number {
    if (this.#gatherUntilMs === 0) return 0;
    const leftMs = this.#gatherUntilMs - nowMs;
    if (waiting < this.#expected && leftMs > 0) return leftMs;
    this.#gatherUntilMs = 0;
    const come = waiting - this.#expectedFrom;
    if (come < GATHERED_MIN * (this.#expected - this.#expectedFrom)) this.#vain = VAIN_GROUPS;
    return 0;
  }
}
