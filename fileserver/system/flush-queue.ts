/**
 * fsync and fdatasync in libuv's pool, a bounded number at once. The pool belongs to the whole process: On a disk that is slow or
 * stuck, flushes must not take all its threads, or the journal of the other disk set, and the agent's own look-ups, would wait
 * for that disk too. (main.ts gives the pool 64 threads. Each thread that changes volumes has queues of its own.)
 */

import type { NoParamCallback } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fdatasync, fsync } from './pool-calls.ts';

export type FlushDepth = 'data' | 'all';

/** The flushes of one volume: how many there were, and which are under way. */
export class FlushTimes {
  /** Number of flushes that have ended. */
  count = 0;
  /** Time that they took together, from when the disk was asked. ms */
  ms = 0;
  /** Asked for, and the caller has not been told of the end. */
  underWay = 0;
  #waiters: (() => void)[] = [];

  begin(): void {
    this.underWay += 1;
  }

  /** The disk has answered. */
  took(ms: number): void {
    this.count += 1;
    this.ms += ms;
  }

  /** The caller has been told. What it has begun by then is under way in turn. */
  end(): void {
    this.underWay -= 1;
    if (this.underWay > 0 || this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Resolves when none is under way, however long that takes. */
  whenEnded(): Promise<void> {
    if (this.underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

/** File or file system to be flushed. */
export interface FlushTarget {
  /** Stays open until the flush is done. */
  readonly fd: number;
  /** The same for all descriptors of an object. (Where two volumes have the same one, they wait for each other.) */
  readonly key: string;
  /** data: fdatasync(2). all: fsync(2). */
  readonly depth: FlushDepth;
}

interface Flush extends FlushTarget {
  readonly times: FlushTimes;
  readonly done: NoParamCallback;
  /** Its own, or that of a flush of the same object that ran at the same time. */
  fault: NodeJS.ErrnoException | null;
}

/** A success that is not certain yet. */
interface Ended {
  readonly flush: Flush;
  readonly waitsFor: Set<Flush>;
}

/**
 * Flushes of one object that run at the same time. That something could not be written the kernel tells each descriptor once
 * (errseq_t). Whichever flush asks first hears it, and the others hear that all is well; and a descriptor that is opened after
 * somebody has heard it, never. So the success of a flush counts when those have ended that ran beside it with the same
 * descriptor, and those that began before it with another. The failure of one is that of them all.
 */
class Together {
  /** In the order of beginning. Nearly always one, seldom dozens. */
  readonly #running: Flush[] = [];
  #ended: Ended[] = [];

  get isEmpty(): boolean {
    return this.#running.length === 0 && this.#ended.length === 0;
  }

  begin(flush: Flush): void {
    this.#running.push(flush);
  }

  /** Those whose result is certain now: `fault` of each. */
  end(flush: Flush, error: NodeJS.ErrnoException | null): readonly Flush[] {
    flush.fault ??= error;
    if (this.#running.length === 1 && this.#ended.length === 0) {
      this.#running.pop();
      return [flush];
    }
    const waitsFor = this.#besides(flush);
    this.#running.splice(this.#running.indexOf(flush), 1);
    // Nearly none fails, and dozens may run beside it.
    if (error !== null) {
      for (const other of this.#running) other.fault ??= error;
      for (const { flush: other, waitsFor } of this.#ended) if (waitsFor.has(flush)) other.fault ??= error;
    }
    this.#ended.push({ flush, waitsFor });
    const certain: Flush[] = [];
    this.#ended = this.#ended.filter(({ flush: other, waitsFor }) => {
      waitsFor.delete(flush);
      if (waitsFor.size > 0 && other.fault === null) return true;
      certain.push(other);
      return false;
    });
    return certain;
  }

  /** Those that may have been told of an error that belongs to this one. */
  #besides(flush: Flush): Set<Flush> {
    const found = new Set<Flush>();
    let earlier = true;
    for (const other of this.#running) {
      if (other === flush) earlier = false;
      else if (earlier || other.fd === flush.fd) found.add(other);
    }
    return found;
  }
}

/** By key, of all queues of this thread. */
const together = new Map<string, Together>();
/** Empty ones, for the flushes to come: nearly every flush has one of its own. */
const spare: Together[] = [];
const SPARE_MAX = 16;

export interface FlushCalls {
  readonly fsync: (fd: number, done: NoParamCallback) => void;
  readonly fdatasync: (fd: number, done: NoParamCallback) => void;
}

export class FlushQueue {
  readonly #atOnceMax: number;
  readonly #calls: FlushCalls;
  #running = 0;
  #waiting: Flush[] = [];
  #next = 0;

  constructor(atOnceMax: number, calls: FlushCalls = { fsync, fdatasync }) {
    this.#atOnceMax = atOnceMax;
    this.#calls = calls;
  }

  /** One more would begin at once. */
  get hasRoom(): boolean {
    return this.#running < this.#atOnceMax;
  }

  flush(target: FlushTarget, times: FlushTimes, done: NoParamCallback): void {
    const flush = { ...target, times, done, fault: null };
    times.begin();
    if (this.hasRoom) this.#start(flush);
    else this.#waiting.push(flush);
  }

  #start(flush: Flush): void {
    const { fd, key, depth, times } = flush;
    this.#running += 1;
    let beside = together.get(key);
    if (beside === undefined) {
      beside = spare.pop() ?? new Together();
      together.set(key, beside);
    }
    const mine = beside;
    mine.begin(flush);
    const begunAt = performance.now();
    const ended: NoParamCallback = (error) => {
      times.took(performance.now() - begunAt);
      this.#running -= 1;
      const certain = mine.end(flush, error);
      if (mine.isEmpty) {
        together.delete(key);
        if (spare.length < SPARE_MAX) spare.push(mine);
      }
      this.#startNext();
      for (const { done, fault, times: ofVolume } of certain) {
        done(fault);
        ofVolume.end();
      }
    };
    if (depth === 'all') this.#calls.fsync(fd, ended);
    else this.#calls.fdatasync(fd, ended);
  }

  #startNext(): void {
    if (this.#next === this.#waiting.length) return;
    const flush = this.#waiting[this.#next]!;
    this.#next += 1;
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    this.#start(flush);
  }
}

/** For files' data: stable WRITEs and COMMITs. */
export const dataFlushes = new FlushQueue(8);
/** For directories and files of journalled operations. Journals themselves (one flush a volume) need no queue. */
export const metadataFlushes = new FlushQueue(4);
