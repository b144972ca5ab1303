/**
 * Flushes the whole file system that a descriptor lies on, one syncfs(2) at a time. Requests that come while one runs share the
 * next: what they wrote may have come too late for the one that runs.
 */
import { constants } from 'node:os';
import { syncFileSystem } from './file-system-info.ts';
import type { FlushTimes } from './flush-queue.ts';

type Done = (result: number) => void;

export class FileSystemSync {
  readonly #fd: number;
  readonly #flushes: FlushTimes;
  readonly #syncfs: (fd: number) => Promise<number>;
  #running: boolean;
  #waiting: Done[];

  /** fd: stays open while one of `flushes` is under way. */
  constructor(fd: number, flushes: FlushTimes, syncfs: (fd: number) => Promise<number> = syncFileSystem) {
    this.#fd = fd;
    this.#flushes = flushes;
    this.#syncfs = syncfs;
    this.#running = false;
    this.#waiting = [];
  }

  /** Calls back with 0 or -errno. */
  sync(done: Done): void {
    this.#flushes.begin();
    this.#waiting.push(done);
    if (!this.#running) this.#begin();
  }

  #begin(): void {
    this.#running = true;
    const waiters = this.#waiting;
    this.#waiting = [];
    const begunAt = performance.now();
    const ended = (result: number): void => {
      this.#flushes.took(performance.now() - begunAt);
      this.#running = false;
      if (this.#waiting.length > 0) this.#begin();
      for (const done of waiters) {
        done(result);
        this.#flushes.end();
      }
    };
    this.#syncfs(this.#fd).then(ended, () => ended(-constants.errno.EIO));
  }
}
