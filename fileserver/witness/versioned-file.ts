/**
 * A small file whose versions follow one another, each written by one process alone, without a lock. A process that is frozen at
 * any point (SIGSTOP, a paused container) holds nothing that another one waits for.
 */
import { linkSync, renameSync } from 'node:fs';
import { open, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';

//   <name>-<n>    version n, complete and never changed; the greatest n is the file as it is
//
// link(2) makes a name that does not exist yet, or fails: of all who write version n + 1, one succeeds. Old versions are
// removed once KEPT newer ones exist. So a writer that was held up may find a number free again; it sees how far the others
// have come and says that it does not know.

const KEPT = 16;

export interface FileVersion {
  readonly number: number;
  readonly text: string;
}

let written = 0;

export class VersionedFile {
  readonly #directory: string;
  readonly #name: string;

  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  /** Null: there is none yet. Rejects with the errors of readdir(3) and read(2). */
  async newest(): Promise<FileVersion | null> {
    for (;;) {
      const number = Math.max(...(await this.#numbers()), 0);
      if (number === 0) return null;
      try {
        // Read after the names: had a newer version been complete before, it would be among them or this one gone by now.
        return { number, text: await readFile(this.#path(number), 'utf8') };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }

  /**
   * Writes version `number`, 1 or greater; the one before it is to exist. `taken`: another process has written it. `unknown`:
   * whether this one counts is not known. Rejects as long as nothing is written.
   *
   * @param made is called in the same turn as the version comes into being.
   */
  async add(number: number, text: string, made = (): void => {}): Promise<'added' | 'taken' | 'unknown'> {
    try {
      await this.#prepared(text, (temporary) => linkSync(temporary, this.#path(number)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'taken';
      throw error;
    }
    return this.#settle(number, made);
  }

  /** Writes version `number`, in place of one that is there: for a file whose version n is one process's alone. */
  async put(number: number, text: string): Promise<void> {
    await this.#prepared(text, (temporary) => renameSync(temporary, this.#path(number)));
    await this.#settle(number, () => {});
  }

  /** `place` gives the complete file its name. */
  async #prepared(text: string, place: (temporary: string) => void): Promise<void> {
    written += 1;
    const temporary = join(this.#directory, `.${this.#name}-${process.pid}-${written}.tmp`);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(text);
        await file.datasync();
      } finally {
        await file.close();
      }
      place(temporary);
    } finally {
      await unlink(temporary).catch(() => {});
    }
  }

  async #settle(number: number, made: () => void): Promise<'added' | 'unknown'> {
    try {
      made();
      const directory = await open(this.#directory, 'r');
      await directory.sync().finally(() => directory.close());
      const numbers = await this.#numbers();
      const newest = Math.max(...numbers);
      const old = numbers.filter((one) => one <= newest - KEPT);
      await Promise.all(old.map((one) => unlink(this.#path(one)).catch(() => {})));
      return old.includes(number) ? 'unknown' : 'added';
    } catch {
      return 'unknown';
    }
  }

  #path(number: number): string {
    return join(this.#directory, `${this.#name}-${number}`);
  }

  async #numbers(): Promise<number[]> {
    const prefix = `${this.#name}-`;
    const names = await readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .filter((name) => name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length)))
      .map((name) => Number(name.slice(prefix.length)));
  }
}
