/**
 * Removes what is in a directory, down to nothing. A directory in it that is not empty is moved up into it first, under a number. So
 * nothing is deeper than one level when it is entered, and no level of a tree needs a descriptor of its own.
 */
import { constants } from 'node:os';
import type { DirectoryReader } from '../../system/directory-entries.ts';
import {
  AT_REMOVEDIR,
  close,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openAt,
  renameAt,
  unlinkAt,
} from '../../system/file-calls.ts';
import { REFUSED } from '../../system/write-gate.ts';
import { errnoName } from '../failures/errno-outcomes.ts';
import { isDot, isDotDot } from '../names/names.ts';
import type { Volume } from '../volume/volume.ts';

const { EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } = constants.errno;
const encoder = new TextEncoder();
export const DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
/** Objects whose space is given back at once, in other threads. */
const CLOSING_MAX = 100;
/** Names of a directory that are read at once. */
const NAMES_MAX = 500;

export class Emptying {
  readonly #volume: Volume;
  readonly #reader: DirectoryReader;
  readonly #place: number;
  /** Directories in the place, of which the first is being emptied. */
  #directories: Uint8Array[];
  /** -1: none is open. */
  #fd: number;
  #names: Uint8Array[];
  #nextNumber: number;
  #closing: number;

  /** place: a descriptor of the directory, which stays the caller's. */
  constructor(volume: Volume, reader: DirectoryReader, place: number) {
    this.#volume = volume;
    this.#reader = reader;
    this.#place = place;
    this.#directories = namesIn(reader, place, Number.POSITIVE_INFINITY);
    this.#fd = -1;
    this.#names = [];
    this.#nextNumber = 1 + Math.max(0, ...this.#directories.map((name) => Number(text(name)) || 0));
    this.#closing = 0;
  }

  /** Until `until` (performance.now()). 'done', 'goesOn', or why something can't be removed, as a sentence. */
  goOn(until: number): 'done' | 'goesOn' | { readonly problem: string } {
    this.#closing = 0;
    while (performance.now() < until && this.#closing < CLOSING_MAX) {
      const name = this.#names.pop();
      const result = name === undefined ? this.#readOn() : this.#remove(name);
      if (result === 'done' || result === -REFUSED) return result === 'done' ? 'done' : 'goesOn';
      if (typeof result === 'number' && result < 0) {
        const what = name === undefined ? 'one of its directories' : `"${text(name)}"`;
        return { problem: `${what} can't be removed (${errnoName(-result)})` };
      }
    }
    return 'goesOn';
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }

  /** The next names of the directory; when there are none, it is removed, and the next one entered. */
  #readOn(): 'done' | number {
    const directory = this.#directories[0];
    if (directory === undefined) return 'done';
    if (this.#fd < 0) {
      this.#fd = openAt(this.#place, directory, DIRECTORY);
      // Something of another kind: removed as what it is.
      if (this.#fd === -ENOTDIR) {
        this.#directories.shift();
        return this.#unlink(this.#place, directory, 0);
      }
      if (this.#fd < 0) return this.#fd;
    }
    this.#names = namesIn(this.#reader, this.#fd, NAMES_MAX);
    if (this.#names.length > 0) return 0;
    this.close();
    this.#directories.shift();
    return this.#unlink(this.#place, directory, AT_REMOVEDIR);
  }

  #remove(name: Uint8Array): number {
    const held = openAt(this.#fd, name, O_PATH | O_NOFOLLOW);
    const removed = this.#unlink(this.#fd, name, 0);
    if (held >= 0 && removed >= 0) {
      // The last close gives back the space, which may take long.
      this.#volume.asyncClose.close(held);
      this.#closing += 1;
    } else if (held >= 0) close(held);
    if (removed !== -EISDIR && removed !== -EPERM) return removed;
    const emptied = this.#unlink(this.#fd, name, AT_REMOVEDIR);
    if (emptied === -ENOTDIR) return removed;
    if (emptied !== -ENOTEMPTY && emptied !== -EEXIST) return emptied;
    const number = encoder.encode(String(this.#nextNumber++));
    const moved = renameAt(this.#volume.gate, this.#fd, name, this.#place, number);
    if (moved >= 0) this.#directories.push(number);
    return moved;
  }

  #unlink(dir: number, name: Uint8Array, flags: number): number {
    const result = unlinkAt(this.#volume.gate, dir, name, flags);
    return result === -ENOENT ? 0 : result;
  }
}

/** From the beginning; `.` and `..` are none. */
export function namesIn(reader: DirectoryReader, dir: number, max: number): Uint8Array[] {
  const names: Uint8Array[] = [];
  if (reader.start(dir, 0n) < 0) return names;
  while (names.length < max && reader.next() === 1) {
    if (!isDot(reader.name) && !isDotDot(reader.name)) names.push(reader.name.slice());
  }
  return names;
}

const text = (name: Uint8Array): string => new TextDecoder().decode(name);
