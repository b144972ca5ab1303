/** The exports of a disk set by their numbers in file handles: those that were given together, and what has changed since. Pure. */
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { countClients, PackedExports } from './packed-exports.ts';

const NONE_PACKED = PackedExports.pack([]);

export class ExportSpecs {
  readonly #packed: PackedExports;
  /** null: it is exported no longer. */
  readonly #changed: Map<number, ExportSpec | null>;

  constructor({ packed, changes }: GivenExports) {
    this.#packed = packed === null ? NONE_PACKED : new PackedExports(packed);
    this.#changed = new Map();
    this.change(changes);
  }

  static of(exports: readonly ExportSpec[]): ExportSpecs {
    return new ExportSpecs(unpacked(exports));
  }

  change({ set, removed }: ExportChanges): void {
    for (const path of removed) this.#changed.set(exportIdOf(path), null);
    for (const one of set) this.#changed.set(exportIdOf(one.path), one);
  }

  get(id: number): ExportSpec | null {
    const changed = this.#changed.get(id);
    return changed === undefined ? this.#packed.get(id) : changed;
  }

  has(id: number): boolean {
    const changed = this.#changed.get(id);
    return changed === undefined ? this.#packed.has(id) : changed !== null;
  }

  atPath(path: string): ExportSpec | null {
    const found = this.get(exportIdOf(path));
    return found?.path === path ? found : null;
  }

  get given(): GivenExports {
    const set = [...this.#changed.values()].filter((one) => one !== null);
    const gone = [...this.#changed].flatMap(([id, one]) =>
      one === null ? (this.#packed.get(id) ?? []) : [],
    );
    return { packed: this.#packed.memory, changes: { set, removed: gone.map(({ path }) => path) } };
  }

  *ids(): IterableIterator<number> {
    for (const [id, one] of this.#changed) if (one !== null) yield id;
    for (const id of this.#packed.ids()) if (!this.#changed.has(id)) yield id;
  }

  *[Symbol.iterator](): IterableIterator<ExportSpec> {
    for (const id of this.ids()) yield this.get(id)!;
  }

  /** How many exports name each client. */
  countClients(): Map<string, number> {
    const counts = new Map(Object.entries(this.#packed.clients));
    for (const [id, now] of this.#changed) {
      const before = this.#packed.get(id);
      for (const client of before?.clients ?? []) counts.set(client, counts.get(client)! - 1);
      for (const [client, count] of Object.entries(countClients(now === null ? [] : [now])))
        counts.set(client, (counts.get(client) ?? 0) + count);
    }
    for (const [client, count] of counts) if (count === 0) counts.delete(client);
    return counts;
  }
}

/** As they are, for few of them. */
export function unpacked(exports: readonly ExportSpec[]): GivenExports {
  return { packed: null, changes: { set: exports, removed: [] } };
}

/** Exports that faultOfExports() finds no fault with. */
export function packed(exports: readonly ExportSpec[]): GivenExports {
  return { packed: PackedExports.pack(exports).memory, changes: { set: [], removed: [] } };
}
