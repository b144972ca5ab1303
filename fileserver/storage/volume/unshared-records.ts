/**
 * Journal and ownership record are written over in place, so that a full disk stops neither a change that frees space nor a
 * takeover. Of a volume that somebody has copied by reflink they share their extents with the copy, and the next write takes
 * space.
 */
import { SystemCallError } from '../../system/errno.ts';
import { close, O_RDWR } from '../../system/file-calls.ts';
import { hasSharedExtents, unshareExtents } from '../../system/shared-extents.ts';
import { StatBuffer } from '../../system/statx.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { journalFiles } from '../journal/journal-files.ts';
import { ownershipFile, privateDirectory } from '../ownership/volume-files.ts';
import { openPrivate } from '../private-files/private-files.ts';

// So they get extents of their own when the volume is opened; where there is no room for that, the reserve helps
// (journal-reserve.ts).

const stat = new StatBuffer();

/** Contents stay. Nothing is changed where nothing is shared. */
export async function unshareRecords(gate: WriteGate, root: string): Promise<void> {
  for (const path of [ownershipFile(root), ...journalFiles(privateDirectory(root))]) {
    const fd = openPrivate(path, O_RDWR);
    if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
    try {
      if (hasSharedExtents(fd) && stat.ofFd(fd) === 0) await unshareExtents(gate, fd, stat.size);
    } finally {
      close(fd);
    }
  }
}
