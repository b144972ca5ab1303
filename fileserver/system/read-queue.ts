/**
 * Reads that have to wait for a disk, in libuv's pool, a bounded number at once. A disk that is slow or stuck must not take all
 * threads of a pool that belongs to the whole process (see flush-queue.ts).
 */
import { constants } from 'node:os';
import { read } from './pool-calls.ts';

interface Read {
  readonly fd: number;
  readonly into: Uint8Array;
  readonly at: number;
  readonly size: number;
  readonly offset: number | bigint;
  /** Bytes read, or -errno. */
  readonly done: (result: number) => void;
  /** performance.now() */
  readonly sinceMs: number;
}

export class ReadQueue {
  readonly #atOnceMax: number;
  readonly #running: Set<Read>;
  #waiting: Read[];

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
    this.#running = new Set();
    this.#waiting = [];
  }

  /** Into into[at .. at + size). The descriptor must stay open, and the bytes unused, until `done` is called. */
  read(
    fd: number,
    into: Uint8Array,
    at: number,
    size: number,
    offset: number | bigint,
    done: (result: number) => void,
  ): void {
    const one: Read = { fd, into, at, size, offset, done, sinceMs: performance.now() };
    if (this.#running.size < this.#atOnceMax) this.#start(one);
    else this.#waiting.push(one);
  }

  /** Since when the oldest read waits, on the clock of performance.now(); null: none does. */
  get waitingSinceMs(): number | null {
    for (const { sinceMs } of this.#running) return sinceMs;
    return null;
  }

  #start(one: Read): void {
    this.#running.add(one);
    read(one.fd, one.into, one.at, one.size, one.offset, (error, bytesRead) => {
      this.#running.delete(one);
      // Among the calls in the pool, this is the one that libuv does not repeat itself.
      if (error?.code === 'EINTR') {
        this.#start(one);
        return;
      }
      const next = this.#waiting.shift();
      if (next !== undefined) this.#start(next);
      one.done(error === null ? bytesRead : (error.errno ?? -constants.errno.EIO));
    });
  }
}
