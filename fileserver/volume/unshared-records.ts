/**
 * Journal and ownership record are written over in place, so that a full disk stops neither a change that frees space nor a
 * takeover. Of a volume that somebody has copied by reflink they share their extents with the copy, and the next write takes
 * space. So they get extents of their own when the volume is opened; where there is no room for that, the reserve helps
 * (journal-reserve.ts).
 */
import { open } from 'node:fs/promises';
import { hasSharedExtents, unshareExtents } from '../system/shared-extents.ts';
import { journalFiles } from './journal.ts';
import { ownershipFile, privateDirectory } from './ownership.ts';

/** Contents stay. Nothing is changed where nothing is shared. */
export async function unshareRecords(root: string): Promise<void> {
  for (const path of [ownershipFile(root), ...journalFiles(privateDirectory(root))]) {
    const file = await open(path, 'r+');
    try {
      if (hasSharedExtents(file.fd)) await unshareExtents(file.fd, (await file.stat()).size);
    } finally {
      await file.close();
    }
  }
}
