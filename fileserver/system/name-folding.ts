/** Which names a file system takes for one: those that differ in the case of letters, or in how Unicode composes characters. */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { close, O_DIRECTORY, O_RDONLY, openAt } from './file-calls.ts';
import { FS_IOC_GETFLAGS, ioctl } from './ioctl.ts';

//   ext4, f2fs, tmpfs   a directory may (FS_CASEFOLD_FL), where the kernel has that feature
//   overlay             as the directory of its upper layer
//   xfs                 none; with `-n version=ci` all do, which a look at a known name shows (Volume)
//   btrfs, gfs2, ocfs2, NFS, ceph, ramfs   none
//   any other           counts as one that does
//
// Sources: linux/magic.h, linux/fs.h; Documentation/filesystems/ext4/directory.rst and tmpfs.rst.

export type NameFolding = 'never' | 'byDirectory' | 'always';

/** Magic numbers of file systems whose kernel module says in /sys/fs whether directories may fold names. */
const BY_FEATURE: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0xf2f52010, 'f2fs'],
  [0x01021994, 'tmpfs'],
]);
const OVERLAY = 0x794c7630;
const EXACT: ReadonlySet<number> = new Set([
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01161970, // gfs2
  0x7461636f, // ocfs2
  0x6969, // NFS
  0x00c36400, // ceph
  0x858458f6, // ramfs
]);

const FS_CASEFOLD_FL = 0x40000000;
const { ENOTTY } = constants.errno;
const DOT = new TextEncoder().encode('.');

const flags = new NativeBuffer(8);

/** magic: of statfs(2), null where it is not known. isThere: does the path exist? */
export function nameFoldingOf(
  magic: number | null,
  isThere: (path: string) => boolean = existsSync,
): NameFolding {
  if (magic === null) return 'always';
  if (EXACT.has(magic)) return 'never';
  if (magic === OVERLAY) return 'byDirectory';
  const type = BY_FEATURE.get(magic);
  if (type === undefined) return 'always';
  return isThere('/sys/fs') && !isThere(`/sys/fs/${type}/features/casefold`) ? 'never' : 'byDirectory';
}

/**
 * Does this directory (any descriptor of it) take several names for one? true: also where that can't be found out. Only an empty
 * directory can be changed in this.
 */
export function foldsNames(dirFd: number): boolean {
  const fd = openAt(dirFd, DOT, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return true;
  const result = ioctl(fd, FS_IOC_GETFLAGS, flags.address);
  close(fd);
  // A file system without such flags has not this one either.
  if (result === -ENOTTY) return false;
  return result < 0 || (flags.view.getUint32(0, true) & FS_CASEFOLD_FL) !== 0;
}
