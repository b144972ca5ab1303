/**
 * Attributes of the directory that the thread's operations are about. Operations of a group are checked one after the other
 * without a pause, and then applied one after the other without a pause; most are about the same directory. What one has found
 * after itself is what the next one finds before.
 */
import type { VolumeStatus } from '../storage/failures/status.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { S_IFDIR, StatBuffer } from '../system/statx.ts';
import { afterThisCallback } from '../system/turns.ts';

// They are known until the present turn of the event loop is over (nobody but this thread changes the volume), and no longer than
// to the next change. The code that applies one reads them again afterwards, or forgets them.

export class DirectoryAttributes {
  /** Attributes of the object that the last call was about; meaningless unless that call said `ok`. */
  readonly stat = new StatBuffer();
  readonly #diskSet: DiskSet;
  #known: OpenFile | null = null;
  #isForgetting = false;

  constructor(diskSet: DiskSet) {
    this.#diskSet = diskSet;
  }

  /** As they are: read now, or since then unchanged. */
  read(dir: OpenFile): VolumeStatus {
    // A directory that was moved out of its export meanwhile is not served (DiskSet.pathFd).
    if (this.#known === dir && !dir.dropped && this.#diskSet.pathFd(dir) >= 0) return 'ok';
    return this.readNow(dir);
  }

  /** As they are after a change. Of other objects than directories nothing is kept: WRITEs change them too. */
  readNow(object: OpenFile): VolumeStatus {
    const status = this.#diskSet.attributes(object, this.stat);
    this.#known = status === 'ok' && this.stat.type === S_IFDIR ? object : null;
    if (this.#known !== null && !this.#isForgetting) {
      this.#isForgetting = true;
      afterThisCallback(this.#forgetLater);
    }
    return status;
  }

  /** Something has changed that is not read again at once. */
  forget(): void {
    this.#known = null;
  }

  readonly #forgetLater = (): void => {
    this.#isForgetting = false;
    this.#known = null;
  };
}
