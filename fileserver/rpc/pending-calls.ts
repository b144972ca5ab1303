/**
 * The calls of one connection without a reply, and the memory that they and their replies may take: the limits beyond which
 * nothing more is handled.
 */
import type { HeldCalls } from './dispatcher.ts';

/** Bytes of replies that wait for the client; beyond it nothing more is handled. At least one reply of 1 MiB. */
const OUTPUT_MAX = 4 * 1024 * 1024;
/** Bytes of long replies to come, of all the thread's connections; beyond it each may have one. */
const EXPECTED_TOTAL_MAX = 64 * 1024 * 1024;
/** Calls that wait for a disk, and their bytes. */
const UNANSWERED_MAX = 1024;
const HELD_MAX = 4 * 1024 * 1024;
/** Bytes of calls of all the thread's connections for one volume; beyond it each may have one call waiting. */
const HELD_TOTAL_MAX = 32 * 1024 * 1024;
export class PendingCalls {
  count = 0;
  /** Bytes of calls that wait in memory, and where the last of them waits, with those of other connections. */
  #heldSize = 0;
  #heldWith: HeldCalls | null = null;
  /** Bytes of long replies that are still to come: of this connection, of all of the thread. */
  #expectedSize = 0;
  readonly #all: { expectedSize: number };
  /** No reply counts any more. */
  #gone = false;

  constructor(all: { expectedSize: number }) {
    this.#all = all;
  }

  /** expected: bytes that the reply may take, if it is a long one. */
  begin(expected: number): void {
    this.count += 1;
    this.#expect(expected);
  }

  end(expected: number): void {
    this.count -= 1;
    this.#expect(-expected);
  }

  #expect(size: number): void {
    if (this.#gone) return;
    this.#expectedSize += size;
    this.#all.expectedSize += size;
  }

  /** Expected bytes may never come: they must not count for the thread's other connections. */
  expectNothing(): void {
    this.#expect(-this.#expectedSize);
    this.#gone = true;
  }

  /** A call of this size waits together with others. */
  hold(size: number, held: HeldCalls): void {
    this.#heldSize += size;
    this.#heldWith = held;
    held.heldSize += size;
  }

  release(size: number, held: HeldCalls): void {
    this.#heldSize -= size;
    held.heldSize -= size;
  }

  get areFull(): boolean {
    if (this.count >= UNANSWERED_MAX || this.#heldSize > HELD_MAX) return true;
    return this.#heldSize > 0 && this.#heldWith !== null && this.#heldWith.heldSize > HELD_TOTAL_MAX;
  }

  /** waiting: bytes of replies that wait for the client. */
  repliesAreFull(waiting: number): boolean {
    if (waiting + this.#expectedSize > OUTPUT_MAX) return true;
    return this.#expectedSize > 0 && this.#all.expectedSize > EXPECTED_TOTAL_MAX;
  }
}
