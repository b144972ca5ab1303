/**
 * Truncates a file in parts of a bounded duration, from its end. ftruncate(2) frees each piece of a file: For one of many pieces
 * that takes as long as reading their extents takes, and a thread that serves others must not wait so long. Another client sees
 * the file become shorter meanwhile.
 */
import { isHoleFrom, type Offset, truncate } from '../../system/data-calls.ts';
import type { StatBuffer } from '../../system/statx.ts';
import { asUser, type Identity } from '../../system/thread-identity.ts';
import type { DiskSet } from './disk-set.ts';
import type { OpenFile } from './open-file.ts';

// The duration of a part is what counts, and depends on the disk and on how the file is stored. So each part is as large as
// the duration of the last one allows.

/** Bytes of a part. The largest one, stored in blocks of 4 KiB that lie apart, takes 11 ms on a fast disk. */
const PART_MIN = 64n * 1024n;
const PART_FIRST = 1024n * 1024n;
const PART_MAX = 16n * 1024n * 1024n;
/** A part is at least this fraction (a power of two) of what is left: no file takes an unbounded number. */
const LEFT_SHIFT = 16n;
/** Time that a part may take, in ms: the next one is larger if it takes less, and smaller if it takes more. */
const SHORT_MS = 1;
const LONG_MS = 4;

/** Does ftruncate(2) from these attributes to `size` bytes free so much that it is to be done in parts? */
export function truncatesMuch(stat: StatBuffer, size: Offset): boolean {
  return stat.allocatedSize > PART_MAX && stat.sizeExact - BigInt(size) > PART_MAX;
}

export class GradualTruncation {
  readonly #file: OpenFile;
  /** Bytes that the file is to have at the end. */
  readonly #size: bigint;
  #partSize: bigint;

  constructor(file: OpenFile, size: Offset) {
    this.#file = file;
    this.#size = BigInt(size);
    this.#partSize = PART_FIRST;
  }

  /**
   * Cuts off the next part, as the user (who loses the set-id bits). false: nothing was cut, since one part is left, or since it
   * can't be cut. One ftruncate(2) then does the rest, or says why not.
   */
  next({ table }: DiskSet, user: Identity): boolean {
    const { stat } = this.#file.volume;
    const fd = table.writeFd(this.#file);
    if (fd < 0 || stat.ofFd(fd) < 0) return false;
    const end = stat.sizeExact;
    const left = end - this.#size;
    let part = this.#partSize > left >> LEFT_SHIFT ? this.#partSize : left >> LEFT_SHIFT;
    // Holes cost nothing, however large they are.
    while (2n * part < left && isHoleFrom(fd, end - 2n * part)) part *= 2n;
    // Not in the middle of a block: the rest of that would have to be read and overwritten.
    const to = ((end - part) / PART_MIN) * PART_MIN;
    if (to <= this.#size) return false;
    const begunAt = performance.now();
    if (asUser(user, () => truncate(this.#file.volume.gate, fd, to)) < 0) return false;
    this.#adapt(performance.now() - begunAt);
    return true;
  }

  #adapt(ms: number): void {
    if (ms < SHORT_MS && this.#partSize < PART_MAX) this.#partSize *= 2n;
    if (ms > LONG_MS && this.#partSize > PART_MIN) this.#partSize /= 2n;
  }
}
