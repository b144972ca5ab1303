/**
 * Directories that were found to lie below their export's, in one generation of the file table: what lies below one of them
 * does too. So a tree is climbed once, however deep it is and however many of its directories are used.
 */
import type { Export } from './export.ts';

/** Limit for one export; about 100 bytes each. */
const KEYS_MAX = 65_536;

interface Known {
  readonly rootKey: string | null;
  readonly keys: Set<string>;
}

export class InsideDirectories {
  #generation: number;
  readonly #byExport: Map<Export, Known>;

  constructor() {
    this.#generation = -1;
    this.#byExport = new Map();
  }

  /** Identity keys of directories that lie below the directory that the export has now. */
  of(tree: Export, generation: number): ReadonlySet<string> {
    return this.#known(tree, generation);
  }

  /** All of them lie below the export's directory: `keys` is the way up from one of them. */
  add(tree: Export, generation: number, keys: readonly string[]): void {
    const known = this.#known(tree, generation);
    if (known.size + keys.length > KEYS_MAX) known.clear();
    for (let i = 0; i < keys.length && i < KEYS_MAX; i++) known.add(keys[i]!);
  }

  #known(tree: Export, generation: number): Set<string> {
    if (generation !== this.#generation) {
      this.#generation = generation;
      this.#byExport.clear();
    }
    let known = this.#byExport.get(tree);
    if (known === undefined || known.rootKey !== tree.rootKey) {
      known = { rootKey: tree.rootKey, keys: new Set() };
      this.#byExport.set(tree, known);
    }
    return known.keys;
  }
}
