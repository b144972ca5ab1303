/** Exports of a disk set while it is open: checks new ones, keeps those that come while it opens, and gives them to its threads. */
import type { DiskSetSide } from '../../pair/types.ts';
import { faultOfExport, faultOfExports } from '../exports/export-check.ts';
import { readExportsCopy } from '../exports/exports-copy.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { volumesOf } from '../settings/thread-counts.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { ExportRoot } from '../storage/files/export-root.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
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
  /** That have come while it was being opened; null: none have. */
  #keptExports: readonly ExportSpec[] | null;
  /** Likewise, and later than those. */
  #keptChanges: ExportChangesMessage[];
  /** Number of the last change that the threads were given. */
  #change: number;

  constructor(
    diskSet: DiskSetSide,
    volumes: readonly VolumeSpec[],
    exports: readonly ExportSpec[],
    threads: DiskSetThreads,
    post: (message: FromDataThread) => void,
  ) {
    this.#diskSet = diskSet;
    this.#volumeNames = volumes.map(({ name }) => name);
    this.#threads = threads;
    this.#post = post;
    this.#state = 'opening';
    this.#keptExports = null;
    this.#keptChanges = [];
    this.#change = 0;
    this.known = new CoordinatedExports(exports, {
      log: (level, message) => post({ kind: 'log', diskSet, level, message }),
      onAbsent: (absent) => post({ kind: 'absentExports', diskSet, exports: absent }),
    });
  }

  faultOf(exports: readonly ExportSpec[]): string | null {
    return faultOfExports(exports, this.#volumeNames);
  }

  /** What the last owner has exported, of a disk set whose FilerShares are not known yet. */
  async useCopies(volumes: readonly VolumeSpec[], home: string): Promise<void> {
    const copies = await Promise.all(volumes.map(({ path, name }) => readExportsCopy(path, name)));
    volumes.forEach(({ name }, index) => {
      const found = copies[index] === null ? 'no copy of the exports' : 'the copy of the exports';
      const message = `the FilerShares of ${home} are not known yet: volume ${name} is served with ${found} that is on it`;
      this.#post({ kind: 'log', diskSet: this.#diskSet, level: 'warn', message });
    });
    await this.#give({ exports: withoutConflicts(copies.flatMap((copy) => copy ?? [])) });
  }

  /** What was kept counts. */
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

  /** The disk set is open: nothing is kept any more. */
  serve(): void {
    this.#state = 'serving';
    this.known.tellAbsent();
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
    this.#threads.toConnectionThreads({ kind: 'roots', change: null, roots });
    if (this.#state === 'serving') this.known.tellAbsent();
  }

  async #apply(exports: readonly ExportSpec[]): Promise<void> {
    // Where it is closed meanwhile no client is served on other terms either.
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
    given: { readonly exports: readonly ExportSpec[] } | { readonly changes: ExportChanges },
  ): Promise<void> {
    this.#change += 1;
    const change = this.#change;
    if ('exports' in given) this.known.replace(given.exports);
    else this.known.change(given.changes);
    this.#threads.toConnectionThreads(
      'exports' in given ? { kind: 'exports', ...given } : { kind: 'exportChanges', ...given },
    );
    const exported = await this.#threads.askEachVolumeThread(
      'exported',
      (index) => {
        const names = volumesOf(this.#volumeNames, this.#threads.volumeThreadCount, index);
        return 'exports' in given
          ? { kind: 'exports', change, exports: exportsOf(names, given.exports) }
          : { kind: 'exportChanges', change, changes: changesOf(names, given.changes) };
      },
      change,
    );
    const roots = exported.flatMap((reply) => (reply.kind === 'exported' ? reply.roots : []));
    this.known.found(roots);
    await this.#threads.askConnectionThreads('rooted', { kind: 'roots', change, roots }, change);
    if (this.#state === 'serving') this.known.tellAbsent();
  }
}

/** Those of the volumes of these names. */
export function exportsOf(volumes: readonly string[], exports: readonly ExportSpec[]): ExportSpec[] {
  return exports.filter(({ volume }) => volumes.includes(volume));
}

/** An export that moves to the volume of another thread is gone from this one. */
function changesOf(volumes: readonly string[], { set, removed }: ExportChanges): ExportChanges {
  const mine = exportsOf(volumes, set);
  const others = set.filter((one) => !mine.includes(one)).map(({ path }) => path);
  return { set: mine, removed: [...removed, ...others] };
}

/** Copies of two volumes can be of different moments: of two exports that exclude each other the first one counts. */
function withoutConflicts(exports: readonly ExportSpec[]): ExportSpec[] {
  const byId = new Map<number, ExportSpec>();
  for (const one of exports) if (!byId.has(exportIdOf(one.path))) byId.set(exportIdOf(one.path), one);
  return [...byId.values()];
}
