/** Pipes through which long replies go from one socket to another, without passing through memory of this process. */
import { openPipe } from './system-calls.ts';

/** Long enough for a READ of 1 MiB. Bytes. */
export const PIPE_SIZE = 1024 * 1024;
export interface Pipe {
  readonly from: number;
  readonly to: number;
  /** Bytes in it. */
  filled: number;
}

export class Pipes {
  readonly #free: Pipe[] = [];
  readonly #max: number;
  #count = 0;

  /** max: descriptors are limited. Where there is no pipe to be had, a reply is copied. */
  constructor(max: number) {
    this.#max = max;
  }

  /** An empty one. Null: there is none to be had now. */
  take(): Pipe | null {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#count >= this.#max) return null;
    const opened = openPipe(PIPE_SIZE);
    if (opened === null) return null;
    this.#count += 1;
    return { ...opened, filled: 0 };
  }

  giveBack(pipe: Pipe): void {
    this.#free.push(pipe);
  }

  /** It may not be empty, or its reader is gone. */
  destroy(pipe: Pipe, close: (fd: number) => void): void {
    close(pipe.from);
    close(pipe.to);
    this.#count -= 1;
  }
}
