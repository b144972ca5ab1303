/** Learns of another process's end from the kernel, at once and without being its parent. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { lastSystemCallError } from './errno.ts';

// A pidfd names one process, not a number that may be given to another one later. It becomes readable when the last thread of the
// process has exited (kernel: pidfd_poll waits for the whole thread group), zombie or reaped. From then on no instruction of it
// runs and no system call of it is in progress. A closed socket or a missing /proc entry would say less.

/** The same number on every architecture since Linux 5.3 (glibc's own wrapper only came with 2.36). */
const SYS_pidfd_open = 434;
const POLLIN = 1;
/**
 * One wait lasts this long, then it is begun again: a thread that waited forever in the C library could not be
 * joined at exit, and the process would hang. It delays a clean exit at most, never the news.
 */
const POLL_MS = 250;

const libc = koffi.load('libc.so.6');
const pidfdOpen = libc.func('long syscall(long number, int pid, uint flags)') as (
  number: number,
  pid: number,
  flags: number,
) => number;
const poll = libc.func('int poll(void *fds, ulong count, int timeoutMs)');
const pollNow = poll as unknown as (fds: Int32Array, count: number, timeoutMs: number) => number;

/**
 * struct pollfd: fd (32 bits), events (16), revents (16). Over an ArrayBuffer of its own: small typed arrays made
 * otherwise live on the moving heap, and a thread of the pool writes into this one.
 */
function pollfd(fd: number): Int32Array {
  const fds = new Int32Array(new ArrayBuffer(8));
  fds[0] = fd;
  fds[1] = POLLIN;
  return fds;
}

function readable(fds: Int32Array): boolean {
  return fds[1]! >>> 16 !== 0;
}

export class Pidfd {
  readonly pid: number;
  readonly #fd: number;
  #closed = false;
  #waiting = 0;

  /** Throws SystemCallError: ESRCH = there is no such process (it may be the pid of a mere thread: EINVAL). */
  constructor(pid: number) {
    this.pid = pid;
    this.#fd = pidfdOpen(SYS_pidfd_open, pid, 0);
    if (this.#fd < 0) throw lastSystemCallError('pidfd_open');
  }

  /** Has every thread of the process exited? Asks the kernel; does not wait. */
  exited(): boolean {
    const fds = pollfd(this.#fd);
    if (pollNow(fds, 1, 0) < 0) throw lastSystemCallError('poll');
    return readable(fds);
  }

  /** Resolves true within a fraction of a millisecond of the process's end, false if close() came before. */
  async exit(): Promise<boolean> {
    this.#waiting++;
    try {
      const fds = pollfd(this.#fd);
      while (!this.#closed) {
        await pollLater(fds);
        if (readable(fds)) return true;
      }
      return false;
    } finally {
      this.#waiting--;
      if (this.#closed && this.#waiting === 0) closeSync(this.#fd);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // A descriptor number must not be reused while a thread still polls it: the last waiter closes it.
    if (this.#waiting === 0) closeSync(this.#fd);
  }
}

/** Waits in a thread of the pool. */
function pollLater(fds: Int32Array): Promise<void> {
  return new Promise((resolve, reject) => {
    poll.async(fds, 1, POLL_MS, (error: Error | null, result: number) => {
      if (error) return reject(error);
      // errno belongs to the pool's thread and is lost here; with one valid entry only EINTR can happen.
      if (result < 0) fds[1] = POLLIN;
      resolve();
    });
  });
}
