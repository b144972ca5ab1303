/** Calls of node:fs in libuv's pool, which tests can make fail (call-faults.ts); elsewhere node:fs's own. */

import {
  constants,
  fdatasync as fsFdatasync,
  fsync as fsFsync,
  read as fsRead,
  type NoParamCallback,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type FaultCall, hasCallFaults, takeCallFault } from './call-faults.ts';
import { SystemCallError } from './errno.ts';
import { nextTurn } from './turns.ts';

type Flush = (fd: number, done: NoParamCallback) => void;

export const fsync: Flush = hasCallFaults ? flushWithFaults('fsync', fsFsync) : fsFsync;
export const fdatasync: Flush = hasCallFaults ? flushWithFaults('fdatasync', fsFdatasync) : fsFdatasync;

type Read = (
  fd: number,
  into: Uint8Array,
  at: number,
  size: number,
  offset: number | bigint,
  done: (error: NodeJS.ErrnoException | null, bytesRead: number) => void,
) => void;

export const read: Read = hasCallFaults
  ? (fd, into, at, size, offset, done) => {
      const error = faultOf('read');
      if (error === null) fsRead(fd, into, at, size, offset, done);
      else nextTurn(() => done(error, 0));
    }
  : fsRead;

export type { FileHandle };

/**
 * For reading only, so that no gate is needed. flags: O_DIRECTORY, O_NOFOLLOW. Rejected as of node:fs. It does not wait for somebody to
 * write into what may be a FIFO.
 */
export const openForReading = (path: string, flags: number): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);

/** A function of node:fs/promises. */
export function withPoolFault<Args extends unknown[], T>(
  name: FaultCall,
  call: (...args: Args) => Promise<T>,
): (...args: Args) => Promise<T> {
  if (!hasCallFaults) return call;
  return (...args) => {
    const error = faultOf(name);
    return error === null ? call(...args) : Promise.reject(error);
  };
}

function flushWithFaults(name: FaultCall, call: Flush): Flush {
  return (fd, done) => {
    const error = faultOf(name);
    if (error === null) call(fd, done);
    else nextTurn(() => done(error));
  };
}

/** As node:fs has it: errno is negative. */
function faultOf(name: FaultCall): NodeJS.ErrnoException | null {
  const errno = takeCallFault(name);
  if (errno === 0) return null;
  const { code, message, syscall } = new SystemCallError(name, errno);
  return Object.assign(new Error(message), { code, errno: -errno, syscall });
}
