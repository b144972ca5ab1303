/**
 * Makes a file's data durable for stable WRITEs and COMMITs, in libuv's pool. Requests for the same file that come while a flush
 * of it runs share the next one: what they wrote may have come too late for the running one.
 */

import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { close } from '../../system/file-calls.ts';
import { dataFlushes, type FlushDepth, type FlushQueue } from '../../system/flush-queue.ts';
import type { FileTable } from '../files/file-table.ts';
import type { OpenFile } from '../files/open-file.ts';
import type { Volume } from '../volume/volume.ts';

// A file is pinned from the first request to the end of the last: a file that is removed meanwhile keeps its descriptors, and what
// was written before the removal is flushed. Where there is no descriptor to flush by (no permission to read the file, too many
// open files, no memory), the whole file system is flushed instead: that takes longer and needs none.
//
// A file that was written unstable keeps its descriptors until it is flushed (OpenFile.unflushed), and is flushed after a while
// if nobody asks for it. So no error of the kernel's own write-back is lost, however late it comes and whatever else needs memory
// or descriptors. Where there are more such files than may keep descriptors, the whole file system is flushed for the rest, by a
// descriptor of the volume that has been open since before they were written. It is told of every error of any file.
//
// The next one begins when the running one ends. On a disk that always takes long it begins before, with a descriptor of its
// own:
//
//   write A   flush A ------------------------> answer
//   write B, C    |  OVERLAP_AFTER_MS |  flush B, C ------------------------> answers
//
// File systems join such flushes in one commit of their log, where two in a row are two.

const { ESTALE } = constants.errno;

/**
 * ok: the data is durable. stale: the file has no name any more, so the data belongs to no file. ioError: It may be lost, and a
 * later flush that ends well proves nothing: the caller fails the volume.
 */
export type FlushOutcome = 'ok' | 'stale' | 'ioError';

type Waiter = (outcome: FlushOutcome) => void;

interface Running {
  /** Flushes of the file under way, each with those that wait for it; the first has the file's own descriptor. */
  readonly underWay: Set<Waiter[]>;
  /** When the last of them began. performance.now() */
  begunAt: number;
  next: Waiter[];
  nextDepth: FlushDepth;
  /** Until the next one begins beside those. */
  timer: NodeJS.Timeout | undefined;
}

/** A flush of this age is on a slow disk, if none recently was faster. Fast ones end before, and more would only cost more. ms */
const OVERLAP_AFTER_MS = 2;
/**
 * How much of what a flush took longer than the fastest recently is added to that: a disk that has become slow is taken for one
 * after some dozen flushes. A fast disk whose flushes only wait for a processor shows a fast one before.
 */
const SLOWER = 1 / 16;
/** Requests that come within this time share a flush. ms */
const GATHER_MS = 1;
/** Flushes of one file at once. */
const OVERLAP_MAX = 4;

/** Files with unstable data that are remembered one by one; if there are more, all of their file system is flushed. */
const UNSTABLE_FILES_MAX = 4096;
/** Ticks (about seconds) after which they are flushed by themselves: as long as the kernel waits by default. */
export const UNSTABLE_TICKS = 30;
/** Files flushed by one tick: those of clients that wait should not come last. */
const FLUSHES_PER_TICK = 64;

/** The part of the table of open files that it needs. */
export type FlushTable = Pick<FileTable, 'readFd' | 'ownFd' | 'pin' | 'unpin' | 'unflushedMax'>;

export class DataFlusher {
  readonly #table: FlushTable;
  readonly #running = new Map<OpenFile, Running>();
  /**
   * Written unstable, and no flush has begun since; with the tick at which that was so first, oldest first. Their data, and that of
   * files with flushes under way, may be in memory only.
   */
  readonly #unstable = new Map<OpenFile, number>();
  /** Volumes with more such files than are remembered one by one: how often one of the others was written. */
  readonly #unstableVolumes = new Map<Volume, number>();
  #now = 0;
  readonly #queue: FlushQueue;
  /** Duration of the fastest recent flushes. ms */
  #fastestMs = 0;

  constructor(table: FlushTable, queue: FlushQueue = dataFlushes) {
    this.#table = table;
    this.#queue = queue;
  }

  /** The file has data that is only in memory. It is open for writing. */
  noteUnstable(file: OpenFile): void {
    if (file.unflushed) return;
    if (this.#unstable.size < Math.min(UNSTABLE_FILES_MAX, this.#table.unflushedMax)) {
      file.unflushed = true;
      this.#unstable.set(file, this.#now);
    } else {
      const { volume } = file;
      this.#unstableVolumes.set(volume, (this.#unstableVolumes.get(volume) ?? 0) + 1);
    }
  }

  /** Once a second, while the volumes may be changed: begins to flush what has been unstable for long. */
  tick(): void {
    this.#now += 1;
    let begun = 0;
    for (const [file, since] of this.#unstable) {
      if (this.#now - since < UNSTABLE_TICKS || begun >= FLUSHES_PER_TICK) break;
      if (this.#running.has(file)) continue;
      begun += 1;
      this.flush(file, 'data', (outcome) => failIfLost(file.volume, outcome));
    }
    for (const volume of this.#unstableVolumes.keys())
      this.#flushAll(volume, (outcome) => failIfLost(volume, outcome));
  }

  /** Everything of the volume's file system, for files that are not remembered one by one. */
  #flushAll(volume: Volume, done: Waiter): void {
    const writes = this.#unstableVolumes.get(volume);
    volume.sync((result) => {
      // Those that were written meanwhile may have come too late.
      if (result >= 0 && this.#unstableVolumes.get(volume) === writes) this.#unstableVolumes.delete(volume);
      done(result < 0 ? 'ioError' : 'ok');
    });
  }

  /** Something was written unstable, and its flush has not begun. */
  get hasUnstable(): boolean {
    return this.#unstable.size > 0 || this.#unstableVolumes.size > 0;
  }

  /**
   * Flushes what was written unstable and never committed: file by file, since a volume may be a small part of a large
   * and busy file system. Resolves when these flushes, and those that were under way, have ended: with the volumes whose data may
   * be lost.
   */
  async flushUnstable(): Promise<ReadonlySet<Volume>> {
    const failed = new Set<Volume>();
    const ends: Promise<void>[] = [];
    const waiterOf = (volume: Volume): Waiter => {
      const { promise, resolve } = Promise.withResolvers<void>();
      ends.push(promise);
      return (outcome) => {
        if (outcome === 'ioError') failed.add(volume);
        resolve();
      };
    };
    for (const [{ volume }, { underWay }] of this.#running)
      for (const waiters of underWay) waiters.push(waiterOf(volume));
    for (const volume of this.#unstableVolumes.keys()) this.#flushAll(volume, waiterOf(volume));
    for (const file of [...this.#unstable.keys()]) this.flush(file, 'data', waiterOf(file.volume));
    await Promise.all(ends);
    return failed;
  }

  /**
   * data: what is needed to read the data again. all: also times, mode and the like (FILE_SYNC). Calls back when it has ended,
   * perhaps at once.
   */
  flush(file: OpenFile, depth: FlushDepth, done: Waiter): void {
    let running = this.#running.get(file);
    if (running === undefined) {
      running = { underWay: new Set(), begunAt: 0, next: [], nextDepth: 'data', timer: undefined };
      this.#running.set(file, running);
      this.#table.pin(file);
    }
    running.next.push(done);
    if (depth === 'all') running.nextDepth = 'all';
    if (running.underWay.size === 0) this.#begin(file, running);
    else if (running.timer === undefined && this.#mayOverlap(running)) this.#overlapLater(file, running);
  }

  #mayOverlap({ underWay }: Running): boolean {
    return underWay.size < OVERLAP_MAX && this.#fastestMs > OVERLAP_AFTER_MS;
  }

  #noteFlush(ms: number): void {
    this.#fastestMs = Math.min(ms, this.#fastestMs + SLOWER * (ms - this.#fastestMs));
  }

  #overlapLater(file: OpenFile, running: Running): void {
    const age = performance.now() - running.begunAt;
    const overlap = (): void => {
      running.timer = undefined;
      // Not in the way of other files' first flush.
      if (this.#queue.hasRoom) this.#begin(file, running);
    };
    running.timer = setTimeout(overlap, Math.max(GATHER_MS, OVERLAP_AFTER_MS - age));
  }

  /** Flushes for all that wait. Beside another flush with a descriptor of its own; without one they wait on. */
  #begin(file: OpenFile, running: Running): void {
    const own = running.underWay.size > 0;
    const fd = own ? this.#table.ownFd(file) : this.#table.readFd(file);
    if (own && fd < 0) return;
    clearTimeout(running.timer);
    const { next: waiters, nextDepth: depth } = running;
    running.next = [];
    running.nextDepth = 'data';
    running.timer = undefined;
    running.underWay.add(waiters);
    const begunAt = performance.now();
    running.begunAt = begunAt;
    const { volume } = file;
    // Its descriptors may be younger than an error.
    const known = file.unflushed || !this.#unstableVolumes.has(volume);
    this.#unstable.delete(file);
    file.unflushed = false;
    if (fd === -ESTALE) this.#ended(file, running, waiters, 'stale');
    else if (fd < 0 || !known) {
      if (own) close(fd);
      volume.sync((result) => this.#ended(file, running, waiters, result < 0 ? 'ioError' : 'ok'));
    } else
      this.#queue.flush({ fd, key: file.key, depth }, volume.flushTimes, (error) => {
        if (own) close(fd);
        this.#noteFlush(performance.now() - begunAt);
        this.#ended(file, running, waiters, error === null ? 'ok' : 'ioError');
      });
  }

  #ended(file: OpenFile, running: Running, waiters: Waiter[], flushed: FlushOutcome): void {
    // Nothing is durable on a volume that somebody else has.
    const outcome = flushed === 'ok' && !file.volume.isOurs() ? 'ioError' : flushed;
    // While it still counts: those that ask for the next one now share it.
    for (const waiter of waiters) waiter(outcome);
    running.underWay.delete(waiters);
    if (running.next.length > 0) this.#begin(file, running);
    else if (running.underWay.size === 0) {
      this.#running.delete(file);
      this.#table.unpin(file);
    }
  }
}

function failIfLost(volume: Volume, outcome: FlushOutcome): void {
  if (outcome === 'ioError')
    volume.fail('IoError', `volume ${volume.spec.name}: data that was written unstable could not be flushed`);
}
