/**
 * fsync and fdatasync in libuv's pool, a bounded number at once. The pool belongs to the whole process: on a disk that
 * is slow or stuck, flushes must not take all its threads, or the journal of the other disk set, and the agent's own
 * look-ups, would wait for that disk too. (main.ts gives the pool 64 threads. Each thread that changes volumes has lanes of its own.)
 */
import { fdatasync, fsync, type NoParamCallback } from 'node:fs';

export type FlushDepth = 'data' | 'all';

interface Flush {
  readonly fd: number;
  readonly depth: FlushDepth;
  readonly done: NoParamCallback;
}

export class FlushLane {
  private readonly atOnceMax: number;
  private running: number;
  private waiting: Flush[];
  private next: number;

  constructor(atOnceMax: number) {
    this.atOnceMax = atOnceMax;
    this.running = 0;
    this.waiting = [];
    this.next = 0;
  }

  /** The descriptor must stay open until `done` is called. data: fdatasync(2). all: fsync(2). */
  flush(fd: number, depth: FlushDepth, done: NoParamCallback): void {
    if (this.running < this.atOnceMax) this.start({ fd, depth, done });
    else this.waiting.push({ fd, depth, done });
  }

  private start({ fd, depth, done }: Flush): void {
    this.running += 1;
    const ended: NoParamCallback = (error) => {
      this.running -= 1;
      this.startNext();
      done(error);
    };
    if (depth === 'all') fsync(fd, ended);
    else fdatasync(fd, ended);
  }

  private startNext(): void {
    if (this.next === this.waiting.length) return;
    const flush = this.waiting[this.next]!;
    this.next += 1;
    if (this.next === this.waiting.length) {
      this.waiting = [];
      this.next = 0;
    }
    this.start(flush);
  }
}

/** For files' data: stable WRITEs and COMMITs. */
export const dataLane = new FlushLane(8);
/** For directories and files of journalled operations. Journals themselves (one flush a volume) need no lane. */
export const metadataLane = new FlushLane(4);
