/**
 * Extents that a file has in common with another one (reflinks, deduplication, snapshots): to write over them in place takes
 * space, as the file system writes elsewhere.
 */
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { ioctl } from './ioctl.ts';
import type { WriteGate } from './write-gate.ts';

// Sources: linux/fiemap.h, linux/falloc.h.

const libc = koffi.load('libc.so.6');
const c_fallocate = libc.func('int fallocate64(int fd, int mode, int64 offset, int64 size)');

const FS_IOC_FIEMAP = 0xc020660b;
const FIEMAP_EXTENT_LAST = 0x1;
const FIEMAP_EXTENT_SHARED = 0x2000;
/** struct fiemap: start, length (64 bits each), flags, mapped extents, room for extents, reserved (32 bits each). */
const HEADER_SIZE = 32;
/** struct fiemap_extent: logical, physical, length, 2 reserved (64 bits each), flags, 3 reserved (32 bits each). */
const EXTENT_SIZE = 56;
const EXTENTS = 32;
const FALLOC_FL_UNSHARE_RANGE = 0x40;

const memory = new NativeBuffer(HEADER_SIZE + EXTENTS * EXTENT_SIZE);

/** false also where the file system does not tell. */
export function hasSharedExtents(fd: number): boolean {
  const { view, bytes, address } = memory;
  for (let start = 0n; ; ) {
    bytes.fill(0);
    view.setBigUint64(0, start, true);
    view.setBigUint64(8, 2n ** 63n - start, true);
    view.setUint32(24, EXTENTS, true);
    if (ioctl(fd, FS_IOC_FIEMAP, address) < 0) return false;
    const count = view.getUint32(20, true);
    if (count === 0) return false;
    for (let i = 0; i < count; i++) {
      const at = HEADER_SIZE + i * EXTENT_SIZE;
      const flags = view.getUint32(at + 40, true);
      if ((flags & FIEMAP_EXTENT_SHARED) !== 0) return true;
      if ((flags & FIEMAP_EXTENT_LAST) !== 0) return false;
      start = view.getBigUint64(at, true) + view.getBigUint64(at + 16, true);
    }
  }
}

/**
 * Gives the first `size` bytes of the file extents of their own, with their contents, in libuv's pool.
 *
 * @returns false: not here (another file system than xfs), or there is no room
 */
export function unshareExtents(gate: WriteGate, fd: number, size: number): Promise<boolean> {
  if (!gate.begin()) return Promise.resolve(false);
  return new Promise((resolve) => {
    c_fallocate.async(fd, FALLOC_FL_UNSHARE_RANGE, 0, size, (error: Error | null, value: number) => {
      gate.end();
      resolve(error === null && value === 0);
    });
  });
}
