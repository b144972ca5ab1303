/**
 * Whether an open directory or file lies inside its export. A directory did when its handle was made, but may have been moved out
 * since: by way of another export, or on the server. Files have no way back up: of those it is asked whether they lie on the
 * volume, where the file system is larger.
 */
import { constants } from 'node:os';
import { close } from '../../system/file-calls.ts';
import { S_IFDIR, StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';
import { IdentityReader } from '../handles/file-identity.ts';
import type { Volume } from '../volume/volume.ts';
import { DeepClimbs, FREE_LEVELS } from './deep-climbs.ts';
import type { DirectoryWalk } from './directory-walk.ts';
import type { Export } from './export.ts';
import { InsideDirectories } from './inside-directories.ts';
import { INSIDE, InsideFiles, OUTSIDE } from './inside-files.ts';
import type { OpenFile } from './open-file.ts';

const { EAGAIN, ENOENT, ESTALE } = constants.errno;
const NONE_KNOWN: ReadonlySet<string> = new Set();
const climbStat = new StatBuffer();

export class Containment {
  readonly #walk: DirectoryWalk;
  /** May a call here wait for a disk? */
  readonly #mayWait: boolean;
  /** Not the volumes' own, as the caller may still need what is in those. */
  readonly #climbers: ReadonlyMap<Volume, IdentityReader>;
  readonly #inside: InsideDirectories;
  readonly #deepClimbs: DeepClimbs;
  readonly #insideFiles: InsideFiles;

  constructor(volumes: readonly Volume[], walk: DirectoryWalk, mayWait: boolean) {
    this.#walk = walk;
    this.#mayWait = mayWait;
    this.#climbers = new Map(volumes.map((volume) => [volume, new IdentityReader(volume.identity.kind)]));
    this.#inside = new InsideDirectories();
    this.#deepClimbs = new DeepClimbs();
    this.#insideFiles = new InsideFiles(mayWait);
  }

  /**
   * INSIDE, OUTSIDE, or -errno: that could not be found out. What was found in the same `generation` of the file table counts. May
   * switch the thread to the server's identity.
   */
  check(file: OpenFile, fd: number, generation: number): number {
    const known = this.#inside.of(file.tree, generation);
    return asServer(() => this.#check(file, fd, generation, known));
  }

  /** The same at this moment, whatever was found before. */
  checkNow(file: OpenFile, fd: number, generation: number): number {
    return asServer(() => this.#check(file, fd, generation, NONE_KNOWN));
  }

  #check(file: OpenFile, fd: number, generation: number, known: ReadonlySet<string>): number {
    const { tree } = file;
    if (climbStat.ofFd(fd) < 0) return INSIDE;
    if (climbStat.type !== S_IFDIR) return this.#insideFiles.isInside(file, fd, climbStat);
    const inside = this.#leadsToRoot(file, fd, generation, known);
    // The known directories concern the root of before.
    return inside === OUTSIDE && this.#isRootAnother(tree)
      ? this.#leadsToRoot(file, fd, generation, NONE_KNOWN)
      : inside;
  }

  /** known: identity keys of directories that lie inside. */
  #leadsToRoot(file: OpenFile, fd: number, generation: number, known: ReadonlySet<string>): number {
    const { volume, tree } = file;
    const identity = this.#climbers.get(volume)!;
    const climbed: string[] = [];
    let key = file.key;
    let at = fd;
    let inside = key === tree.rootKey || known.has(key);
    while (!inside && key !== volume.rootKey) {
      if (climbed.length === FREE_LEVELS && !this.#deepClimbs.mayGoOn(performance.now())) {
        if (at !== fd) close(at);
        return -EAGAIN;
      }
      climbed.push(key);
      const above = this.#walk.openAbove(volume, at);
      if (at !== fd) close(at);
      at = above;
      if (above < 0) return hasNothingAbove(above) ? OUTSIDE : above;
      const identified = volume.noted(identity.call, identity.ofFd(above));
      if (identified < 0) {
        close(above);
        return identified;
      }
      if (identity.mountId !== volume.rootMountId) break;
      const keyAbove = identity.key();
      // The root of everything is above itself.
      if (keyAbove === key) break;
      key = keyAbove;
      inside = key === tree.rootKey || known.has(key);
    }
    if (at !== fd) close(at);
    if (climbed.length > FREE_LEVELS) this.#deepClimbs.climbed(climbed.length, performance.now());
    if (!inside) return OUTSIDE;
    this.#inside.add(tree, generation, climbed);
    return INSIDE;
  }

  /** The exported directory may have been removed and made anew: is it another one by now? Then that one counts. */
  #isRootAnother(tree: Export): boolean {
    if (!this.#mayWait) return false;
    const identity = this.#climbers.get(tree.volume)!;
    const fd = this.#walk.openBelow(tree.volume, tree.directory, identity);
    if (fd < 0) return false;
    const result = identity.ofFd(fd);
    close(fd);
    if (result < 0 || identity.key() === tree.rootKey) return false;
    tree.rootKey = identity.key();
    return true;
  }
}

/** The result of opening `..` (-errno) says that the directory was removed meanwhile. */
function hasNothingAbove(result: number): boolean {
  return result === -ENOENT || result === -ESTALE;
}
