/**
 * Memory that a long call (a WRITE of up to 1 MiB) is received into and executed from. A connection lends it to its record
 * parser, which lets the kernel write into it. A call that another thread executes goes there with the memory it lies in
 * (call-forwarder.ts), and the memory comes back when the call has been executed.
 */
import type { LongRecordMemory } from '../../protocol/record.ts';
import { nextTurn } from '../system/turns.ts';
import { ENTRY_HEADER_SIZE, LONG_BATCH_SIZE } from './call-batch.ts';

// So the call's data is copied twice, by the kernel both times: from the socket, and to the page cache.
//
//   | header of a batch's entry | record, up to NFS3_RECORD_SIZE_MAX |
//
// All connections of a thread share the spare ones. A connection holds one while it receives a long record. There are LENT_MAX
// for all of them. A connection that finds none takes no more calls until another one gives its back, and while one waits so, the
// others may not hold theirs for as long as they like (connection.ts).

/** Records that are put together at the same time in one thread: 32 MiB. */
export const LENT_MAX = 32;

export class LongRecords implements LongRecordMemory {
  /** Lent to a parser, by their memory. */
  readonly #lent: Map<ArrayBufferLike, Uint8Array>;
  readonly #spare: SharedArrayBuffer[];
  /** The fewest that were spare since the last trim(). */
  #unused: number;
  /** Connections that wait for some, in order. */
  readonly #waiting: Set<() => void>;

  constructor() {
    this.#lent = new Map();
    this.#waiting = new Set();
    this.#spare = [];
    this.#unused = 0;
  }

  take(): Uint8Array | null {
    if (this.#lent.size >= LENT_MAX) return null;
    const memory = this.takeMemory();
    const bytes = new Uint8Array(memory, ENTRY_HEADER_SIZE);
    this.#lent.set(memory, bytes);
    return bytes;
  }

  /** Takes memory of the parser back. Memory that has gone to another thread comes back from there. */
  giveBack(bytes: Uint8Array): void {
    if (!this.#lent.delete(bytes.buffer)) return;
    this.keep(bytes.buffer as SharedArrayBuffer);
    this.#wake();
  }

  /** Somebody waits for memory that others hold. */
  get isShort(): boolean {
    return this.#waiting.size > 0;
  }

  /** Calls back, in a later turn, when there may be some again. It is asked for once more then, or waited for again. */
  whenFree(resume: () => void): void {
    this.#waiting.add(resume);
  }

  stopWaiting(resume: () => void): void {
    this.#waiting.delete(resume);
  }

  /** One after the other, as long as there is some: the first may need none any more. */
  #wake(): void {
    const [resume] = this.#waiting;
    if (resume === undefined || this.#lent.size >= LENT_MAX) return;
    this.#waiting.delete(resume);
    nextTurn(() => {
      resume();
      this.#wake();
    });
  }

  /** The record goes to another thread with its memory. null: these bytes are no record in lent memory. */
  passOn(bytes: Uint8Array, start: number): SharedArrayBuffer | null {
    if (start !== 0 || this.#lent.get(bytes.buffer) !== bytes) return null;
    this.#lent.delete(bytes.buffer);
    this.#wake();
    return bytes.buffer as SharedArrayBuffer;
  }

  /** For a call that did not come in lent memory. */
  takeMemory(): SharedArrayBuffer {
    const memory = this.#spare.pop() ?? new SharedArrayBuffer(LONG_BATCH_SIZE);
    this.#unused = Math.min(this.#unused, this.#spare.length);
    return memory;
  }

  /** It was passed on or taken, and is of no more use. */
  keep(memory: SharedArrayBuffer): void {
    this.#spare.push(memory);
  }

  /** Once a second: those that nobody has used since the last time are given up, and returned. */
  trim(): readonly SharedArrayBuffer[] {
    const trimmed = this.#spare.splice(0, this.#unused);
    this.#unused = this.#spare.length;
    return trimmed;
  }
}
