/**
 * Makes a file's data durable for stable WRITEs and COMMITs, in libuv's pool. Requests for the same file that come
 * while a flush of it runs share the next one: what they wrote may have come too late for the running one.
 *
 * The next one begins when the running one ends. On a disk that always takes long it begins before, with a descriptor of its
 * own:
 *
 *   write A   flush A ------------------------> answer
 *   write B, C    |  OVERLAP_AFTER_MS |  flush B, C ------------------------> answers
 *
 * File systems join such flushes in one commit of their log, where two in a row are two.
 */
import { constants } from 'node:os';
import { close } from '../system/file-calls.ts';
import { syncFileSystem } from '../system/file-system-info.ts';
import { dataLane, type FlushDepth, type FlushLane } from '../system/flush-lane.ts';
import type { FileTable } from './file-table.ts';
import type { OpenFile } from './open-file.ts';
import type { Volume } from './volume.ts';

const { EIO, ESTALE } = constants.errno;

type Waiter = (result: number) => void;

interface Running {
  /** Flushes of the file under way; the first has the file's own descriptor. */
  count: number;
  /** When the last of them began. performance.now() */
  begunAt: number;
  next: Waiter[];
  nextDepth: FlushDepth;
  /** Until the next one begins beside those. */
  timer: NodeJS.Timeout | null;
}

/** A flush of this age is on a slow disk, if none of late was faster. Fast ones end before, and more would only cost more. ms */
const OVERLAP_AFTER_MS = 2;
/**
 * How much of what a flush took longer than the fastest of late is added to that: a disk that has become slow is taken for one
 * after some dozen flushes. A fast disk whose flushes only wait for a processor shows a fast one before.
 */
const SLOWER = 1 / 16;
/** What comes at the same time shares a flush. ms */
const GATHER_MS = 1;
/** Flushes of one file at once. */
const OVERLAP_MAX = 4;

/** Files with unstable data that are remembered one by one; if there are more, all of the file system is flushed. */
const UNSTABLE_FILES_MAX = 4096;

/** What it needs of the table of open files. */
export type FlushTable = Pick<FileTable, 'readFd' | 'ownFd' | 'pin' | 'unpin'>;

export class DataFlusher {
  private readonly table: FlushTable;
  private readonly running: Map<OpenFile, Running>;
  /** Written unstable and not flushed since. */
  private readonly unstable: Set<OpenFile>;
  private unstableOverflow: boolean;
  private readonly lane: FlushLane;
  /** What the fastest flushes of late took. ms */
  private fastestMs: number;

  constructor(table: FlushTable, lane: FlushLane = dataLane) {
    this.table = table;
    this.lane = lane;
    this.fastestMs = 0;
    this.running = new Map();
    this.unstable = new Set();
    this.unstableOverflow = false;
  }

  /** The file has data that is only in memory. */
  noteUnstable(file: OpenFile): void {
    if (this.unstable.size >= UNSTABLE_FILES_MAX) this.unstableOverflow = true;
    else this.unstable.add(file);
  }

  /**
   * Flushes what was written unstable and never committed: file by file, since a volume may be a small part of a large
   * and busy file system. 0 or -errno.
   */
  async flushUnstable(volumes: Iterable<Volume>): Promise<number> {
    const files = [...this.unstable];
    const everything = this.unstableOverflow;
    this.unstableOverflow = false;
    const flushes = files.map((file) => new Promise<number>((resolve) => this.flush(file, 'data', resolve)));
    const results = await Promise.all(flushes);
    // Removed meanwhile: its data is nobody's any more.
    const failed = results.find((result) => result < 0 && result !== -ESTALE);
    if (failed !== undefined) return failed;
    if (everything) for (const { rootFd } of volumes) if ((await syncFileSystem(rootFd)) < 0) return -EIO;
    return 0;
  }

  /**
   * data: what is needed to read the data again. all: also times, mode and the like (FILE_SYNC).
   * Calls back with 0 or -errno. After an error nothing of the file counts as durable (the caller
   * fails the volume).
   */
  flush(file: OpenFile, depth: FlushDepth, done: Waiter): void {
    let running = this.running.get(file);
    if (running === undefined) {
      running = { count: 0, begunAt: 0, next: [], nextDepth: 'data', timer: null };
      this.running.set(file, running);
    }
    running.next.push(done);
    if (depth === 'all') running.nextDepth = 'all';
    if (running.count === 0) this.begin(file, running);
    else if (running.timer === null && this.mayOverlap(running)) this.overlapLater(file, running);
  }

  private mayOverlap({ count }: Running): boolean {
    return count < OVERLAP_MAX && this.fastestMs > OVERLAP_AFTER_MS;
  }

  private noteFlush(ms: number): void {
    this.fastestMs = Math.min(ms, this.fastestMs + SLOWER * (ms - this.fastestMs));
  }

  private overlapLater(file: OpenFile, running: Running): void {
    const age = performance.now() - running.begunAt;
    const overlap = (): void => {
      running.timer = null;
      // Not in the way of other files' first flush.
      if (this.lane.hasRoom) this.begin(file, running);
    };
    running.timer = setTimeout(overlap, Math.max(GATHER_MS, OVERLAP_AFTER_MS - age));
  }

  /** Flushes for all that wait. Beside another flush with a descriptor of its own; without one they wait on. */
  private begin(file: OpenFile, running: Running): void {
    const own = running.count > 0;
    const fd = own ? this.table.ownFd(file) : this.table.readFd(file);
    if (own && fd < 0) return;
    if (running.timer !== null) clearTimeout(running.timer);
    const { next: waiters, nextDepth: depth } = running;
    running.next = [];
    running.nextDepth = 'data';
    running.timer = null;
    this.unstable.delete(file);
    if (fd < 0) {
      this.running.delete(file);
      for (const waiter of waiters) waiter(fd);
      return;
    }
    running.count += 1;
    const begunAt = performance.now();
    running.begunAt = begunAt;
    this.table.pin(file);
    this.lane.flush({ fd, key: file.key, depth }, file.volume.flushTimes, (error) => {
      if (own) close(fd);
      this.noteFlush(performance.now() - begunAt);
      this.table.unpin(file);
      const result = error === null ? 0 : (error.errno ?? -EIO);
      // While it still counts: those that ask for the next one now share it.
      for (const waiter of waiters) waiter(result);
      running.count -= 1;
      if (running.next.length > 0) this.begin(file, running);
      else if (running.count === 0) this.running.delete(file);
    });
  }
}
