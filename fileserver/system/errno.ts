/** Turns the errno of a system call that was made through koffi into an Error like those of node:fs. */
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';

const systemErrors = getSystemErrorMap();

export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  /** "EPERM"; "E<number>" for one that Node does not know. */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    const [code, text] = systemErrors.get(-errno) ?? [`E${errno}`, 'unknown error'];
    super(`${syscall}: ${code}, ${text}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** To be called right after the failed call, before anything else enters the C library. */
export function lastSystemCallError(syscall: string): SystemCallError {
  return new SystemCallError(syscall, koffi.errno());
}
