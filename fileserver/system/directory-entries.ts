/** getdents64(2): a directory's entries with the file system's own cookies (d_off), from any of them on. */
import { constants } from 'node:os';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { systemCall } from './libc.ts';

// A cookie is what an NFS client gives back to continue a listing, minutes or a failover later. The file system's
// own survive all of that and changes of the directory in between, which no position counted by a server would.

const c_getdents64 = systemCall<(...args: number[]) => number>(
  'getdents64',
  'int64 getdents64(int fd, int64 buffer, uint64 size)',
);
const c_lseek = systemCall<(fd: number, offset: bigint | number, whence: number) => number>(
  'lseek',
  'int64 lseek64(int fd, int64 offset, int whence)',
);

const SIZE = 32768;
const NAME_START = 19;
const { EINVAL } = constants.errno;

/** Reads one directory after the other, in blocks; one of these is enough for a thread. */
export class DirectoryReader {
  readonly #memory: NativeBuffer;
  #fd: number;
  #filled: number;
  #at: number;
  /** The current entry: inode number, the cookie of the entry *after* it, name (a view, valid until next()). */
  inode: bigint;
  cookieNext: bigint;
  name: Uint8Array;

  constructor() {
    this.#memory = new NativeBuffer(SIZE);
    this.#fd = -1;
    this.#filled = 0;
    this.#at = 0;
    this.inode = 0n;
    this.cookieNext = 0n;
    this.name = this.#memory.bytes.subarray(0, 0);
  }

  /** Begins at the entry with this cookie; 0 is the first. 0 or -errno (EINVAL: no cookie of this directory). */
  start(fd: number, cookie: bigint): number {
    this.#fd = fd;
    this.#filled = 0;
    this.#at = 0;
    if (cookie > 0x7fffffffffffffffn) return -EINVAL;
    const place = c_lseek(fd, cookie, 0);
    return place < 0 ? place : 0;
  }

  /** 1: the fields hold the next entry. 0: there is none. Negative: -errno. */
  next(): number {
    if (this.#at >= this.#filled) {
      const size = c_getdents64(this.#fd, this.#memory.address, SIZE);
      if (size <= 0) return size;
      this.#filled = size;
      this.#at = 0;
    }
    const { view, bytes } = this.#memory;
    const at = this.#at;
    this.inode = view.getBigUint64(at, true);
    this.cookieNext = view.getBigUint64(at + 8, true);
    const start = at + NAME_START;
    let end = start;
    while (bytes[end] !== 0) end++;
    this.name = bytes.subarray(start, end);
    this.#at = at + view.getUint16(at + 16, true);
    return 1;
  }
}
