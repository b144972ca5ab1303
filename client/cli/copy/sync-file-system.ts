/** syncfs(2): all of a local file system to its disk, where that is known to say as much as fsync(2) of each file. */
import { openSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { platform, release } from 'node:os';
import { SmallFileFlushes, type SyncFileSystem } from './small-file-flushes.ts';

/** linux/magic.h. Of others (FUSE, network, layers of two) syncfs does not promise that data is on the disk. */
const KNOWN_TYPES: ReadonlySet<bigint> = new Set([
  0xef53n, // ext2, ext3, ext4
  0x58465342n, // xfs
  0x9123683en, // btrfs
]);

/** By device. */
const known = new Map<bigint, Promise<SmallFileFlushes | null>>();

/** Flushes for the files in a directory; null where each of them has to be flushed by itself. */
export async function flushesIn(directory: string | Buffer): Promise<SmallFileFlushes | null> {
  const { dev } = await stat(directory, { bigint: true });
  let found = known.get(dev);
  if (found === undefined) {
    found = syncOf(directory).then((sync) => (sync === null ? null : new SmallFileFlushes(sync)));
    known.set(dev, found);
  }
  return found;
}

async function syncOf(directory: string | Buffer): Promise<SyncFileSystem | null> {
  if (!saysErrors(platform(), release())) return null;
  const { type } = await statfs(directory, { bigint: true });
  if (!KNOWN_TYPES.has(type)) return null;
  const syncfs = await loaded();
  if (syncfs === null) return null;
  // It is opened before every file of the copy, so it hears of every write that fails, and stays open until the process ends.
  const fd = openSync(directory, 'r');
  return () =>
    new Promise((resolve, reject) => {
      syncfs.async(fd, (error: Error | null, value: number) => {
        if (error !== null) reject(error);
        else resolve(value === 0);
      });
    });
}

interface Syncfs {
  async(fd: number, done: (error: Error | null, value: number) => void): void;
}

/** Null: the native package is not here (the single executable has none), or this is another system. */
async function loaded(): Promise<Syncfs | null> {
  try {
    const { default: koffi } = await import('koffi');
    return koffi.load('libc.so.6').func('int syncfs(int fd)') as unknown as Syncfs;
  } catch {
    return null;
  }
}

/** Linux 5.8 and newer: an error of write-back is an error of syncfs. */
export function saysErrors(system: string, kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return system === 'linux' && (major > 5 || (major === 5 && minor >= 8));
}
