/**
 * Is a volume that moves from node to node (transfer mode Reattach) there? Where it would appear lies a plain directory
 * of the node while it is elsewhere: nothing may ever be written to that one.
 */
import { constants } from 'node:os';
import { AT_FDCWD, close, O_DIRECTORY, O_NOFOLLOW, O_PATH, openAt } from '../../system/file-calls.ts';
import { StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';

const DOT_DOT = new TextEncoder().encode('..');
const { ENOENT, ENOTDIR, ELOOP } = constants.errno;
const here = new StatBuffer();
const above = new StatBuffer();

/**
 * A descriptor of the volume's root, or null: nothing is mounted there. As long as it is open the volume cannot be
 * unmounted, so whatever is done by path meanwhile is done on the volume. Throws what else goes wrong: it is not known
 * whether the volume is there.
 */
export function pinMountedVolume(path: string): number | null {
  return asServer(() => pin(path));
}

function pin(path: string): number | null {
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(path), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (fd === -ENOENT || fd === -ENOTDIR || fd === -ELOOP) return null;
  if (fd < 0) throw new Error(`${path} cannot be opened (errno ${-fd})`);
  let isThere = false;
  try {
    isThere = isRootOfOtherDevice(path, fd);
  } finally {
    // Also when it can't be looked at: nobody could unmount the volume any more.
    if (!isThere) close(fd);
  }
  return isThere ? fd : null;
}

/**
 * A mount point, and of another file system than the directory that it is in: a bind mount of a directory of the node
 * would be the first without being the second.
 */
function isRootOfOtherDevice(path: string, fd: number): boolean {
  const parent = openAt(fd, DOT_DOT, O_PATH | O_DIRECTORY);
  if (parent < 0) throw new Error(`the directory above ${path} cannot be opened (errno ${-parent})`);
  try {
    if (here.ofFd(fd) < 0 || above.ofFd(parent) < 0) throw new Error(`${path} cannot be looked at`);
    // A kernel that does not say (before 5.8) leaves it to the devices.
    return here.isMountRoot !== false && here.device !== above.device;
  } finally {
    close(parent);
  }
}

/** To ask from time to time: is it there now? */
export function isMountedVolume(path: string): boolean {
  const fd = pinMountedVolume(path);
  if (fd === null) return false;
  close(fd);
  return true;
}
