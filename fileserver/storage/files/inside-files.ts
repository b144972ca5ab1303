/**
 * Does a file that was opened by its handle lie on its volume? Where a volume is a directory of a larger file system, the kernel
 * opens a handle of anything on that. A signature says that a server once made the handle; this says where the file is now.
 */
import { constants } from 'node:os';
import { close, O_NOFOLLOW, O_PATH, openBeneath, pathOf, RESOLVE_CACHED } from '../../system/file-calls.ts';
import type { StatBuffer } from '../../system/statx.ts';
import { IdentityReader } from '../handles/file-identity.ts';
import { PathIndex } from '../volume/path-index.ts';
import type { Volume } from '../volume/volume.ts';
import type { OpenFile } from './open-file.ts';

// The kernel knows a path of most files that are open. It counts if that path, walked down from the volume's root and through no
// symbolic link, leads to this very file. It may know none (after a restart of the machine the file was not looked up yet), or
// one that lies elsewhere (the file has several names). Then the volume is walked over once for all such files.
//
// A finding holds as long as the file's change time is the same: to move a file changes it, on the file systems that
// changeTimesTell() names. Elsewhere it is asked again in each generation of the file table. A directory that is moved away on the
// server takes its files with it: those that are known are served on, as the handle of a file has no directory in it.

export const INSIDE = 1;
export const OUTSIDE = 0;

const { EAGAIN, EINPROGRESS, ESTALE } = constants.errno;
const SLASH = 0x2f;
/** Results of a walk are kept for so long after their last use. ms */
const KEPT_MS = 60_000;
/** Walks may take one part in so many of a thread's time. */
const WALK_SHARE = 10;

interface Finder {
  readonly index: PathIndex;
  usedAtMs: number;
  /** performance.now(): not before that. */
  mayWalkAtMs: number;
}

export class InsideFiles {
  readonly #mayWait: boolean;
  readonly #readers: Map<Volume, IdentityReader>;
  readonly #finders: Map<Volume, Finder>;

  /** mayWait: calls here may wait for a disk. */
  constructor(mayWait: boolean) {
    this.#mayWait = mayWait;
    this.#readers = new Map();
    this.#finders = new Map();
  }

  /**
   * INSIDE, OUTSIDE, or -errno: that could not be found out (EINPROGRESS: a thread that may wait for the disk can; EAGAIN: later).
   *
   * @param fd of the file, which is no directory; the thread is the server itself
   * @param stat its attributes
   */
  isInside(file: OpenFile, fd: number, stat: StatBuffer): number {
    const { volume } = file;
    // Without handles files are found by their paths anyway.
    if (volume.isWholeFileSystem || volume.pathIndex !== null) return INSIDE;
    const changedAtMs = stat.changedAtMs;
    if (volume.changeTimesTell && file.provenAtMs === changedAtMs) return INSIDE;
    // One that has lost its last name is stale in any case.
    if (stat.nlink === 0) return INSIDE;
    const found = this.#hasPathInside(file, fd) ? INSIDE : this.#search(file);
    if (found === INSIDE) file.provenAtMs = changedAtMs;
    return found;
  }

  #hasPathInside({ volume, key }: OpenFile, fd: number): boolean {
    const path = pathOf(fd);
    if (typeof path === 'number') return false;
    const whole = path.slice();
    const root = pathOf(volume.rootFd);
    if (typeof root === 'number' || !startsWith(whole, root)) return false;
    const below = whole.subarray(root.length + 1);
    const resolve = this.#mayWait ? 0 : RESOLVE_CACHED;
    const found = openBeneath(volume.rootFd, below, O_PATH | O_NOFOLLOW, resolve);
    if (found < 0) return false;
    const reader = this.#readerOf(volume);
    const same = reader.ofFd(found) === 0 && reader.key() === key;
    close(found);
    return same;
  }

  #readerOf(volume: Volume): IdentityReader {
    let reader = this.#readers.get(volume);
    if (reader === undefined) {
      reader = new IdentityReader(volume.identity.kind);
      this.#readers.set(volume, reader);
    }
    return reader;
  }

  #search({ volume, key }: OpenFile): number {
    if (!this.#mayWait) return -EINPROGRESS;
    const now = performance.now();
    const finder = this.#finderOf(volume, now);
    if (!finder.index.knows(key) && now < finder.mayWalkAtMs) return -EAGAIN;
    const walks = finder.index.walkCount;
    const fd = finder.index.open(key, O_PATH);
    const ended = performance.now();
    finder.usedAtMs = ended;
    if (finder.index.walkCount > walks) finder.mayWalkAtMs = ended + (ended - now) * WALK_SHARE;
    if (fd === -ESTALE) return OUTSIDE;
    if (fd < 0) return fd;
    close(fd);
    return INSIDE;
  }

  #finderOf(volume: Volume, now: number): Finder {
    const known = this.#finders.get(volume);
    if (known !== undefined && now - known.usedAtMs < KEPT_MS) return known;
    const index = new PathIndex(volume.rootFd, volume.rootKey, this.#readerOf(volume));
    const finder = { index, usedAtMs: now, mayWalkAtMs: known?.mayWalkAtMs ?? 0 };
    this.#finders.set(volume, finder);
    return finder;
  }
}

/** Is the path below the root's? */
function startsWith(path: Uint8Array, root: Uint8Array): boolean {
  if (path.length <= root.length + 1 || path[root.length] !== SLASH) return false;
  for (let i = 0; i < root.length; i++) if (path[i] !== root[i]) return false;
  return true;
}
