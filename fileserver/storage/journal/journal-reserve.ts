/**
 * Space kept for the journal and the ownership record, where even writing over a file in place can fail for lack of it. btrfs
 * counts the metadata of such a write against a quota. Where files may share extents (btrfs, xfs with reflink) it writes
 * elsewhere after a snapshot or a copy by reflink.
 */
import { constants } from 'node:os';
import { allocate } from '../../system/data-calls.ts';
import { close, createAt, O_NOFOLLOW, O_RDONLY, O_RDWR, unlinkAt } from '../../system/file-calls.ts';
import type { FileSystemIdentity } from '../../system/file-system-identity.ts';
import { hasSharedExtents } from '../../system/shared-extents.ts';
import { StatBuffer } from '../../system/statx.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { failureOfResult, type VolumeFailure } from '../failures/status.ts';
import { inPrivateDirectory, openPrivate } from '../private-files/private-files.ts';

//   there     a file `reserve` holds the space
//   lent      a write of ours failed for lack of space: the file was removed, the write goes through. From now on what
//             needs space is refused (with the status of that failure), what frees space is executed
//   there     as soon as there is room for the file again
//
// Other file systems need none: the journal's blocks are allocated, and to write over them takes no space. If it does
// all the same, changes are refused for a second, and tried again.

/**
 * Bytes: journal and ownership record once more, and the metadata for it. Then all of them can be written over once, and
 * have extents of their own. Without copies, a write needs some 100 KiB of a quota, which the next commit gives back.
 */
export const RESERVE_SIZE = 20 * 1024 * 1024;

const { ENOSPC, EDQUOT } = constants.errno;
const stat = new StatBuffer();

export class JournalReserve {
  readonly #path: string;
  /** The file system may refuse to write over a file for lack of space. */
  readonly needed: boolean;
  /**
   * Space may run out with the write-back, when the write has long succeeded. So it is on btrfs, where extents become shared while
   * pages of them are dirty. xfs writes dirty pages before it shares their extents, and takes the space for a shared one with the write.
   */
  readonly failsLate: boolean;
  #lent: VolumeFailure | null;

  /** path: of the file. */
  constructor(path: string, { sharesExtents, isBtrfs }: FileSystemIdentity) {
    this.#path = path;
    this.needed = sharesExtents;
    this.failsLate = isBtrfs;
    this.#lent = null;
  }

  /** Why nothing may be done that needs space; null: it may. */
  get shortage(): VolumeFailure | null {
    return this.#lent;
  }

  /** A write failed with `result` (-errno). true: there is more room now, it should be tried again. */
  lend(gate: WriteGate, result: number): boolean {
    if (!isForLackOfSpace(result)) return false;
    this.#lent = failureOfResult(result);
    if (!this.needed) return false;
    return this.#remove(gate) === 0;
  }

  /** When a volume is opened: makes the file if it is not there, or would free nothing. */
  begin(gate: WriteGate): void {
    if (!this.needed) return;
    if (!this.#isWhole(gate)) this.#take(gate);
  }

  #isWhole(gate: WriteGate): boolean {
    const fd = openPrivate(this.#path, O_RDONLY);
    if (fd < 0) return false;
    const whole = stat.ofFd(fd) === 0 && stat.size >= RESERVE_SIZE;
    // Blocks that a copy or snapshot holds too are not free when this file is gone.
    const shared = whole && hasSharedExtents(fd);
    close(fd);
    if (shared) this.#remove(gate);
    return whole && !shared;
  }

  #remove(gate: WriteGate): number {
    return inPrivateDirectory(this.#path, (dir, name) => unlinkAt(gate, dir, name, 0));
  }

  /** Once a second: takes back what was lent, if there is room. */
  restore(gate: WriteGate): void {
    if (this.#lent === null) return;
    if (this.needed) this.#take(gate);
    else this.#lent = null;
  }

  #take(gate: WriteGate): void {
    const fd = inPrivateDirectory(this.#path, (dir, name) =>
      createAt(gate, dir, name, O_RDWR | O_NOFOLLOW, 0o600),
    );
    const result = fd < 0 ? fd : allocate(gate, fd, RESERVE_SIZE);
    if (fd >= 0) close(fd);
    this.#lent = isForLackOfSpace(result) ? failureOfResult(result) : null;
    // A part of it is of no use, and would be taken for the whole by the next owner.
    if (result < 0 && fd >= 0) this.#remove(gate);
  }
}

/** Of -errno. */
export function isForLackOfSpace(result: number): boolean {
  return result === -ENOSPC || result === -EDQUOT;
}

/** Writes in place, and once more with the reserve's space if there is none. */
export async function withReserve(
  gate: WriteGate,
  reserve: JournalReserve,
  write: () => Promise<void>,
): Promise<void> {
  try {
    await write();
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    // Errors of node:fs have the negative number, those of our own calls the positive.
    if (!reserve.lend(gate, -Math.abs(errno))) throw error;
    await write();
  }
}
