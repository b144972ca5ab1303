/**
 * Where the exported directories of a disk set are, in a thread that may wait for the disk: it looks for them, and the others are told
 * (told-roots.ts). A directory can be exported several times. What is on the way from the root of the volume to one is like a mount
 * point: clients neither rename nor remove it.
 */
import { constants } from 'node:os';
import { close } from '../../system/file-calls.ts';
import { isUnfinished } from '../directories/new-directories.ts';
import { errnoName } from '../failures/errno-outcomes.ts';
import type { Volume } from '../volume/volume.ts';
import type { DirectoryWalk } from './directory-walk.ts';
import type { Export } from './export.ts';
import type { ExportRoot } from './export-root.ts';

const { ELOOP, ENOENT, ENOTDIR } = constants.errno;
/** Errors of a directory that is not under that name. */
const NOT_THERE: readonly number[] = [ENOENT, ENOTDIR, ELOOP];

/** The root that was found at a place, for each of its exports. */
type Found = Omit<ExportRoot, 'path'>;

interface Place {
  readonly exports: Set<Export>;
  root: Found | null;
  /** Identity keys of the directory and of those above it, down from the root of the volume. */
  way: readonly string[];
}

export class ExportedDirectories {
  readonly #walk: DirectoryWalk;
  readonly #places: Map<string, Place>;
  /** How many ways a directory is on. */
  readonly #onWays: Map<Volume, Map<string, number>>;
  /** Places whose directories are not there. */
  readonly #missing: Set<string>;
  /** Where the next look begins. */
  #next: IterableIterator<string>;
  /** News that the other threads have not been told yet, by path. */
  readonly #news: Map<string, ExportRoot>;

  constructor(walk: DirectoryWalk) {
    this.#walk = walk;
    this.#places = new Map();
    this.#onWays = new Map();
    this.#missing = new Set();
    this.#next = this.#places.keys();
    this.#news = new Map();
  }

  /** Its directory is where that of another export is, or is not known. */
  add(one: Export): void {
    const there = this.#places.get(one.place) ?? { exports: new Set(), root: null, way: [] };
    this.#places.set(one.place, there);
    there.exports.add(one);
    if (there.root !== null) this.#tell(one, there.root);
  }

  remove(one: Export): void {
    this.#news.delete(one.path);
    const there = this.#places.get(one.place);
    if (there === undefined || !there.exports.delete(one) || there.exports.size > 0) return;
    this.#replaceWay(one.volume, there, []);
    this.#missing.delete(one.place);
    this.#places.delete(one.place);
  }

  #tell(one: Export, root: Found): void {
    one.rootKey = root.key;
    this.#news.set(one.path, { ...root, path: one.path });
  }

  /** Where directories have been found, or not, since it was asked last. */
  takeNews(): ExportRoot[] {
    const news = [...this.#news.values()];
    this.#news.clear();
    return news;
  }

  /** Why its directory is not there, as far as is known; empty: it is, or nobody has looked. */
  problemOf(one: Export): string {
    return this.#places.get(one.place)?.root?.problem ?? '';
  }

  /** It could not be made. */
  notMade(one: Export, problem: string): void {
    this.#keep({ place: one.place, key: '', problem, cause: 'DirectoryNotMade' }, []);
  }

  /** Looks for them. true: a directory that was known is another one, or gone. */
  look(exports: Iterable<Export>): boolean {
    let isAnother = false;
    for (const one of exports) {
      const known = this.#places.get(one.place)?.root ?? null;
      const way: string[] = [];
      const root = this.#findRoot(one, known, way);
      if (root !== null) isAnother = this.#keep(root, way) || isAnother;
    }
    return isAnother;
  }

  /** null: that could not be found out, and what is known counts on. `way`: gets what leads there. */
  #findRoot({ spec, place, volume, directory }: Export, known: Found | null, way: string[]): Found | null {
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

  #keep(root: Found, way: readonly string[]): boolean {
    const there = this.#places.get(root.place);
    if (there === undefined) return false;
    const before = there.root;
    there.root = root;
    if (root.key === '') this.#missing.add(root.place);
    else this.#missing.delete(root.place);
    const [first] = there.exports;
    if (first !== undefined) this.#replaceWay(first.volume, there, way);
    const isSame = before?.key === root.key && before.problem === root.problem;
    for (const one of there.exports) if (!isSame || one.rootKey !== root.key) this.#tell(one, root);
    return before !== null && before.key !== '' && before.key !== root.key;
  }

  /** An export of each of `max` places, another one with each call; first those whose directories are not there. */
  some(max: number): Export[] {
    const chosen = new Set([...this.#missing].slice(0, max >> 1));
    for (const place of chosen) {
      // It comes behind the others the next time.
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

  /** Exports whose directories are not there and are to be made, one of each place. */
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
