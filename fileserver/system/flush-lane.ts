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
  /** Its own, or that of a flush of the same descriptor that ran at the same time. */
  fault: NodeJS.ErrnoException | null;
}

interface Ended {
  readonly flush: Flush;
  /** Those that ran when it ended. */
  readonly waitsFor: Set<Flush>;
}

/**
 * Flushes of one descriptor that run at the same time. That something could not be written the kernel tells each
 * descriptor once (errseq_t): whichever flush asks first hears it, and the others hear that all is well. So the success
 * of one counts when those that ran beside it have ended, and the failure of one is that of them all.
 */
class Together {
  private readonly running: Set<Flush>;
  private ended: Ended[];

  constructor() {
    this.running = new Set();
    this.ended = [];
  }

  get isEmpty(): boolean {
    return this.running.size === 0 && this.ended.length === 0;
  }

  begin(flush: Flush): void {
    this.running.add(flush);
  }

  /** Those whose result is certain now: `fault` of each. */
  end(flush: Flush, error: NodeJS.ErrnoException | null): readonly Flush[] {
    this.running.delete(flush);
    flush.fault ??= error;
    if (error !== null) {
      for (const other of this.running) other.fault ??= error;
      for (const { flush: other, waitsFor } of this.ended) if (waitsFor.has(flush)) other.fault ??= error;
    }
    if (this.running.size === 0 && this.ended.length === 0) return [flush];
    this.ended.push({ flush, waitsFor: new Set(this.running) });
    const certain: Flush[] = [];
    this.ended = this.ended.filter(({ flush: other, waitsFor }) => {
      waitsFor.delete(flush);
      if (waitsFor.size > 0 && other.fault === null) return true;
      certain.push(other);
      return false;
    });
    return certain;
  }
}

/** By descriptor, of all lanes of this thread. */
const together = new Map<number, Together>();

export interface FlushCalls {
  readonly fsync: (fd: number, done: NoParamCallback) => void;
  readonly fdatasync: (fd: number, done: NoParamCallback) => void;
}

export class FlushLane {
  private readonly atOnceMax: number;
  private readonly calls: FlushCalls;
  private running: number;
  private waiting: Flush[];
  private next: number;

  constructor(atOnceMax: number, calls: FlushCalls = { fsync, fdatasync }) {
    this.atOnceMax = atOnceMax;
    this.calls = calls;
    this.running = 0;
    this.waiting = [];
    this.next = 0;
  }

  /** The descriptor must stay open until `done` is called. data: fdatasync(2). all: fsync(2). */
  flush(fd: number, depth: FlushDepth, times: FlushTimes, done: NoParamCallback): void {
    if (this.running < this.atOnceMax) this.start({ fd, depth, times, done, fault: null });
    else this.waiting.push({ fd, depth, times, done, fault: null });
  }

  private start(flush: Flush): void {
    const { fd, depth, times } = flush;
    this.running += 1;
    let beside = together.get(fd);
    if (beside === undefined) {
      beside = new Together();
      together.set(fd, beside);
    }
    const mine = beside;
    mine.begin(flush);
    const begun = performance.now();
    const ended: NoParamCallback = (error) => {
      times.add(performance.now() - begun);
      this.running -= 1;
      const certain = mine.end(flush, error);
      if (mine.isEmpty) together.delete(fd);
      this.startNext();
      for (const { done, fault } of certain) done(fault);
    };
    if (depth === 'all') this.calls.fsync(fd, ended);
    else this.calls.fdatasync(fd, ended);
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
