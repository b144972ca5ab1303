/**
 * fsync and fdatasync in libuv's pool, a bounded number at once. The pool belongs to the whole process: on a disk that
 * is slow or stuck, flushes must not take all its threads, or the journal of the other disk set, and the agent's own
 * look-ups, would wait for that disk too. (main.ts gives the pool 64 threads. Each thread that changes volumes has lanes of its own.)
 */
import { fdatasync, fsync, type NoParamCallback } from 'node:fs';

export type FlushDepth = 'data' | 'all';

/** How many flushes there were, and what they took together. ms from when the disk was asked. */
export class FlushTimes {
  count: number;
  ms: number;

  constructor() {
    this.count = 0;
    this.ms = 0;
  }

  add(ms: number): void {
    this.count += 1;
    this.ms += ms;
  }
}

interface Flush {
  readonly times: FlushTimes;
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
  flush(fd: number, depth: FlushDepth, times: FlushTimes, done: NoParamCallback): void {
    if (this.running < this.atOnceMax) this.start({ fd, depth, times, done });
    else this.waiting.push({ fd, depth, times, done });
  }

  private start({ fd, depth, times, done }: Flush): void {
    this.running += 1;
    const begun = performance.now();
    const ended: NoParamCallback = (error) => {
      times.add(performance.now() - begun);
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
