/**
 * Makes a file's data durable for stable WRITEs and COMMITs, in libuv's pool. Requests for the same file that come
 * while a flush of it runs share the next one: what they wrote may have come too late for the running one.
 */
import { constants } from 'node:os';
import { syncFileSystem } from '../system/file-system-info.ts';
import { dataLane, type FlushDepth } from '../system/flush-lane.ts';
import type { FileTable } from './file-table.ts';
import type { OpenFile } from './open-file.ts';
import type { Volume } from './volume.ts';

const { EIO, ESTALE } = constants.errno;

type Waiter = (result: number) => void;

interface Running {
  next: Waiter[];
  nextDepth: FlushDepth;
}

/** Files with unstable data that are remembered one by one; if there are more, all of the file system is flushed. */
const UNSTABLE_FILES_MAX = 4096;

export class DataFlusher {
  private readonly table: FileTable;
  private readonly running: Map<OpenFile, Running>;
  /** Written unstable and not flushed since. */
  private readonly unstable: Set<OpenFile>;
  private unstableOverflow: boolean;

  constructor(table: FileTable) {
    this.table = table;
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
    const running = this.running.get(file);
    if (running === undefined) {
      this.start(file, depth, [done]);
      return;
    }
    running.next.push(done);
    if (depth === 'all') running.nextDepth = 'all';
  }

  private start(file: OpenFile, depth: FlushDepth, waiters: readonly Waiter[]): void {
    const fd = this.table.readFd(file);
    this.unstable.delete(file);
    if (fd < 0) {
      this.running.delete(file);
      for (const waiter of waiters) waiter(fd);
      return;
    }
    this.running.set(file, { next: [], nextDepth: 'data' });
    this.table.pin(file);
    const ended = (error: NodeJS.ErrnoException | null): void => {
      this.table.unpin(file);
      const result = error === null ? 0 : (error.errno ?? -EIO);
      const { next, nextDepth } = this.running.get(file)!;
      this.running.delete(file);
      for (const waiter of waiters) waiter(result);
      if (next.length > 0) this.startNext(file, nextDepth, next);
    };
    dataLane.flush(fd, depth, file.volume.flushTimes, ended);
  }

  /** A waiter may have asked for another flush already: then these join it. */
  private startNext(file: OpenFile, depth: FlushDepth, waiters: Waiter[]): void {
    const again = this.running.get(file);
    if (again === undefined) {
      this.start(file, depth, waiters);
      return;
    }
    again.next.push(...waiters);
    if (depth === 'all') again.nextDepth = 'all';
  }
}
