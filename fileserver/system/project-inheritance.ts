/**
 * Project quotas: a directory may say that what is made in it belongs to its project (chattr +P). The kernel then refuses to
 * rename what belongs to another project into it, with EXDEV.
 */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { changingIoctl, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, ioctl } from './ioctl.ts';
import type { WriteGate } from './write-gate.ts';

const FS_PROJINHERIT_FL = 0x20000000;

const flags = new NativeBuffer(8);

/** The directory takes what belongs to other projects, which stays theirs. Where the file system has no projects it does already. */
export function endProjectInheritance(gate: WriteGate, fd: number): void {
  if (ioctl(fd, FS_IOC_GETFLAGS, flags.address) !== 0) return;
  const found = flags.view.getUint32(0, true);
  if ((found & FS_PROJINHERIT_FL) === 0) return;
  flags.view.setUint32(0, found & ~FS_PROJINHERIT_FL, true);
  changingIoctl(gate, fd, FS_IOC_SETFLAGS, flags.address);
}
