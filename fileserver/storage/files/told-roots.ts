/** Where exported directories are, in a thread that never looks for them itself: by what threads of volumes have told. */
import { exportIdOf } from '../handles/file-handle.ts';
import type { Export } from './export.ts';
import type { ExportRoot } from './export-root.ts';
import type { ExportTable } from './export-table.ts';

export class ToldRoots {
  /** Key: the number of the export, whether or not it has been used yet. */
  readonly #told: Map<number, ExportRoot>;

  constructor() {
    this.#told = new Map();
  }

  /** null where nothing was told of the directory that the export has now. */
  locate(one: Export): void {
    const told = this.#told.get(one.id);
    one.rootKey = told?.place === one.place ? told.key : null;
  }

  /** true: a directory that was known is another one, or gone. */
  learn(roots: readonly ExportRoot[], exports: ExportTable): boolean {
    let isAnother = false;
    for (const root of roots) {
      const id = exportIdOf(root.path);
      this.#told.set(id, root);
      const one = exports.madeAt(id);
      if (one?.place !== root.place || one.path !== root.path || one.rootKey === root.key) continue;
      isAnother ||= one.rootKey !== null && one.rootKey !== '';
      one.rootKey = root.key;
    }
    return isAnother;
  }

  /** Exports are others: keeps what is of one of them. */
  keepThoseOf(exports: ExportTable): void {
    for (const id of this.#told.keys()) if (!exports.has(id)) this.#told.delete(id);
  }

  forget(path: string): void {
    this.#told.delete(exportIdOf(path));
  }
}
