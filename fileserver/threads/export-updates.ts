/** Exports of a disk set while it is open: checks new ones, keeps those that come while it opens, and gives them to its threads. */
import type { DiskSetSide } from '../../pair/types.ts';
import { faultOfExport, faultOfExports } from '../exports/export-check.ts';
import { packed, unpacked } from '../exports/export-specs.ts';
import { readExportsCopy } from '../exports/exports-copy.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { ExportRoot } from '../storage/files/export-root.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { inBackground } from '../system/turns.ts';
import { CoordinatedExports } from './coordinated-exports.ts';
import type { DiskSetThreads } from './disk-set-threads.ts';
import type { ExportChangesMessage, FromDataThread } from './messages.ts';

export class ExportUpdates {
  readonly known: CoordinatedExports;
  readonly #diskSet: DiskSetSide;
  readonly #volumeNames: readonly string[];
  readonly #threads: DiskSetThreads;
  readonly #post: (message: FromDataThread) => void;
  #state: 'opening' | 'serving' | 'ended';
  /** The directories of all exports have been looked for: before, absent ones are not told of. */
  #directoriesKnown: boolean;
  /** News of directories for the connection threads, until they are attached. */
  #untold: ExportRoot[];
  /** Exports that have come while it was being opened; null: none have. */
  #keptExports: readonly ExportSpec[] | null;
  /** Likewise, and later than those. */
  #keptChanges: ExportChangesMessage[];
  /** Number of the last change that the threads were given. */
  #change: number;
  /** Number of the last update that replaced all exports. */
  #lookedSince: number;

  constructor(
    diskSet: DiskSetSide,
    volumes: readonly VolumeSpec[],
    exports: GivenExports | null,
    threads: DiskSetThreads,
    post: (message: FromDataThread) => void,
  ) {
    this.#diskSet = diskSet;
    this.#volumeNames = volumes.map(({ name }) => name);
    this.#threads = threads;
    this.#post = post;
    this.#state = 'opening';
    this.#directoriesKnown = false;
    this.#untold = [];
    this.#keptExports = null;
    this.#keptChanges = [];
    this.#change = 0;
    this.#lookedSince = 0;
    this.known = new CoordinatedExports(exports ?? unpacked([]), {
      log: (level, message) => post({ kind: 'log', diskSet, level, message }),
      onAbsent: (absent) => post({ kind: 'absentExports', diskSet, exports: absent }),
    });
  }

  faultOf(exports: readonly ExportSpec[]): string | null {
    return faultOfExports(exports, this.#volumeNames);
  }

  /** For the threads that are attached now; from now on they are told of what is found. */
  takeUntold(): ExportRoot[] {
    return this.#untold.splice(0);
  }

  /** Serves the exports that the last owner had, of a disk set whose FilerShares are not known yet. */
  async useCopies(volumes: readonly VolumeSpec[], home: string): Promise<void> {
    const copies = await Promise.all(volumes.map(({ path, name }) => readExportsCopy(path, name)));
    volumes.forEach(({ name }, index) => {
      const found = copies[index] === null ? 'no copy of the exports' : 'the copy of the exports';
      const message = `the FilerShares of ${home} are not known yet: volume ${name} is served with ${found} that is on it`;
      this.#post({ kind: 'log', diskSet: this.#diskSet, level: 'warn', message });
    });
    await this.#give({ exports: withoutConflicts(copies.flatMap((copy) => copy ?? [])) });
  }

  /** Applies the exports and changes that were kept. */
  async applyKept(): Promise<void> {
    for (;;) {
      const exports = this.#keptExports;
      this.#keptExports = null;
      const changes = this.#keptChanges.splice(0);
      if (exports === null && changes.length === 0) return;
      if (exports !== null) await this.#apply(exports);
      for (const { changes: one } of changes) await this.#give({ changes: one }).catch(() => {});
      this.#answerLast(changes);
    }
  }

  /** The disk set is open: nothing is kept any more. Directories are looked for only now: clients do not wait for ten thousand of them. */
  serve(): void {
    this.#state = 'serving';
    this.#lookForDirectories();
  }

  #lookForDirectories(): void {
    const change = this.#change;
    const looked = this.#threads.askVolumeThreads(
      'directoriesKnown',
      { kind: 'lookForDirectories', change },
      change,
    );
    // Closed meanwhile.
    const known = looked.catch(() => null);
    inBackground(known.then((replies) => replies !== null && this.#haveLooked(change)));
  }

  #haveLooked(change: number): void {
    // Others are looked for since.
    if (this.#state !== 'serving' || change < this.#lookedSince) return;
    this.#directoriesKnown = true;
    this.known.tellAbsent();
    this.#post({ kind: 'directoriesKnown', diskSet: this.#diskSet });
  }

  /** Threads are given nothing more; what was kept is answered. */
  end(): void {
    this.#state = 'ended';
    const exports = this.#keptExports;
    this.#keptExports = null;
    if (exports !== null) this.#answer(exports);
    this.#answerLast(this.#keptChanges.splice(0));
  }

  /**
   * Ends with `exportsReplaced` or `exportsRefused`. What can be refused is found before any thread has them. All threads are told
   * at once: a disk that does not answer holds up the answer, but takes no lease back.
   */
  async replace(exports: readonly ExportSpec[]): Promise<void> {
    if (this.#state === 'opening') {
      this.#keptExports = exports;
      this.#keptChanges = [];
    } else await this.#apply(exports);
  }

  /** Ends with `exportsChanged`. */
  async change(message: ExportChangesMessage): Promise<void> {
    if (this.#state === 'opening') {
      this.#keptChanges.push(message);
      return;
    }
    const { changes, diskSet } = message;
    const fault = changes.set.map((one) => faultOfExport(one, this.#volumeNames)).find((one) => one !== null);
    if (fault !== undefined)
      this.#post({ kind: 'log', diskSet, level: 'error', message: `exports stay as they were: ${fault}` });
    else if (this.#state === 'serving') await this.#give({ changes }).catch(() => {});
    this.#answerLast([message]);
  }

  /** A volume thread has found directories of exports gone, back, or replaced. */
  rootsFound(roots: readonly ExportRoot[]): void {
    this.known.found(roots);
    if (this.#threads.areAttached) this.#threads.toConnectionThreads({ kind: 'roots', change: null, roots });
    else this.#untold.push(...roots);
    this.#tellAbsent();
  }

  #tellAbsent(): void {
    if (this.#state === 'serving' && this.#directoriesKnown) this.known.tellAbsent();
  }

  async #apply(exports: readonly ExportSpec[]): Promise<void> {
    // A disk set that is closed meanwhile serves no client on other terms either.
    if (this.#state !== 'ended' && this.faultOf(exports) === null)
      await this.#give({ exports }).catch(() => {});
    this.#answer(exports);
  }

  #answer(exports: readonly ExportSpec[]): void {
    const diskSet = this.#diskSet;
    const fault = this.faultOf(exports);
    if (fault === null) this.#post({ kind: 'exportsReplaced', diskSet, exports });
    else this.#post({ kind: 'exportsRefused', diskSet, exports, message: fault });
  }

  /** The answer to a change is that to all before it. */
  #answerLast(changes: readonly ExportChangesMessage[]): void {
    const last = changes.at(-1);
    if (last !== undefined)
      this.#post({ kind: 'exportsChanged', diskSet: this.#diskSet, number: last.number });
  }

  async #give(
    news: { readonly exports: readonly ExportSpec[] } | { readonly changes: ExportChanges },
  ): Promise<void> {
    this.#change += 1;
    const change = this.#change;
    if ('exports' in news) {
      const exports = packed(news.exports);
      this.#directoriesKnown = false;
      this.#lookedSince = change;
      this.known.replace(exports);
      await this.#tell({ kind: 'exports', exports }, change);
      if (this.#state === 'serving') this.#lookForDirectories();
    } else {
      this.known.change(news.changes);
      await this.#tell({ kind: 'exportChanges', changes: news.changes }, change);
    }
    this.#tellAbsent();
  }

  /** Resolves when all threads go by them, and know where the directories are as far as those of volumes do. */
  async #tell(
    message: { kind: 'exports'; exports: GivenExports } | { kind: 'exportChanges'; changes: ExportChanges },
    change: number,
  ): Promise<void> {
    this.#threads.toConnectionThreads(message);
    const exported = await this.#threads.askVolumeThreads('exported', { ...message, change }, change);
    const roots = exported.flatMap((reply) => (reply.kind === 'exported' ? reply.roots : []));
    this.known.found(roots);
    if (this.#threads.areAttached)
      await this.#threads.askConnectionThreads('rooted', { kind: 'roots', change, roots }, change);
    else this.#untold.push(...roots);
  }
}

/** Copies of two volumes can be of different moments: of two exports that exclude each other the first one counts. */
function withoutConflicts(exports: readonly ExportSpec[]): ExportSpec[] {
  const byId = new Map<number, ExportSpec>();
  for (const one of exports) if (!byId.has(exportIdOf(one.path))) byId.set(exportIdOf(one.path), one);
  return [...byId.values()];
}
