/**
 * Until when this process may serve which disk set: the one thing that the agent's thread and the data threads share in memory.
 */
import type { DiskSetSide } from '../../pair/types.ts';
import { bootMs } from '../system/boottime.ts';

// A message from thread to thread would be too late by design: the data thread may be deep in a batch of system
// calls while the lease runs out. So the deadline itself is shared, and the thread that does the work asks
// immediately before every operation that changes a volume and before every reply it writes (R2).
//
// Written by the agent's thread alone, when the driver says so (pair/driver.ts): the dead man's switch is armed first.
//
// Beside the deadlines stands one word a disk set that any data thread may set: `halted`. A thread that finds that a
// volume can't be trusted any more, or that the lease has run out, stops all others with it before they answer again.
//
// And one that counts the changes that are under way, each from before its check of the lease to the end of its system call:
//
//   data thread                      agent's thread
//   count it                         cut the lease
//   check the lease, make the call   no change is counted: none will be made any more
//   count it no more
//
// Whichever of the two first lines comes first, its thread's second line cannot miss the other's.

/**
 * Bytes to allocate: two doubles (deadlines), a 32-bit word that orders accesses, and two that halt. The number of changes under
 * way has a cache line of its own for each disk set, as its threads write it at each change.
 */
const SIZE = 192;
const HALTED_AT = 1;
const ORDER_OFFSET = 16;
const CACHE_LINE_SIZE = 64;

export function allocateLeaseTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(SIZE);
}

export class LeaseTable {
  readonly buffer: SharedArrayBuffer;
  /** Ms on CLOCK_BOOTTIME; 0 = no lease. */
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
  held(side: DiskSetSide): boolean {
    return Atomics.load(this.#order, haltedAt(side)) === 0 && bootMs() < this.#deadlines[indexOf(side)]!;
  }

  /** Ms on CLOCK_BOOTTIME at which the lease ends; 0 = none. */
  deadline(side: DiskSetSide): number {
    Atomics.load(this.#order, 0);
    return this.#deadlines[indexOf(side)]!;
  }

  /**
   * Data threads: a change of the disk set's volumes begins, if this process may make it. true: it counts as under way until
   * endChange().
   */
  beginChange(side: DiskSetSide): boolean {
    Atomics.add(this.#changes, changesAt(side), 1);
    if (this.held(side)) return true;
    this.endChange(side);
    return false;
  }

  endChange(side: DiskSetSide): void {
    Atomics.sub(this.#changes, changesAt(side), 1);
  }

  /** Is a change under way? No, and no lease: the volumes are not changed by this process any more. */
  isChanging(side: DiskSetSide): boolean {
    return Atomics.load(this.#changes, changesAt(side)) !== 0;
  }

  /** Data threads: nothing of the disk set is changed or answered by any thread from now on. */
  halt(side: DiskSetSide): void {
    Atomics.store(this.#order, haltedAt(side), 1);
  }

  /** The thread that opens a disk set, when no thread has anything of its last opening left. */
  resume(side: DiskSetSide): void {
    Atomics.store(this.#order, haltedAt(side), 0);
  }

  /** Agent's thread only. */
  set(side: DiskSetSide, deadlineMs: number): void {
    this.#deadlines[indexOf(side)] = deadlineMs;
    Atomics.add(this.#order, 0, 1);
  }
}

function indexOf(side: DiskSetSide): number {
  return side === 'local' ? 0 : 1;
}

function changesAt(side: DiskSetSide): number {
  return side === 'local' ? 0 : CACHE_LINE_SIZE / 4;
}

function haltedAt(side: DiskSetSide): number {
  return side === 'local' ? HALTED_AT : HALTED_AT + 1;
}
