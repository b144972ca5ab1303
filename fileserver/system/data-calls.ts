/** System calls on the data of open files: read, write, size. */
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { changingCall, systemCall } from './libc.ts';
import type { WriteGate } from './write-gate.ts';

// Results are numbers, and an error is the negative errno. Functions that change something take the volume's gate first
// (write-gate.ts).

const libc = koffi.load('libc.so.6');

/** For what is 64 bits wide: a number where it is exact, else a bigint. At most OFFSET_MAX. */
export type Offset = number | bigint;
type Call = (...args: number[]) => number;
type OffsetCall = (...args: Offset[]) => number;
type WriteCall = (fd: number, buffer: Uint8Array, size: number, offset: Offset) => number;

/** The largest offset and size of a file in Linux (loff_t). */
export const OFFSET_MAX = 2n ** 63n - 1n;

const c_ftruncate = changingCall<OffsetCall>('ftruncate64', 'int ftruncate64(int fd, int64 size)');
const c_pread = systemCall<OffsetCall>(
  null,
  'int64 pread64(int fd, int64 buffer, uint64 size, int64 offset)',
);
const c_preadOwnership = systemCall<WriteCall>(
  'read of the ownership record',
  'int64 pread64(int fd, void *buffer, uint64 size, int64 offset)',
);
const c_preadv2 = systemCall<OffsetCall>(
  'preadv2',
  'int64 preadv2(int fd, int64 vector, int count, int64 offset, int flags)',
);
const PWRITE = 'int64 pwrite64(int fd, void *buffer, uint64 size, int64 offset)';
const c_pwrite = changingCall<WriteCall>('pwrite64', PWRITE);
const c_pwriteJournal = changingCall<WriteCall>('write of the journal', PWRITE);
const c_pwriteOwnership = changingCall<WriteCall>('write of the ownership record', PWRITE);
const c_lseek = libc.func('int64 lseek64(int fd, int64 offset, int whence)') as OffsetCall;
const c_fallocate = changingCall<Call>(null, 'int fallocate64(int fd, int mode, int64 offset, int64 size)');

const vector = new NativeBuffer(16);

export function truncate(gate: WriteGate, fd: number, size: Offset): number {
  return c_ftruncate(gate, fd, size);
}

/** Bytes read, 0 at the end of the file. The caller vouches for the memory at `address`. */
export function readInto(fd: number, address: number, size: number, offset: Offset): number {
  return c_pread(fd, address, size, offset);
}

const SEEK_SET = 0;
const SEEK_DATA = 3;

/**
 * Is nothing stored of a regular file from `offset`, which lies before its end, to its end? lseek(2) SEEK_DATA. false also where
 * the file system keeps no holes.
 */
export function isHoleFrom(fd: number, offset: Offset): boolean {
  return c_lseek(fd, offset, SEEK_DATA) < 0;
}

const RWF_NOWAIT = 8;

/**
 * Like readInto(), but only what is in memory: fewer bytes where the rest is not, -EAGAIN where nothing is, -EOPNOTSUPP
 * on file systems that can't tell. Never waits for the disk.
 */
export function readCachedInto(fd: number, address: number, size: number, offset: Offset): number {
  const { view } = vector;
  view.setUint32(0, address >>> 0, true);
  view.setUint32(4, Math.floor(address / 4294967296), true);
  view.setUint32(8, size, true);
  return c_preadv2(fd, vector.address, 1, offset, RWF_NOWAIT);
}

/** Bytes of an ownership record, 0 at the end of the file. */
export function readOwnershipInto(fd: number, into: Uint8Array): number {
  return c_preadOwnership(fd, into, into.length, 0);
}

/** Bytes written, possibly fewer than given. */
export function writeFrom(gate: WriteGate, fd: number, data: Uint8Array, offset: Offset): number {
  return c_pwrite(gate, fd, data, data.length, offset);
}

/** The same, to a journal. */
export function writeJournalFrom(gate: WriteGate, fd: number, data: Uint8Array, offset: Offset): number {
  return c_pwriteJournal(gate, fd, data, data.length, offset);
}

/** The same, to an ownership record. */
export function writeOwnershipFrom(gate: WriteGate, fd: number, data: Uint8Array, offset: Offset): number {
  return c_pwriteOwnership(gate, fd, data, data.length, offset);
}

/**
 * Size of the largest file that the file system of this regular file can have (the kernel's s_maxbytes): up to there one
 * may seek, and not further.
 */
export function fileSizeMax(fd: number): bigint {
  let most = 0n;
  for (let bit = 2n ** 62n; bit > 0n; bit /= 2n) if (c_lseek(fd, most + bit, SEEK_SET) >= 0) most += bit;
  return most;
}

/** Reserves space, so that later writes cannot fail for lack of it. */
export function allocate(gate: WriteGate, fd: number, size: number): number {
  return c_fallocate(gate, fd, 0, 0, size);
}
