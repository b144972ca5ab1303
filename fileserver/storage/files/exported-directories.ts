/**
 * Where the exported directories of a disk set are. A thread that may wait for the disk looks for them, the others are told.
 */
import { constants } from 'node:os';
import { close } from '../../system/file-calls.ts';
import { errnoName } from '../failures/errno-outcomes.ts';
import type { Volume } from '../volume/volume.ts';
import type { DirectoryWalk } from './directory-walk.ts';
import type { Export } from './export.ts';
import { type ExportRoot, placeOf } from './export-root.ts';

const { ELOOP, ENOENT, ENOTDIR } = constants.errno;
/** Of a directory that is not under that name. */
const NOT_THERE: readonly number[] = [ENOENT, ENOTDIR, ELOOP];

export class ExportedDirectories {
  readonly #walk: DirectoryWalk;
  readonly #mayWait: boolean;
  /** By place. Where calls may wait they are found here, elsewhere learned. */
  readonly #known: Map<string, ExportRoot>;
  /** Identity keys of exported directories and of those on the way to them from the root of the volume. */
  #waysToExports: Map<Volume, Set<string>>;

  constructor(walk: DirectoryWalk, mayWait: boolean) {
    this.#walk = walk;
    this.#mayWait = mayWait;
    this.#known = new Map();
    this.#waysToExports = new Map();
  }

  /** Of these exports, as far as they are known. */
  of(exports: readonly Export[]): ExportRoot[] {
    return exports.flatMap(({ spec }) => this.#known.get(placeOf(spec)) ?? []);
  }

  /** What another thread has found. */
  learn(roots: readonly ExportRoot[]): void {
    for (const root of roots) this.#known.set(root.place, root);
  }

  /** An exported directory, or one above it. */
  isOnWay(volume: Volume, key: string): boolean {
    return this.#waysToExports.get(volume)?.has(key) === true;
  }

  /** Looks for them, if that may wait for the disk here, and has the exports know their roots. */
  find(exports: readonly Export[]): void {
    if (this.#mayWait) this.#waysToExports = new Map();
    for (const one of exports) {
      if (this.#mayWait) this.#known.set(placeOf(one.spec), this.#findRoot(one));
      one.rootKey = this.#known.get(placeOf(one.spec))?.key ?? '';
    }
  }

  #findRoot({ spec, volume, directory }: Export): ExportRoot {
    const place = placeOf(spec);
    if (directory.length === 0) return { place, key: volume.rootKey, problem: '' };
    const way = this.#waysToExports.get(volume) ?? new Set();
    this.#waysToExports.set(volume, way);
    const fd = this.#walk.openBelow(volume, directory, volume.identity, (key) => way.add(key));
    const result = fd < 0 ? fd : volume.noted(volume.identity.call, volume.identity.ofFd(fd));
    if (fd >= 0) close(fd);
    if (result >= 0) return { place, key: volume.identity.key(), problem: '' };
    // For lack of descriptors or memory, say: that passes.
    const known = this.#known.get(place);
    if (known !== undefined && !NOT_THERE.includes(-result)) return known;
    const what = NOT_THERE.includes(-result) ? 'has no directory' : 'does not let this server open';
    const problem = `volume "${spec.volume}" ${what} "${spec.directory}" (${errnoName(-result)})`;
    return { place, key: '', problem };
  }
}
