/**
 * statx(2) into a buffer that is kept: attributes with 64-bit numbers, nanoseconds and the time of birth, for 0.6 us and without
 * an object. Everything is read out of the kernel's bytes when it is asked for. Fields that are 64 bits wide are given as two
 * halves for copying, or as a number where that is exact in practice.
 */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, emptyPathAddress, pathAddress } from './file-calls.ts';
import { systemCall } from './libc.ts';

// Layout: struct statx in linux/stat.h, the same on every architecture, in the machine's byte order; both
// supported ones (x86-64, arm64) are little-endian.

const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const SIZE = 256;

const c_statx = systemCall<(...args: number[]) => number>(
  'statx',
  'int statx(int dir, int64 path, int flags, uint32 mask, int64 buffer)',
);

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

const TWO_32 = 4294967296;

/** Result of the last successful call; meaningless before the first and after a failed one. */
export class StatBuffer {
  readonly #memory: NativeBuffer;
  /** The kernel's struct statx, little-endian. */
  readonly view: DataView<ArrayBuffer>;

  constructor() {
    this.#memory = new NativeBuffer(SIZE);
    this.view = this.#memory.view;
  }

  /** Reads the attributes of the descriptor's object. 0 or -errno. */
  ofFd(fd: number): number {
    return this.#call(fd, emptyPathAddress(), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
  }

  /** Reads the attributes of the name itself, a symbolic link not followed. 0 or -errno. */
  ofName(dir: number, name: Uint8Array): number {
    return this.#call(dir, pathAddress(name), AT_SYMLINK_NOFOLLOW);
  }

  #call(dir: number, path: number, flags: number): number {
    const mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    return c_statx(dir, path, flags, mask, this.#memory.address);
  }

  get hasBirthTime(): boolean {
    return (this.view.getUint32(0, true) & STATX_BTIME) !== 0;
  }
  get nlink(): number {
    return this.view.getUint32(16, true);
  }
  get uid(): number {
    return this.view.getUint32(20, true);
  }
  get gid(): number {
    return this.view.getUint32(24, true);
  }
  /** Type and permission bits. */
  get mode(): number {
    return this.view.getUint16(28, true);
  }
  get type(): number {
    return this.view.getUint16(28, true) & S_IFMT;
  }
  get inode(): bigint {
    return this.view.getBigUint64(32, true);
  }
  /** Bytes. */
  get sizeExact(): bigint {
    return this.view.getBigUint64(40, true);
  }
  /** Bytes; exact below 2^53. */
  get size(): number {
    return this.view.getUint32(44, true) * TWO_32 + this.view.getUint32(40, true);
  }
  /** Bytes that are stored of it, holes left out. */
  get allocatedSize(): number {
    return Number(this.view.getBigUint64(48, true)) * 512;
  }
  get atimeSeconds(): number {
    return Number(this.view.getBigInt64(64, true));
  }
  get atimeNanoseconds(): number {
    return this.view.getUint32(72, true);
  }
  get ctimeSeconds(): number {
    return Number(this.view.getBigInt64(96, true));
  }
  get ctimeNanoseconds(): number {
    return this.view.getUint32(104, true);
  }
  /** ctime in ms since 1970, to less than a microsecond: to compare and to reckon with. */
  get changedAtMs(): number {
    const { view } = this;
    const seconds = view.getInt32(100, true) * TWO_32 + view.getUint32(96, true);
    return seconds * 1000 + view.getUint32(104, true) / 1e6;
  }
  get mtimeSeconds(): number {
    return Number(this.view.getBigInt64(112, true));
  }
  get mtimeNanoseconds(): number {
    return this.view.getUint32(120, true);
  }
  /** Device that the file system lies on: major * 2^32 + minor. */
  get device(): number {
    return this.view.getUint32(136, true) * TWO_32 + this.view.getUint32(140, true);
  }
  /** The root of a mount; null where the kernel does not say (before 5.8). */
  get isMountRoot(): boolean | null {
    // stx_attributes at 8, stx_attributes_mask (which of them mean something) at 56.
    if ((this.view.getUint32(56, true) & STATX_ATTR_MOUNT_ROOT) === 0) return null;
    return (this.view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0;
  }
  /** Which mount of this process's namespace the object was reached through. */
  get mountId(): bigint {
    return this.view.getBigUint64(144, true);
  }
}
