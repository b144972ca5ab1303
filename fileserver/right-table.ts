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
 */
import { bootMs } from './system/boottime.ts';

/** `own`: this server's own disk set (primary port). `partner`: the other one (secondary port). */
export type DiskSetSlot = 'own' | 'partner';

/** Bytes to allocate: two doubles (deadlines), a 32-bit word that orders accesses, two that halt, padding. */
const SIZE = 32;
const HALTED_AT = 1;

export function allocateRightTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(SIZE);
}

export class RightTable {
  readonly buffer: SharedArrayBuffer;
  /** Ms on CLOCK_BOOTTIME; 0 = no right. */
  private readonly deadlines: Float64Array;
  /**
   * Touched atomically beside every access: JavaScript promises neither order nor visibility for plain accesses to
   * shared memory, so without it a compiler might read a deadline once and keep it for a whole loop. (An aligned
   * double is one machine word on 64-bit machines and cannot be seen half-written.)
   */
  private readonly order: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.deadlines = new Float64Array(buffer, 0, 2);
    this.order = new Int32Array(buffer, 16, 3);
  }

  /** May this process serve the disk set at this very moment? About 0.1 us; no allocation. */
  held(slot: DiskSetSlot): boolean {
    return bootMs() < this.deadline(slot) && Atomics.load(this.order, haltedAt(slot)) === 0;
  }

  /** Ms on CLOCK_BOOTTIME at which the right ends; 0 = none. */
  deadline(slot: DiskSetSlot): number {
    Atomics.load(this.order, 0);
    return this.deadlines[slot === 'own' ? 0 : 1]!;
  }

  /** Data threads: nothing of the disk set is changed or answered by any thread from now on. */
  halt(slot: DiskSetSlot): void {
    Atomics.store(this.order, haltedAt(slot), 1);
  }

  /** The thread that opens a disk set, when no thread has anything of its last opening left. */
  resume(slot: DiskSetSlot): void {
    Atomics.store(this.order, haltedAt(slot), 0);
  }

  /** Agent's thread only. */
  set(slot: DiskSetSlot, deadlineMs: number): void {
    this.deadlines[slot === 'own' ? 0 : 1] = deadlineMs;
    Atomics.add(this.order, 0, 1);
  }
}

function haltedAt(slot: DiskSetSlot): number {
  return slot === 'own' ? HALTED_AT : HALTED_AT + 1;
}
