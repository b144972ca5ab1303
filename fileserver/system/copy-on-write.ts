/**
 * Files that are written over in place, where the file system would otherwise write elsewhere and need space for it
 * (btrfs: chattr +C). Journal and ownership record must be writable on a full disk.
 */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { AT_FDCWD, close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from './file-calls.ts';
import { changingIoctl, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, ioctl } from './ioctl.ts';
import type { WriteGate } from './write-gate.ts';

const FS_NOCOW_FL = 0x00800000;

const flags = new NativeBuffer(8);

/**
 * Files made in the directory from now on are not copied on write. Where the file system has no such thing (it
 * refuses) there is nothing to switch off.
 */
export function disableCopyOnWrite(gate: WriteGate, directory: string): void {
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(directory), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd < 0) return;
  if (ioctl(fd, FS_IOC_GETFLAGS, flags.address) === 0) {
    flags.view.setUint32(0, flags.view.getUint32(0, true) | FS_NOCOW_FL, true);
    changingIoctl(gate, fd, FS_IOC_SETFLAGS, flags.address);
  }
  close(fd);
}
