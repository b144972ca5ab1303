/** flock(2): a lock on an open file that the kernel takes back when its holder dies, whatever it died of. */
import koffi from 'koffi';
import { SystemCallError } from './errno.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const EWOULDBLOCK = 11;

const libc = koffi.load('libc.so.6');
const flock = libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;

/** Takes the lock if it is free, without waiting. False: another open file holds it. Throws SystemCallError. */
export function tryLock(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === EWOULDBLOCK) return false;
  throw new SystemCallError('flock', errno);
}

/** Closing the last descriptor of the open file does the same. */
export function unlock(fd: number): void {
  if (flock(fd, LOCK_UN) !== 0) throw new SystemCallError('flock', koffi.errno());
}
