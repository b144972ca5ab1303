/**
 * Where the exported directories of a disk set are. A thread that may wait for the disk looks for them, the others are told. A
 * directory can be exported several times. What is on the way from the root of the volume to one is like a mount point: clients
 * neither rename nor remove it.
 */
import { constants } from 'node:os';
import { close } from '../../system/file-calls.ts';
import { isUnfinished } from '../directories/new-directories.ts';
import { errnoName } from '../failures/errno-outcomes.ts';
import type { Volume } from '../volume/volume.ts';
import type { DirectoryWalk } from './directory-walk.ts';
import type { Export } from './export.ts';
import { type ExportRoot, placeOf } from './export-root.ts';

const { ELOOP, ENOENT, ENOTDIR } = constants.errno;
/** Of a directory that is not under that name. */
const NOT_THERE: readonly number[] = [ENOENT, ENOTDIR, ELOOP];

interface Place {
  readonly exports: Set<Export>;
  root: ExportRoot | null;
  /** Identity keys of the directory and of those above it, down from the root of the volume. */
  way: readonly string[];
}

export class ExportedDirectories {
  readonly #walk: DirectoryWalk;
  readonly #mayWait: boolean;
  readonly #places: Map<string, Place>;
  /** How many ways a directory is on. */
  readonly #onWays: Map<Volume, Map<string, number>>;
  /** Places whose directories are not there. */
  readonly #missing: Set<string>;
  /** Where the next look begins. */
  #next: IterableIterator<string>;

  constructor(walk: DirectoryWalk, mayWait: boolean) {
    this.#walk = walk;
    this.#mayWait = mayWait;
    this.#places = new Map();
    this.#onWays = new Map();
    this.#missing = new Set();
    this.#next = this.#places.keys();
  }

  /** Some exports become others. Where that may wait for the disk, the directories of the new ones are looked for. */
  replace(gone: readonly Export[], made: readonly Export[]): void {
    for (const one of made) this.#add(one);
    for (const one of gone) this.#remove(one);
    if (this.#mayWait) this.look(made);
  }

  #add(one: Export): void {
    const place = placeOf(one.spec);
    const there = this.#places.get(place) ?? { exports: new Set(), root: null, way: [] };
    this.#places.set(place, there);
    there.exports.add(one);
    one.rootKey = there.root?.key ?? '';
  }

  #remove(one: Export): void {
    const place = placeOf(one.spec);
    const there = this.#places.get(place);
    if (there === undefined || !there.exports.delete(one) || there.exports.size > 0) return;
    this.#replaceWay(one.volume, there, []);
    this.#missing.delete(place);
    this.#places.delete(place);
  }

  of(place: string): ExportRoot | null {
    return this.#places.get(place)?.root ?? null;
  }

  get roots(): ExportRoot[] {
    return [...this.#places.values()].flatMap(({ root }) => root ?? []);
  }

  /** What another thread has found. true: a directory that was known is another one, or gone. */
  learn(roots: readonly ExportRoot[]): boolean {
    return roots.filter((root) => this.#keep(root, [])).length > 0;
  }

  /** Looks for them. Which are others than was known, and whether a directory that was known is another one, or gone. */
  look(exports: readonly Export[]): { readonly changed: readonly ExportRoot[]; readonly isAnother: boolean } {
    const changed: ExportRoot[] = [];
    let isAnother = false;
    for (const one of exports) {
      const known = this.of(placeOf(one.spec));
      const way: string[] = [];
      const root = this.#findRoot(one, known, way);
      if (root === null) continue;
      if (root.key !== known?.key || root.problem !== known.problem) changed.push(root);
      isAnother = this.#keep(root, way) || isAnother;
    }
    return { changed, isAnother };
  }

  /** null: that could not be found out, and what is known counts on. `way`: gets what leads there. */
  #findRoot({ spec, volume, directory }: Export, known: ExportRoot | null, way: string[]): ExportRoot | null {
    const place = placeOf(spec);
    if (directory.length === 0) return { place, key: volume.rootKey, problem: '' };
    const fd = this.#walk.openBelow(volume, directory, volume.identity, (key) => way.push(key));
    let result = fd < 0 ? fd : volume.noted(volume.identity.call, volume.identity.ofFd(fd));
    if (result >= 0 && spec.create !== undefined && isUnfinished(fd)) result = -ENOENT;
    if (fd >= 0) close(fd);
    if (result >= 0) return { place, key: volume.identity.key(), problem: '' };
    // For lack of descriptors or memory, say: that passes.
    const isAbsent = NOT_THERE.includes(-result);
    if (known !== null && (!isAbsent || known.cause === 'DirectoryNotMade')) return null;
    const what = isAbsent ? 'has no directory' : 'does not let this server open';
    const problem = `volume "${spec.volume}" ${what} "${spec.directory}" (${errnoName(-result)})`;
    if (!isAbsent) return { place, key: '', problem, cause: 'DirectoryUnreadable' };
    const cause = spec.create === undefined ? 'DirectoryAbsent' : 'DirectoryNotMadeYet';
    return { place, key: '', problem, cause };
  }

  #keep(root: ExportRoot, way: readonly string[]): boolean {
    const there = this.#places.get(root.place);
    if (there === undefined) return false;
    const before = there.root?.key ?? '';
    there.root = root;
    if (root.key === '') this.#missing.add(root.place);
    else this.#missing.delete(root.place);
    const [first] = there.exports;
    if (first !== undefined) this.#replaceWay(first.volume, there, way);
    if (before === root.key) return false;
    for (const one of there.exports) one.rootKey = root.key;
    return before !== '';
  }

  /** An export of each of `max` places, another one with each call; first those whose directories are not there. */
  some(max: number): Export[] {
    const chosen = new Set([...this.#missing].slice(0, max >> 1));
    for (const place of chosen) {
      // Behind the others for the next time.
      this.#missing.delete(place);
      this.#missing.add(place);
    }
    for (let looked = 0; chosen.size < max && looked <= this.#places.size; looked++) {
      const next = this.#next.next();
      if (next.done !== true) chosen.add(next.value);
      else this.#next = this.#places.keys();
    }
    return [...chosen].flatMap((place) => [...(this.#places.get(place)?.exports ?? [])].slice(0, 1));
  }

  /** Exports of places whose directories are to be made. */
  missing(max: number): Export[] {
    const found: Export[] = [];
    for (const place of this.#missing) {
      if (found.length === max) break;
      for (const one of this.#places.get(place)?.exports ?? [])
        if (one.spec.create !== undefined) {
          found.push(one);
          break;
        }
    }
    return found;
  }

  /** Path of an export to which that directory leads, by whatever name; null: to none. */
  exportBehind(volume: Volume, key: string): string | null {
    if (!this.isOnWay(volume, key)) return null;
    for (const { exports, way } of this.#places.values())
      for (const one of exports) if (one.volume === volume && way.includes(key)) return one.path;
    return null;
  }

  /** An exported directory, or one above it. */
  isOnWay(volume: Volume, key: string): boolean {
    return this.#onWays.get(volume)?.has(key) === true;
  }

  #replaceWay(volume: Volume, there: Place, way: readonly string[]): void {
    if (way.length === 0 && there.way.length === 0) return;
    const counts = this.#onWays.get(volume) ?? new Map<string, number>();
    this.#onWays.set(volume, counts);
    for (const key of way) counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const key of there.way) {
      const count = counts.get(key)! - 1;
      if (count === 0) counts.delete(key);
      else counts.set(key, count);
    }
    there.way = way;
  }
}
