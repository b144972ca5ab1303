/** The exports of a disk set in one thread: what they are, and where their directories are. */
import { ExportSpecs } from '../../exports/export-specs.ts';
import type { ExportChanges, ExportSpec } from '../../settings/export-spec.ts';
import { S_IFDIR, StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';
import type { Volume } from '../volume/volume.ts';
import type { DirectoryWalk } from './directory-walk.ts';
import { Export } from './export.ts';
import type { ExportRoot } from './export-root.ts';
import { type ExportMaker, ExportTable } from './export-table.ts';
import { ExportedDirectories } from './exported-directories.ts';
import type { FileTable } from './file-table.ts';
import type { OpenFile } from './open-file.ts';
import { ToldRoots } from './told-roots.ts';

/** Directories that are looked for in one tick, so that it stays below some milliseconds. */
const LOOKED_FOR_AT_ONCE = 500;

export class ServedExports implements ExportMaker {
  readonly #table: FileTable;
  readonly #byName: ReadonlyMap<string, Volume>;
  readonly #mayWait: boolean;
  #specs: ExportSpecs;
  /** Also while the file table has those of a recovery (DiskSet.asRecorded). */
  #exports: ExportTable;
  /** For threads in which a call may wait for a disk. */
  readonly #directories: ExportedDirectories;
  /** For threads in which it may not. */
  readonly #told: ToldRoots;
  /** Numbers of exports whose directories nobody has looked for since the exports were replaced. */
  #unseen: Iterator<number>;
  #allSeen: boolean;

  constructor(volumes: readonly Volume[], table: FileTable, walk: DirectoryWalk, mayWait: boolean) {
    this.#table = table;
    this.#byName = new Map(volumes.map((volume) => [volume.spec.name, volume]));
    this.#mayWait = mayWait;
    this.#specs = ExportSpecs.of([]);
    this.#exports = new ExportTable(this.#specs, this);
    this.#directories = new ExportedDirectories(walk);
    this.#told = new ToldRoots();
    this.#unseen = [].values();
    this.#allSeen = true;
  }

  get specs(): ExportSpecs {
    return this.#specs;
  }

  /** The exported directories of this disk set. */
  get directories(): ExportedDirectories {
    return this.#directories;
  }

  make(spec: ExportSpec): Export | null {
    const volume = this.#byName.get(spec.volume);
    if (volume === undefined) return null;
    const one = new Export(spec, volume);
    if (this.#mayWait) this.#directories.add(one);
    else this.#told.locate(one);
    return one;
  }

  locate(one: Export): void {
    if (this.#mayWait) this.#directories.look([one]);
    else this.#told.locate(one);
  }

  /**
   * Takes effect at once, for calls in progress too: rights are looked up where they are used. faultOfExports() has found no fault with
   * them. An export whose directory is not there is not served. The directories are looked for by and by (lookForUnseen()), and when
   * a call needs one.
   */
  replace(specs: ExportSpecs): void {
    const gone = [...this.#exports.made];
    this.#specs = specs;
    const exports = new ExportTable(specs, this);
    if (this.#mayWait) {
      // The new ones first: of a directory that is exported before and after, what is known stays.
      const kept = gone.flatMap(({ path }) => exports.atPath(path) ?? []);
      for (const one of gone) this.#directories.remove(one);
      this.#directories.look(kept.filter(({ rootKey }) => rootKey === null || rootKey === ''));
    } else this.#told.keepThoseOf(exports);
    this.#unseen = specs.ids();
    this.#allSeen = !this.#mayWait;
    this.#exports = exports;
    this.#table.replaceExports(exports);
  }

  /** The same for some of them, whose directories are looked for at once. */
  change(changes: ExportChanges): void {
    const exports = this.#exports;
    const paths = [...changes.removed, ...changes.set.map(({ path }) => path)];
    const gone = [...new Set(paths)].flatMap((path) => exports.madeAtPath(path) ?? []);
    this.#specs.change(changes);
    const changed = exports.changed(gone);
    if (this.#mayWait) {
      const made = changes.set.flatMap(({ path }) => changed.atPath(path) ?? []);
      for (const one of gone) this.#directories.remove(one);
      this.#directories.look(made);
    } else for (const path of changes.removed) this.#told.forget(path);
    this.#exports = changed;
    // A file is bound to an export that was made.
    if (gone.length === 0) this.#table.addExports(changed);
    else this.#table.replaceExports(changed);
  }

  /**
   * Looks for the directories of the next `max` exports since they were replaced. false: there are no more, and all are known. May wait
   * for the disk.
   */
  lookForUnseen(max: number): boolean {
    for (let looked = 0; looked < max && !this.#allSeen; looked++) {
      const next = this.#unseen.next();
      if (next.done === true) this.#allSeen = true;
      else this.#exports.locate(next.value);
    }
    return !this.#allSeen;
  }

  /** News of directories that the other threads have not been told yet. */
  takeNews(): ExportRoot[] {
    return this.#directories.takeNews();
  }

  /** Looks for some of the exported directories again. May wait for the disk. */
  lookAgain(): void {
    this.#look(this.#directories.some(LOOKED_FOR_AT_ONCE));
  }

  /** Looks for the directories of these exports, such as have just been made. May wait for the disk. */
  lookAt(paths: readonly string[]): void {
    this.#look(paths.flatMap((path) => this.#exports.atPath(path) ?? []));
  }

  #look(exports: readonly Export[]): void {
    if (this.#directories.look(exports)) this.#table.replaceExports(this.#exports);
  }

  /** Takes over the roots that another thread has found. */
  learn(roots: readonly ExportRoot[]): void {
    if (this.#told.learn(roots, this.#exports)) this.#table.replaceExports(this.#exports);
  }

  /** Path of an export that is this directory or lies in it, on this volume. key: of the directory. */
  exportIn(volume: Volume, names: readonly Uint8Array[], key: string): string | null {
    const isIn = (one: Export): boolean =>
      one.volume === volume &&
      one.directory.length >= names.length &&
      names.every((name, index) => Buffer.compare(name, one.directory[index]!) === 0);
    this.#lookForAll();
    return this.#exports.all.find(isIn)?.path ?? this.#directories.exportBehind(volume, key);
  }

  /** The object under a name is exported, or is above a directory that is: like a mount point it is neither renamed nor removed by clients. */
  isOnWay({ volume, pathFd }: OpenFile, name: Uint8Array, key: string): boolean {
    if (this.#directories.isOnWay(volume, key)) return true;
    if (this.#allSeen || !isDirectory(pathFd, name)) return false;
    this.#lookForAll();
    return this.#directories.isOnWay(volume, key);
  }

  /** Once after a takeover, if it is asked for before lookForUnseen() was called often enough: 20 us an export. */
  #lookForAll(): void {
    while (this.lookForUnseen(LOOKED_FOR_AT_ONCE));
  }
}

const nameStat = new StatBuffer();

function isDirectory(dir: number, name: Uint8Array): boolean {
  return asServer(() => nameStat.ofName(dir, name)) >= 0 && nameStat.type === S_IFDIR;
}
