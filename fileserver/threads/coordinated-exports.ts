/** The exports of a disk set and where their directories are, as the coordinator knows it from the threads of the volumes. */
import { ClientNetworks } from '../exports/client-networks.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { type ExportRoot, placeOf } from '../storage/files/export-root.ts';
import type { AbsentExport } from './messages.ts';

export interface ExportListeners {
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** Others than before. */
  readonly onAbsent: (absent: readonly AbsentExport[]) => void;
}

export class CoordinatedExports {
  #exports: readonly ExportSpec[];
  /** Of all of them; null: not asked for yet. */
  #clients: ClientNetworks | null;
  readonly #byPlace: Map<string, ExportRoot>;
  /** By path, as told last. */
  #told: ReadonlyMap<string, string>;
  readonly #listeners: ExportListeners;

  constructor(exports: readonly ExportSpec[], listeners: ExportListeners) {
    this.#exports = exports;
    this.#clients = null;
    this.#byPlace = new Map();
    this.#told = new Map();
    this.#listeners = listeners;
  }

  replace(exports: readonly ExportSpec[]): void {
    this.#exports = exports;
    this.#clients = null;
  }

  found(roots: readonly ExportRoot[]): void {
    for (const root of roots) this.#byPlace.set(root.place, root);
  }

  /** Is one of them for the client at this address? */
  areFor(host: string): boolean {
    this.#clients ??= new ClientNetworks(this.#exports.flatMap(({ clients }) => clients));
    return this.#clients.includes(host);
  }

  /** Of the present exports. */
  get roots(): ExportRoot[] {
    return this.#exports.flatMap((one) => this.#byPlace.get(placeOf(one)) ?? []);
  }

  /** Once when a directory is found missing, and once when it is back. */
  tellAbsent(): void {
    const absent = new Map<string, string>();
    for (const one of this.#exports) {
      const problem = this.#byPlace.get(placeOf(one))?.problem ?? '';
      if (problem !== '') absent.set(one.path, `export "${one.path}" is not served: ${problem}`);
    }
    const told = this.#told;
    const listeners = this.#listeners;
    this.#told = absent;
    const fresh = [...absent].filter(([path, reason]) => told.get(path) !== reason);
    const over = [...told.keys()].filter((path) => !absent.has(path));
    for (const [, reason] of fresh) {
      listeners.log(
        'warn',
        `${reason}. Create the directory, or change the export; it is looked for each second.`,
      );
    }
    const served = over.filter((path) => this.#exports.some((one) => one.path === path));
    for (const path of served)
      listeners.log('info', `export "${path}" is served again: its directory is there.`);
    if (fresh.length + over.length === 0) return;
    listeners.onAbsent([...absent].map(([path, reason]) => ({ path, reason })));
  }
}
