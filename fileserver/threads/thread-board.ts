/**
 * State that the data threads publish to each other and the agent unasked, in shared memory: that they turn, how many of
 * their connections have ended, and how many of them poll (adaptive-poller.ts). Read by threads that must not wait for an
 * answer.
 */
import { availableParallelism } from 'node:os';
import { bootMs } from '../system/boottime.ts';

/** A thread that is not busy writes its time this often. ms */
export const TURN_MS = 250;
/** Threads that may poll at the same time: none where there is one processor. */
const AWAKE_MAX = availableParallelism() - 1;

export class ThreadBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #turnedAt: Float64Array;
  readonly #ended: Int32Array;
  /** One number. */
  readonly #awake: Int32Array;

  static allocate(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(threads * 12 + 8);
  }

  constructor(buffer: SharedArrayBuffer) {
    const threads = Math.floor(buffer.byteLength / 12);
    this.buffer = buffer;
    this.#turnedAt = new Float64Array(buffer, 0, threads);
    this.#ended = new Int32Array(buffer, threads * 8, threads);
    this.#awake = new Int32Array(buffer, threads * 12, 1);
  }

  get threads(): number {
    return this.#turnedAt.length;
  }

  /** The thread is alive and its event loop turns. */
  turn(thread: number): void {
    Atomics.load(this.#ended, thread);
    this.#turnedAt[thread] = bootMs();
  }

  /** ms since the thread last said so; 0 if it has not started yet. */
  silentMs(thread: number): number {
    Atomics.load(this.#ended, thread);
    const at = this.#turnedAt[thread]!;
    return at === 0 ? 0 : Math.max(0, bootMs() - at);
  }

  /** All of them have started: what they are told is done at once. */
  get allStarted(): boolean {
    Atomics.load(this.#ended, 0);
    return this.#turnedAt.every((at) => at > 0);
  }

  /** true: then until fallAsleep(). */
  mayBusyPoll(): boolean {
    if (Atomics.add(this.#awake, 0, 1) < AWAKE_MAX) return true;
    Atomics.sub(this.#awake, 0, 1);
    return false;
  }

  fallAsleep(): void {
    Atomics.sub(this.#awake, 0, 1);
  }

  connectionEnded(thread: number): void {
    Atomics.add(this.#ended, thread, 1);
  }

  connectionsEnded(thread: number): number {
    return Atomics.load(this.#ended, thread);
  }
}
