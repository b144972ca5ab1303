/**
 * What the data threads show each other and the agent without being asked, in shared memory: that they turn, and how
 * many of their connections have ended. Read by threads that must not wait for an answer.
 */
import { bootMs } from '../system/boottime.ts';

/** A thread that is not busy writes its time this often. ms */
export const TURN_MS = 250;

export class ThreadBoard {
  readonly buffer: SharedArrayBuffer;
  private readonly turnedAt: Float64Array;
  private readonly ended: Int32Array;

  static allocate(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(threads * 12);
  }

  constructor(buffer: SharedArrayBuffer) {
    const threads = buffer.byteLength / 12;
    this.buffer = buffer;
    this.turnedAt = new Float64Array(buffer, 0, threads);
    this.ended = new Int32Array(buffer, threads * 8, threads);
  }

  get threads(): number {
    return this.turnedAt.length;
  }

  /** The thread is alive and its event loop turns. */
  turn(thread: number): void {
    Atomics.load(this.ended, thread);
    this.turnedAt[thread] = bootMs();
  }

  /** ms since the thread last said so; 0 if it has not started yet. */
  silentMs(thread: number): number {
    Atomics.load(this.ended, thread);
    const at = this.turnedAt[thread]!;
    return at === 0 ? 0 : Math.max(0, bootMs() - at);
  }

  /** All of them have started: what they are told is done at once. */
  get allStarted(): boolean {
    Atomics.load(this.ended, 0);
    return this.turnedAt.every((at) => at > 0);
  }

  connectionEnded(thread: number): void {
    Atomics.add(this.ended, thread, 1);
  }

  connectionsEnded(thread: number): number {
    return Atomics.load(this.ended, thread);
  }
}
