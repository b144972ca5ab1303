/** sync_file_range(2): hands a file's pages to its device. */

import { constants } from 'node:os';
import koffi from 'koffi';
import { takeCallFault } from './call-faults.ts';
import { nextTurn } from './turns.ts';

const libc = koffi.load('libc.so.6');
const c_sync_file_range = libc.func('int sync_file_range(int fd, int64 offset, int64 size, uint32 flags)');
const { EIO } = constants.errno;
/** SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER. */
const WRITE_AND_WAIT = 7;

/**
 * Calls back with 0 when the device has taken the pages of the range (its cache may be volatile), or with -EIO. No
 * flush, and no metadata: enough only for blocks that are written over in place, and only where something else
 * flushes the device later. In the thread pool.
 */
export function writeOut(fd: number, offset: number, size: number, done: (result: number) => void): void {
  if (takeCallFault('sync_file_range') !== 0) {
    nextTurn(() => done(-EIO));
    return;
  }
  c_sync_file_range.async(fd, offset, size, WRITE_AND_WAIT, (error: Error | null, value: number) => {
    done(error !== null || value < 0 ? -EIO : 0);
  });
}
