/**
 * What a thread that changes volumes does to them for the sake of their exports. It keeps the copies of the exports, makes
 * directories that are to be exported, and removes those of deleted exports.
 */
import { parseExportDirectory } from '../exports/export-directory.ts';
import { ExportsCopy } from '../exports/exports-copy.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { DirectoryRemover, type RemovalResult } from '../storage/directories/directory-remover.ts';
import { makeDirectories } from '../storage/directories/new-directories.ts';
import { errnoName } from '../storage/failures/errno-outcomes.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { Export } from '../storage/files/export.ts';
import { type ExportRoot, placeOf } from '../storage/files/export-root.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { REFUSED, type WriteGate } from '../system/write-gate.ts';

/** Directories that are tried again with one tick. */
const MADE_PER_TICK = 100;
/** Directories that are flushed together. */
const MADE_AT_ONCE = 32;

export interface ExportUpkeepSetup {
  readonly copies: boolean;
  /** May the volumes be changed at this moment, on the server's own account? */
  readonly mayWrite: () => boolean;
  readonly removed: (id: string, result: RemovalResult) => void;
}

export class ExportUpkeep {
  readonly #diskSet: DiskSet;
  readonly #setup: ExportUpkeepSetup;
  /** By name of the volume. */
  readonly #copies: ReadonlyMap<string, ExportsCopy>;
  readonly #removers: ReadonlyMap<string, DirectoryRemover>;
  /** One after the other, so that a directory is made once. */
  #making: Promise<unknown>;

  constructor(diskSet: DiskSet, gate: WriteGate, setup: ExportUpkeepSetup) {
    this.#diskSet = diskSet;
    this.#setup = setup;
    const volumes = [...diskSet.volumes.values()];
    const copied = setup.copies ? volumes : [];
    this.#copies = new Map(copied.map(({ spec }) => [spec.name, new ExportsCopy(gate, spec.path)]));
    this.#removers = new Map(volumes.map((volume) => [volume.spec.name, this.#removerOf(volume)]));
    this.#making = Promise.resolve();
  }

  #removerOf(volume: Volume): DirectoryRemover {
    return new DirectoryRemover(volume, {
      mayWrite: this.#setup.mayWrite,
      exportIn: (names, key) => this.#diskSet.exportIn(volume, names, key),
      moved: () => {
        this.#diskSet.table.generation += 1;
      },
      done: this.#setup.removed,
    });
  }

  // --------------------------------------------------------------------------------------------------- copies

  replaced(exports: readonly ExportSpec[]): void {
    for (const [name, copy] of this.#copies) copy.replace(exports.filter(({ volume }) => volume === name));
  }

  changed({ set, removed }: ExportChanges): void {
    for (const [name, copy] of this.#copies) {
      // A path may have moved here from another volume, or away.
      const gone = set.filter(({ volume }) => volume !== name).map(({ path }) => path);
      copy.change({ set: set.filter(({ volume }) => volume === name), removed: [...removed, ...gone] });
    }
  }

  get isSettled(): boolean {
    return [...this.#copies.values()].every(({ isSettled }) => isSettled);
  }

  /** Copies that have changed. */
  async write(): Promise<void> {
    await Promise.all([...this.#copies.values()].map((copy) => copy.write()));
  }

  // ---------------------------------------------------------------------------------------------- directories

  /** Makes those that are not there and are to be made, if the volume may be changed at the moment. */
  make(specs: readonly ExportSpec[]): Promise<ExportRoot[]> {
    return this.#make(() =>
      specs.flatMap((spec) => {
        if (spec.create === undefined) return [];
        const one = this.#diskSet.exports.atPath(spec.path);
        return one?.rootKey === '' ? [one] : [];
      }),
    );
  }

  /** Of all exports. Returns which directories are found now, or can't be made. */
  makeMissing(): Promise<ExportRoot[]> {
    return this.#make(() => this.#diskSet.directories.missing(MADE_PER_TICK));
  }

  async #make(which: () => readonly Export[]): Promise<ExportRoot[]> {
    const making = this.#making.then(() => this.#makeNow(which()));
    this.#making = making.catch(() => {});
    return making;
  }

  async #makeNow(exports: readonly Export[]): Promise<ExportRoot[]> {
    const news: ExportRoot[] = [];
    for (const [volume, ones] of Map.groupBy(exports, ({ volume }) => volume)) {
      for (let at = 0; at < ones.length && this.#setup.mayWrite(); at += MADE_AT_ONCE)
        news.push(...(await this.#makeSome(volume, ones.slice(at, at + MADE_AT_ONCE))));
    }
    return news;
  }

  async #makeSome(volume: Volume, exports: readonly Export[]): Promise<ExportRoot[]> {
    const wanted = exports.map(({ directory, spec }) => ({ names: directory, attributes: spec.create! }));
    const results = await makeDirectories(volume, wanted);
    const failed = exports.flatMap((one, index) => {
      const result = results[index]!;
      return result < 0 && result !== REFUSED ? [notMade(one, result)] : [];
    });
    const news = failed.filter(
      ({ place, problem }) => this.#diskSet.directories.of(place)?.problem !== problem,
    );
    this.#diskSet.learnRoots(news);
    const there = exports.filter((_, index) => results[index]! >= 0).map(({ path }) => path);
    return [...this.#diskSet.lookForRootsAt(there), ...news];
  }

  // ------------------------------------------------------------------------------------------------- removals

  /** What an owner before has not finished. */
  resume(): void {
    for (const remover of this.#removers.values()) remover.resume();
  }

  /** Ends with `removed`. */
  remove(id: string, volume: string, directory: string): void {
    const names = parseExportDirectory({ path: '/', directory });
    this.#removers.get(volume)?.remove(id, names, directory);
  }

  forgetRemoval(id: string, volume: string): void {
    this.#removers.get(volume)?.forget(id);
  }

  /** Begins nothing more. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    await Promise.all([...this.#removers.values()].map((remover) => remover.stop()));
    await Promise.all([...this.#copies.values()].map((copy) => copy.whenWritten()));
    await this.#making;
  }
}

function notMade({ spec }: Export, result: number): ExportRoot {
  const problem = `directory "${spec.directory}" cannot be made on volume "${spec.volume}" (${errnoName(-result)})`;
  return { place: placeOf(spec), key: '', problem, cause: 'DirectoryNotMade' };
}
