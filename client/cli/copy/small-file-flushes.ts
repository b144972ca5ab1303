/** Flushes of many small files: those that are asked for while one runs are done together, by one flush of the file system. */

// A flush of each file costs a copy of small files most of its time: a disk does some hundred in a second, one after the other. A
// flush of the whole file system takes hardly longer than that of one file, unless other programs have written much to it.

/** Resolves with whether all that was written before is on the disk. */
export type SyncFileSystem = () => Promise<boolean>;

export interface Flushed {
  sync(): Promise<void>;
}

/** Fewer are flushed one by one. */
const TOGETHER_MIN = 4;
/** Others write so much that it is no help. Ms. */
const HELPS_MS_MAX = 1000;

interface Waiting {
  readonly file: Flushed;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SmallFileFlushes {
  readonly #syncAll: SyncFileSystem;
  readonly #now: () => number;
  #waiting: Waiting[] = [];
  #running = false;
  #helps = true;

  constructor(syncAll: SyncFileSystem, now: () => number = () => performance.now()) {
    this.#syncAll = syncAll;
    this.#now = now;
  }

  /** Resolves when the file, as it is now, is on the disk; rejects with what its own fsync(2) says. */
  flush(file: Flushed): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ file, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      if (await this.#together(group)) for (const { resolve } of group) resolve();
      else await Promise.all(group.map(({ file, resolve, reject }) => file.sync().then(resolve, reject)));
    }
    this.#running = false;
  }

  /** False: each has to be flushed by itself, also to learn which of them has failed. */
  async #together(group: readonly Waiting[]): Promise<boolean> {
    if (!this.#helps || group.length < TOGETHER_MIN) return false;
    const begunMs = this.#now();
    const done = await this.#syncAll().catch(() => false);
    this.#helps = done && this.#now() - begunMs <= HELPS_MS_MAX;
    return done;
  }
}
