/**
 * Exports of a disk set by the number in handles and by path. No look-up depends on how many there are, and an export is made when
 * it is asked for: most of ten thousand are not, in a thread and a session.
 */
import { crc32 } from 'node:zlib';
import type { ExportSpecs } from '../../exports/export-specs.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import { exportIdOf } from '../handles/file-handle.ts';
import type { Volume } from '../volume/volume.ts';
import type { Export } from './export.ts';

/** Work that the table leaves to its disk set. */
export interface ExportMaker {
  /** null: it is of a volume that this thread does not have. */
  make(spec: ExportSpec): Export | null;
  /** Finds out where its directory is, if that can be found out here and now: rootKey is null otherwise. */
  locate(one: Export): void;
}

export class ExportTable {
  readonly #specs: ExportSpecs;
  readonly #maker: ExportMaker;
  /** Those that were asked for. */
  readonly #made: Map<number, Export>;

  constructor(specs: ExportSpecs, maker: ExportMaker, made = new Map<number, Export>()) {
    this.#specs = specs;
    this.#maker = maker;
    this.#made = made;
  }

  /** After a change of the specifications: another object, so that a call that remembers the table looks again. This one is used no more. */
  changed(gone: readonly Export[]): ExportTable {
    for (const { id } of gone) this.#made.delete(id);
    return new ExportTable(this.#specs, this.#maker, this.#made);
  }

  /** Those that this thread has used. */
  get made(): Iterable<Export> {
    return this.#made.values();
  }

  madeAt(id: number): Export | undefined {
    return this.#made.get(id);
  }

  madeAtPath(path: string): Export | undefined {
    const one = this.#made.get(exportIdOf(path));
    return one?.path === path ? one : undefined;
  }

  /** Finds out where the directory of the one with this number is, if that is not known. */
  locate(id: number): void {
    const one = this.#get(id);
    if (one?.rootKey === null) this.#maker.locate(one);
  }

  /** Makes them all: for tests, and for what concerns them all. */
  get all(): readonly Export[] {
    return [...this.#specs.ids()].flatMap((id) => this.#get(id) ?? []);
  }

  /** An export of any volume of the disk set has this number. */
  has(id: number): boolean {
    return this.#made.has(id) || this.#specs.has(id);
  }

  #get(id: number): Export | undefined {
    const made = this.#made.get(id);
    if (made !== undefined) return made;
    const spec = this.#specs.get(id);
    const one = spec === null ? null : this.#maker.make(spec);
    if (one === null) return undefined;
    this.#made.set(id, one);
    return one;
  }

  atPath(path: string): Export | undefined {
    const one = this.#get(exportIdOf(path));
    return one?.path === path ? one : undefined;
  }

  /** The one with this number in handles of this volume, if it is served; unknown: whether it is can't be told here. */
  of(volume: Volume, id: number): Export | 'unknown' | undefined {
    const one = this.#get(id);
    if (one?.volume !== volume) return undefined;
    if (one.rootKey === null) this.#maker.locate(one);
    if (one.rootKey === null) return 'unknown';
    return one.rootKey === '' ? undefined : one;
  }

  /** The export that a mount path (one character a byte) lies in, and what follows; null if it lies in none. */
  find(path: string): { readonly found: Export; readonly below: string } | null {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const found = this.#atWirePath(path.slice(0, end));
      if (found !== undefined) return { found, below: path.slice(end) };
    }
    const root = path.startsWith('/') ? this.#atWirePath('/') : undefined;
    return root === undefined ? null : { found: root, below: path.slice(1) };
  }

  #atWirePath(path: string): Export | undefined {
    const one = this.#get(crc32(Buffer.from(path, 'latin1')));
    return one?.wirePath === path ? one : undefined;
  }
}
