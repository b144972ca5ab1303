/**
 * Work of a thread that changes volumes, for the sake of their exports. It keeps the copies of the exports, makes
 * directories that are to be exported, and removes those of deleted exports.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseExportDirectory } from '../exports/export-directory.ts';
import type { ExportSpecs } from '../exports/export-specs.ts';
import { ExportsCopy } from '../exports/exports-copy.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { DirectoryRemover, type RemovalResult } from '../storage/directories/directory-remover.ts';
import { makeDirectories } from '../storage/directories/new-directories.ts';
import { errnoName } from '../storage/failures/errno-outcomes.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { Export } from '../storage/files/export.ts';
import type { ServedExports } from '../storage/files/served-exports.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { REFUSED, type WriteGate } from '../system/write-gate.ts';

/** Directories that are tried again with one tick. */
const MADE_PER_TICK = 100;
/** Exports whose directories are looked for before the port opens: few are there before any client asks. */
const SEEN_AT_ONCE = 100;
/** Exports that survey() goes through at once, 20 us each. */
const SLICE = 64;
/** How long calls have after each slice, and after the first one: then clients come back from a takeover. ms */
const BETWEEN_SLICES_MS = 2;
const CLIENTS_FIRST_MS = 250;
/** Directories that are flushed together. */
const MADE_AT_ONCE = 32;

export interface ExportUpkeepSetup {
  readonly copies: boolean;
  /** May the volumes be changed at this moment, on the server's own account? */
  readonly mayWrite: () => boolean;
  readonly removed: (id: string, result: RemovalResult) => void;
  /** Called when the directories of some exports have been found. */
  readonly found: () => void;
}

export class ExportUpkeep {
  readonly #diskSet: DiskSet;
  readonly #exported: ServedExports;
  readonly #setup: ExportUpkeepSetup;
  /** By name of the volume. */
  readonly #copies: ReadonlyMap<string, ExportsCopy>;
  readonly #removers: ReadonlyMap<string, DirectoryRemover>;
  /** Exports that are not in the copies yet. */
  #uncopied: Iterator<ExportSpec>;
  /** One after the other, so that a directory is made once. */
  #making: Promise<unknown>;
  #stopped: boolean;

  constructor(diskSet: DiskSet, gate: WriteGate, setup: ExportUpkeepSetup) {
    this.#diskSet = diskSet;
    this.#exported = diskSet.exported;
    this.#setup = setup;
    const volumes = [...diskSet.volumes.values()];
    const copied = setup.copies ? volumes : [];
    this.#copies = new Map(copied.map(({ spec }) => [spec.name, new ExportsCopy(gate, spec.path)]));
    this.#removers = new Map(volumes.map((volume) => [volume.spec.name, this.#removerOf(volume)]));
    this.#uncopied = [].values();
    this.#making = Promise.resolve();
    this.#stopped = false;
  }

  #removerOf(volume: Volume): DirectoryRemover {
    return new DirectoryRemover(volume, {
      mayWrite: this.#setup.mayWrite,
      exportIn: (names, key) => this.#exported.exportIn(volume, names, key),
      moved: () => {
        this.#diskSet.table.generation += 1;
      },
      done: this.#setup.removed,
    });
  }

  // -------------------------------------------------------------------------------------------------- changes

  /** Replaces all exports; survey() goes through the new ones. */
  replace(specs: ExportSpecs): void {
    this.#exported.replace(specs);
    this.begin();
  }

  /** After the exports were replaced: until survey() has gone through them, the copies on the volumes stay as they are. */
  begin(): void {
    this.#exported.lookForUnseen(SEEN_AT_ONCE);
    for (const copy of this.#copies.values()) copy.begin();
    this.#uncopied = this.#copies.size === 0 ? [].values() : this.#exported.specs[Symbol.iterator]();
  }

  /** Resolves when directories that are to be made are there. */
  change(changes: ExportChanges): Promise<void> {
    this.#exported.change(changes);
    this.#copyChanges(changes);
    return this.#make(() => this.#absentOf(changes.set));
  }

  #copyChanges({ set, removed }: ExportChanges): void {
    for (const [name, copy] of this.#copies) {
      // A path may have moved here from another volume, or away.
      const gone = set.filter(({ volume }) => volume !== name).map(({ path }) => path);
      copy.change({ set: set.filter(({ volume }) => volume === name), removed: [...removed, ...gone] });
    }
  }

  /** Goes through all exports once: looks for their directories, and copies them. Between slices of that, calls are executed. */
  async survey(): Promise<void> {
    for (let waitMs = CLIENTS_FIRST_MS; this.#surveySome() && !this.#stopped; waitMs = BETWEEN_SLICES_MS)
      await delay(waitMs);
  }

  /** false: all were seen. */
  #surveySome(): boolean {
    const looked = this.#exported.lookForUnseen(SLICE);
    const copied = this.#copySome();
    this.#setup.found();
    return looked || copied;
  }

  /** false: all are copied. */
  #copySome(): boolean {
    for (let copied = 0; copied < SLICE; copied++) {
      const next = this.#uncopied.next();
      if (next.done !== true) {
        this.#copies.get(next.value.volume)?.change({ set: [next.value], removed: [] });
        continue;
      }
      for (const copy of this.#copies.values()) copy.complete();
      return false;
    }
    return true;
  }

  // --------------------------------------------------------------------------------------------------- copies

  /** So that the copies can be written: the disk set is handed over, or frozen. */
  copyAll(): void {
    while (this.#copySome());
  }

  get isSettled(): boolean {
    return [...this.#copies.values()].every(({ isSettled }) => isSettled);
  }

  /** Copies that have changed. */
  async write(): Promise<void> {
    await Promise.all([...this.#copies.values()].map((copy) => copy.write()));
  }

  // ---------------------------------------------------------------------------------------------- directories

  #absentOf(specs: readonly ExportSpec[]): Export[] {
    return specs.flatMap((spec) => {
      if (spec.create === undefined) return [];
      const one = this.#diskSet.exports.atPath(spec.path);
      return one?.rootKey === '' ? [one] : [];
    });
  }

  /** Those of all exports that are not there and are to be made. */
  makeMissing(): Promise<void> {
    return this.#make(() => this.#exported.directories.missing(MADE_PER_TICK));
  }

  /** If the volume may be changed at the moment. */
  async #make(which: () => readonly Export[]): Promise<void> {
    const making = this.#making.then(() => this.#makeNow(which()));
    this.#making = making.catch(() => {});
    return making;
  }

  async #makeNow(exports: readonly Export[]): Promise<void> {
    for (const [volume, ones] of Map.groupBy(exports, ({ volume }) => volume)) {
      for (let at = 0; at < ones.length && this.#setup.mayWrite(); at += MADE_AT_ONCE)
        await this.#makeSome(volume, ones.slice(at, at + MADE_AT_ONCE));
    }
  }

  async #makeSome(volume: Volume, exports: readonly Export[]): Promise<void> {
    const wanted = exports.map(({ directory, spec }) => ({ names: directory, attributes: spec.create! }));
    const results = await makeDirectories(volume, wanted);
    for (const [index, one] of exports.entries()) {
      const result = results[index]!;
      if (result < 0 && result !== REFUSED) this.#exported.directories.notMade(one, problemOf(one, result));
    }
    this.#exported.lookAt(exports.filter((_, index) => results[index]! >= 0).map(({ path }) => path));
  }

  // ------------------------------------------------------------------------------------------------- removals

  /** Goes on with the removals that an owner before has not finished. */
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
    this.#stopped = true;
    await Promise.all([...this.#removers.values()].map((remover) => remover.stop()));
    await Promise.all([...this.#copies.values()].map((copy) => copy.whenWritten()));
    await this.#making;
  }
}

function problemOf({ spec }: Export, result: number): string {
  return `directory "${spec.directory}" cannot be made on volume "${spec.volume}" (${errnoName(-result)})`;
}
