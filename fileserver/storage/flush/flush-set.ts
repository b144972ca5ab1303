/** Which files and directories have to be flushed before the operations of a group may be answered, and the flush. */
import { constants } from 'node:os';
import { metadataFlushes } from '../../system/flush-queue.ts';
import type { FileTable } from '../files/file-table.ts';
import type { OpenFile } from '../files/open-file.ts';
import type { Volume } from '../volume/volume.ts';

// fsync(2) of a directory makes its entries durable. Where metadata is ordered (commit-order.ts: ext4 with its journal, xfs) it
// does so by forcing the file system's own log up to the directory's last change. A new inode is in the same transaction as its
// entry, so no fsync of the new file is needed for a create. Others (btrfs logs each inode by itself, ext4 without a journal
// writes blocks one by one) get both.
//
// One syncfs(2) covers objects that can't be opened for an fsync (symbolic links, devices, fifos; without root also files that
// the server's user may not read).

const { ESTALE, EIO } = constants.errno;

export class FlushSet {
  readonly #volume: Volume;
  readonly #table: FileTable;
  readonly #files = new Set<OpenFile>();
  #all = false;

  constructor(volume: Volume, table: FileTable) {
    this.#volume = volume;
    this.#table = table;
  }

  /** A regular file or a directory. */
  add(file: OpenFile): void {
    this.#files.add(file);
  }

  /** Everything of the volume: for what has no descriptor of its own. */
  addAll(): void {
    this.#all = true;
  }

  /**
   * Empties the set and calls back with 0 or -errno when all is durable, and what was removed has given back its space. An
   * error is final for the volume. `issued`: there was something to flush.
   */
  flush(done: (result: number, issued: boolean) => void): void {
    let waiting = 1;
    let worst = 0;
    let issued = false;
    const ended = (result: number): void => {
      if (result < 0) worst = result;
      waiting -= 1;
      if (waiting === 0) done(worst, issued);
    };
    for (const file of this.#files) {
      const fd = this.#table.readFd(file);
      if (fd === -ESTALE) continue;
      if (fd < 0) {
        this.#all = true;
        continue;
      }
      waiting += 1;
      issued = true;
      this.#table.pin(file);
      metadataFlushes.flush({ fd, key: file.key, depth: 'all' }, this.#volume.flushTimes, (error) => {
        this.#table.unpin(file);
        ended(error === null ? 0 : (error.errno ?? -EIO));
      });
    }
    this.#files.clear();
    if (this.#all) {
      this.#all = false;
      waiting += 1;
      issued = true;
      this.#volume.sync(ended);
    }
    waiting += 1;
    this.#volume.whenFreed(() => ended(0));
    ended(0);
  }
}
