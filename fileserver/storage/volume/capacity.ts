/** How full a volume's file system is: asked of the kernel on a thread of libuv's pool, since a network file system may not answer. */
import { statfs } from 'node:fs/promises';

export interface Capacity {
  /** Bytes. */
  readonly size: number;
  /** Bytes that users other than root may still take. */
  readonly available: number;
  /** Files and directories (inodes); 0 where the file system does not count them. */
  readonly files: number;
  readonly filesFree: number;
}

/** fd: of the volume's root. Null: the file system does not say. */
export async function capacityOf(fd: number): Promise<Capacity | null> {
  try {
    const { bsize, blocks, bavail, files, ffree } = await statfs(`/proc/self/fd/${fd}`);
    return { size: blocks * bsize, available: bavail * bsize, files, filesFree: ffree };
  } catch {
    // Calls that clients wait for report the error too (volume-error-log.ts); here it is only a figure less.
    return null;
  }
}
