/**
 * Makes a file's data durable for stable WRITEs and COMMITs, in libuv's pool. Requests for the same file that come
 * while a flush of it runs share the next one: what they wrote may have come too late for the running one.
 */
import { constants } from 'node:os';
import { dataLane, type FlushDepth } from '../system/flush-lane.ts';
import type { FileTable } from './file-table.ts';
import type { OpenFile } from './open-file.ts';

type Waiter = (result: number) => void;

interface Running {
  next: Waiter[];
  nextDepth: FlushDepth;
}

export class DataFlusher {
  private readonly table: FileTable;
  private readonly running: Map<OpenFile, Running>;

  constructor(table: FileTable) {
    this.table = table;
    this.running = new Map();
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
    if (fd < 0) {
      this.running.delete(file);
      for (const waiter of waiters) waiter(fd);
      return;
    }
    this.running.set(file, { next: [], nextDepth: 'data' });
    this.table.pin(file);
    const ended = (error: NodeJS.ErrnoException | null): void => {
      this.table.unpin(file);
      const result = error === null ? 0 : (error.errno ?? -constants.errno.EIO);
      const { next, nextDepth } = this.running.get(file)!;
      this.running.delete(file);
      for (const waiter of waiters) waiter(result);
      if (next.length > 0) this.startNext(file, nextDepth, next);
    };
    dataLane.flush(fd, depth, ended);
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
