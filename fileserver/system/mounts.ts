/** Mounts of this machine with their options: /proc/self/mountinfo (proc_pid_mountinfo(5)) and what else the kernel says. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

export interface Mount {
  /** ext4, xfs, btrfs... */
  readonly type: string;
  /** Number of the block device: "253:0". */
  readonly device: string;
  /** Directory of the file system that is mounted: `/` for all of it. */
  readonly root: string;
  /** Options of the file system, not of the single mount: `rw`, `nobarrier`, `logdev=/dev/sdb1`... */
  readonly options: readonly string[];
}

/** null: the text has no such mount (it is the kernel's own of another namespace), or it can't be understood. */
export function mountIn(mountinfo: string, id: number): Mount | null {
  for (const line of mountinfo.split('\n')) {
    if (!line.startsWith(`${id} `)) continue;
    // 36 35 98:0 /root /mount-point options optional-fields... - type source super-options
    const [place, fileSystem] = line.split(' - ', 2);
    const [, , device, root] = place?.split(' ') ?? [];
    const [type, , options] = fileSystem?.split(' ') ?? [];
    if (device === undefined || root === undefined || type === undefined || options === undefined)
      return null;
    return { type, device, root, options: options.split(',') };
  }
  return null;
}

export function mountOf(id: number): Mount | null {
  return mountIn(readFileSync('/proc/self/mountinfo', 'utf8'), id);
}

/**
 * Has the ext4 file system on the device a journal of its own on the same device? The kernel lists those that are open
 * as DEVICE-INODE, external ones as DEVICE alone. null: it could not be found out.
 */
export function hasInternalJournal(device: string): boolean | null {
  try {
    const name = basename(readlinkSync(`/sys/dev/block/${device}`));
    return readdirSync('/proc/fs/jbd2').some(
      (entry) => entry.startsWith(`${name}-`) && /^\d+$/.test(entry.slice(name.length + 1)),
    );
  } catch {
    return null;
  }
}
