/**
 * name_to_handle_at(2) and open_by_handle_at(2): a file system's own name for a file, which outlives renames, restarts and the
 * machine. What NFS file handles are made of.
 */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { AT_EMPTY_PATH, emptyPathAddress, O_CLOEXEC, pathAddress } from './file-calls.ts';
import { systemCall } from './libc.ts';

// name_to_handle_at is for everybody; open_by_handle_at wants CAP_DAC_READ_SEARCH (EPERM without it), since a
// handle passes by all permissions of the directories above the file.

/** linux/exportfs.h MAX_HANDLE_SZ: bytes that any file system's handle has at most. */
export const KERNEL_HANDLE_SIZE_MAX = 128;
/** struct file_handle: handle_bytes, handle_type, then the handle. */
const HEADER_SIZE = 8;

type Call = (...args: number[]) => number;
const c_name_to_handle_at = systemCall<Call>(
  'name_to_handle_at',
  'int name_to_handle_at(int dir, int64 path, int64 handle, int64 mountId, int flags)',
);
const c_open_by_handle_at = systemCall<Call>(
  'open_by_handle_at',
  'int open_by_handle_at(int mount, int64 handle, int flags)',
);

const mountIdMemory = new NativeBuffer(8);
const openMemory = new NativeBuffer(HEADER_SIZE + KERNEL_HANDLE_SIZE_MAX);

/** A kernel handle in a buffer that is kept; filled by ofName() and ofFd(). */
export class KernelHandleBuffer {
  readonly #memory: NativeBuffer;
  /** The handle's bytes are bytes[start .. start + size). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly start: number;
  size: number;
  /** The file system's own number for the handle's layout; 1..254. */
  type: number;
  /** Mount through which the name was reached: tells a mount point inside a volume from the volume. */
  mountId: number;

  constructor() {
    this.#memory = new NativeBuffer(HEADER_SIZE + KERNEL_HANDLE_SIZE_MAX);
    this.bytes = this.#memory.bytes;
    this.start = HEADER_SIZE;
    this.size = 0;
    this.type = 0;
    this.mountId = 0;
  }

  /** Handle of the name itself, a symbolic link not followed. 0 or -errno (EOPNOTSUPP: the file system has no handles). */
  ofName(dir: number, name: Uint8Array): number {
    return this.#call(dir, pathAddress(name), 0);
  }

  /** Handle of the descriptor's object; O_PATH will do. */
  ofFd(fd: number): number {
    return this.#call(fd, emptyPathAddress(), AT_EMPTY_PATH);
  }

  #call(dir: number, path: number, flags: number): number {
    const { view, address } = this.#memory;
    view.setUint32(0, KERNEL_HANDLE_SIZE_MAX, true);
    const result = c_name_to_handle_at(dir, path, address, mountIdMemory.address, flags);
    if (result < 0) return result;
    this.size = view.getUint32(0, true);
    this.type = view.getInt32(4, true);
    this.mountId = mountIdMemory.view.getInt32(0, true);
    return 0;
  }
}

/** A descriptor, or -errno: ESTALE if the file is no more, EPERM without the capability. */
export function openByHandle(mountFd: number, type: number, handle: Uint8Array, flags: number): number {
  const { view, bytes, address } = openMemory;
  view.setUint32(0, handle.length, true);
  view.setInt32(4, type, true);
  bytes.set(handle, HEADER_SIZE);
  return c_open_by_handle_at(mountFd, address, flags | O_CLOEXEC);
}
