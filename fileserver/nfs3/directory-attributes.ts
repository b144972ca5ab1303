/**
 * Attributes of the directory that the thread's operations are about. Operations of a group are looked at one after the
 * other without a pause, and then executed one after the other without a pause; most are about the same directory. What one
 * has found after itself is what the next one finds before.
 *
 * It is known until the present turn of the event loop is over (nobody but this thread changes the volume), and no longer
 * than to the next change: whoever executes one reads them again afterwards, or forgets them.
 */

import type { VolumeStatus } from '../storage/failures/status.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { StatBuffer } from '../system/statx.ts';
import { afterThisCallback } from '../system/turns.ts';

/** Of the directory that the last call was about; meaningless after a call that did not say `ok`. */
export const directoryStat = new StatBuffer();

let known: OpenFile | null = null;
let forgetting = false;

/** As they are: read now, or since then unchanged. */
export function directoryAttributes(diskSet: DiskSet, dir: OpenFile): VolumeStatus {
  // What was moved out of its export meanwhile is not served (DiskSet.pathFd).
  if (known === dir && !dir.dropped && diskSet.pathFd(dir) >= 0) return 'ok';
  return directoryAttributesNow(diskSet, dir);
}

/** As they are after a change. */
export function directoryAttributesNow(diskSet: DiskSet, dir: OpenFile): VolumeStatus {
  const status = diskSet.attributes(dir, directoryStat);
  known = status === 'ok' ? dir : null;
  if (known !== null && !forgetting) {
    forgetting = true;
    afterThisCallback(forget);
  }
  return status;
}

/** Something has changed that is not read again at once. */
export function forgetDirectoryAttributes(): void {
  known = null;
}

function forget(): void {
  forgetting = false;
  known = null;
}
