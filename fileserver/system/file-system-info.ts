/** statfs(2) and fpathconf(3): how full a file system is, what it allows. syncfs(2): all of it to disk. */
import { constants } from 'node:os';
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { takeCallFault } from './call-faults.ts';
import { systemCall } from './libc.ts';

const libc = koffi.load('libc.so.6');
type Call = (...args: number[]) => number;
const c_fstatfs = systemCall<Call>('fstatfs64', 'int fstatfs64(int fd, int64 buffer)');
const c_fpathconf = libc.func('int64 fpathconf(int fd, int name)') as Call;
const c_syncfs = libc.func('int syncfs(int fd)');

const { EIO } = constants.errno;
const PC_LINK_MAX = 0;
const memory = new NativeBuffer(120);
const { view } = memory;

export interface FileSystemInfo {
  /** Bytes. */
  readonly total: bigint;
  readonly free: bigint;
  /** Free to users other than root. */
  readonly available: bigint;
  /** Objects (inodes); 0 where the file system does not count them. */
  readonly files: bigint;
  readonly filesFree: bigint;
  readonly nameSizeMax: number;
}

/** Or -errno. */
export function fileSystemInfo(fd: number): FileSystemInfo | number {
  const result = c_fstatfs(fd, memory.address);
  if (result < 0) return result;
  const fragment = view.getBigUint64(72, true);
  return {
    total: view.getBigUint64(16, true) * fragment,
    free: view.getBigUint64(24, true) * fragment,
    available: view.getBigUint64(32, true) * fragment,
    files: view.getBigUint64(40, true),
    filesFree: view.getBigUint64(48, true),
    nameSizeMax: Number(view.getBigUint64(64, true)),
  };
}

/** Type of the file system (linux/magic.h); null: not known. */
export function fileSystemMagic(fd: number): number | null {
  return c_fstatfs(fd, memory.address) < 0 ? null : view.getUint32(0, true);
}

const FLAGS_AT = 80;
const ST_RDONLY = 1;

/** Is what the descriptor lies on mounted read-only, or has it become read-only? false: also where that can't be found out. */
export function isReadOnly(fd: number): boolean {
  return c_fstatfs(fd, memory.address) >= 0 && (view.getUint32(FLAGS_AT, true) & ST_RDONLY) !== 0;
}

/** Hard links that a file may have; -1 if the file system sets no limit. */
export function linkCountMax(fd: number): number {
  return c_fpathconf(fd, PC_LINK_MAX);
}

/**
 * Writes everything dirty of the file system that the descriptor lies on, in libuv's pool. 0 or -EIO (the errno proper stays in
 * the thread of the pool). Since Linux 5.8 also an error of write-back that happened after the descriptor was opened.
 */
export function syncFileSystem(fd: number): Promise<number> {
  if (takeCallFault('syncfs') !== 0) return Promise.resolve(-EIO);
  return new Promise((resolve, reject) => {
    c_syncfs.async(fd, (error: Error | null, value: number) => {
      if (error !== null) reject(error);
      else resolve(value < 0 ? -EIO : 0);
    });
  });
}
