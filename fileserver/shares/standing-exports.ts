/**
 * The exports of a disk set as an opening is given them, made before anybody opens: what a takeover does must not depend on how many
 * shares there are. Packing costs what all exports cost, so changes stand beside what is packed until there are many.
 */
import { PackedExports } from '../exports/packed-exports.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';

/** So many changes stand beside what is packed, or one for so many packed exports: each is copied to each thread, and costs 3 us there. */
const CHANGES_MIN = 100;
const PACKED_A_CHANGE = 20;

export class StandingExports {
  readonly #all: () => readonly ExportSpec[];
  #packed: PackedExports | null;
  /** By path; null: it is exported no longer. */
  readonly #changed: Map<string, ExportSpec | null>;

  /** all: the exports as they are. faultOfExports() finds no fault with them. */
  constructor(all: () => readonly ExportSpec[]) {
    this.#all = all;
    this.#packed = null;
    this.#changed = new Map();
  }

  /** After these changes. */
  note({ set, removed }: ExportChanges): void {
    for (const path of removed) this.#changed.set(path, null);
    for (const one of set) this.#changed.set(one.path, one);
    const max = Math.max(CHANGES_MIN, (this.#packed?.count ?? 0) / PACKED_A_CHANGE);
    if (this.#changed.size <= max) return;
    this.#packed = PackedExports.pack(this.#all());
    this.#changed.clear();
  }

  get now(): GivenExports {
    const set: ExportSpec[] = [];
    const removed: string[] = [];
    for (const [path, one] of this.#changed) {
      if (one === null) removed.push(path);
      else set.push(one);
    }
    return { packed: this.#packed?.memory ?? null, changes: { set, removed } };
  }
}
