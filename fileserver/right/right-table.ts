/**
 * Until when this process may serve which disk set: the one thing that the agent's thread and the data threads
 * share in memory.
 *
 * A message from thread to thread would be too late by design: the data thread may be deep in a batch of system
 * calls while the right runs out. So the deadline itself is shared, and the thread that does the work asks
 * immediately before every operation that changes a volume and before every reply it writes (R2).
 *
 * Written by the agent's thread alone, when the driver says so (pair/driver.ts): the dead man's switch is armed first.
 *
 * Beside the deadlines stands one word a disk set that any data thread may set: `halted`. A thread that finds that a
 * volume can't be trusted any more, or that the right has run out, stops all others with it before they answer again.
 *
 * And one that counts the changes that are under way, each from before its check of the right to the end of its system call:
 *
 *   data thread                      agent's thread
 *   count it                         cut the right
 *   check the right, make the call   no change is counted: none will be made any more
 *   count it no more
 *
 * Whichever of the two first lines comes first, its thread's second line cannot miss the other's.
 */
import type { DiskSetSide } from '../../pair/types.ts';
import { bootMs } from '../system/boottime.ts';

/**
 * Bytes to allocate: two doubles (deadlines), a 32-bit word that orders accesses, and two that halt. The number of changes under
 * way has a cache line of its own for each disk set, as its threads write it at each change.
 */
const SIZE = 192;
const HALTED_AT = 1;
const ORDER_OFFSET = 16;
const CACHE_LINE_SIZE = 64;

export function allocateRightTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(SIZE);
}

export class RightTable {
  readonly buffer: SharedArrayBuffer;
  /** Ms on CLOCK_BOOTTIME; 0 = no right. */
  readonly #deadlines: Float64Array;
  /**
   * Touched atomically before every look at a deadline (to look whether a disk set is halted does it too) and behind every change of
   * one: JavaScript promises neither order nor visibility for plain accesses to shared memory, so without it a compiler might read a
   * deadline once and keep it for a whole loop. (An aligned double is one machine word on 64-bit machines and cannot be seen
   * half-written.)
   */
  readonly #order: Int32Array;
  readonly #changes: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#deadlines = new Float64Array(buffer, 0, 2);
    this.#order = new Int32Array(buffer, ORDER_OFFSET, 3);
    this.#changes = new Int32Array(buffer, CACHE_LINE_SIZE, (2 * CACHE_LINE_SIZE) / 4);
  }

  /** May this process serve the disk set at this very moment? About 0.1 us; no allocation. */
  held(slot: DiskSetSide): boolean {
    return Atomics.load(this.#order, haltedAt(slot)) === 0 && bootMs() < this.#deadlines[indexOf(slot)]!;
  }

  /** Ms on CLOCK_BOOTTIME at which the right ends; 0 = none. */
  deadline(slot: DiskSetSide): number {
    Atomics.load(this.#order, 0);
    return this.#deadlines[indexOf(slot)]!;
  }

  /**
   * Data threads: a change of the disk set's volumes begins, if this process may make it. true: it counts as under way until
   * endChange().
   */
  beginChange(slot: DiskSetSide): boolean {
    Atomics.add(this.#changes, changesAt(slot), 1);
    if (this.held(slot)) return true;
    this.endChange(slot);
    return false;
  }

  endChange(slot: DiskSetSide): void {
    Atomics.sub(this.#changes, changesAt(slot), 1);
  }

  /** Is a change under way? No, and no right: the volumes are not changed by this process any more. */
  isChanging(slot: DiskSetSide): boolean {
    return Atomics.load(this.#changes, changesAt(slot)) !== 0;
  }

  /** Data threads: nothing of the disk set is changed or answered by any thread from now on. */
  halt(slot: DiskSetSide): void {
    Atomics.store(this.#order, haltedAt(slot), 1);
  }

  /** The thread that opens a disk set, when no thread has anything of its last opening left. */
  resume(slot: DiskSetSide): void {
    Atomics.store(this.#order, haltedAt(slot), 0);
  }

  /** Agent's thread only. */
  set(slot: DiskSetSide, deadlineMs: number): void {
    this.#deadlines[indexOf(slot)] = deadlineMs;
    Atomics.add(this.#order, 0, 1);
  }
}

function indexOf(slot: DiskSetSide): number {
  return slot === 'local' ? 0 : 1;
}

function changesAt(slot: DiskSetSide): number {
  return slot === 'local' ? 0 : CACHE_LINE_SIZE / 4;
}

function haltedAt(slot: DiskSetSide): number {
  return slot === 'local' ? HALTED_AT : HALTED_AT + 1;
}
