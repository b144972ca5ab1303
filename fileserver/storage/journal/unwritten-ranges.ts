/** Ranges of the journal that are appended and not written out yet: at most one of the active segment's file and one of the file before. */
import { fdatasyncSync } from 'node:fs';

export interface FileRange {
  readonly fd: number;
  readonly from: number;
  readonly size: number;
}

export class UnwrittenRanges {
  /** In the file of the active segment. */
  #from: number;
  /** In the file before: answers, mostly, that others' intents in the active segment rely on. null: nothing. */
  #before: FileRange | null = null;

  constructor(from: number) {
    this.#from = from;
  }

  /** The file that was active until now was filled to `end`. The next one is written from its beginning. */
  beginFile(fd: number, end: number): void {
    const size = end - this.#from;
    if (size > 0) {
      // Can't be: a segment holds many times what is appended between two writeOut().
      if (this.#before !== null) fdatasyncSync(this.#before.fd);
      this.#before = { fd, from: this.#from, size };
    }
    this.#from = 0;
  }

  /** The file of beginFile() is not active after all; the one before is full. */
  takeBackFile(end: number): void {
    this.#from = end;
  }

  /** All of it, where the active file is filled to `end`; from now on it counts as written out. */
  take(fd: number, end: number): FileRange[] {
    const active = { fd, from: this.#from, size: end - this.#from };
    const ranges = this.#before === null ? [active] : [this.#before, active];
    this.#before = null;
    this.#from = end;
    return ranges;
  }
}

type Done = (error: Error | null) => void;

/** One range after the other, until one fails. */
export function oneByOne(
  ranges: FileRange[],
  work: (range: FileRange, next: Done) => void,
  done: Done,
): void {
  const [first, ...others] = ranges;
  if (first === undefined) done(null);
  else work(first, (error) => (error === null ? oneByOne(others, work, done) : done(error)));
}
