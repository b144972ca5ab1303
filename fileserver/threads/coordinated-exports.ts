/** The exports of a disk set and where their directories are, as the coordinator knows it from the threads of the volumes. */
import { ClientNetworks } from '../exports/client-networks.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { type ExportRoot, placeOf } from '../storage/files/export-root.ts';
import type { AbsentExport } from './messages.ts';

export interface ExportListeners {
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** Others than before. */
  readonly onAbsent: (absent: readonly AbsentExport[]) => void;
}

export class CoordinatedExports {
  readonly #byPath: Map<string, ExportSpec>;
  /** Paths of the exports of a place. */
  readonly #paths: Map<string, Set<string>>;
  readonly #roots: Map<string, ExportRoot>;
  /** How many exports name a client. */
  readonly #clientCounts: Map<string, number>;
  /** Of all of them; null: not asked for since they changed. */
  #clients: ClientNetworks | null;
  /** By path, as told last. */
  readonly #told: Map<string, AbsentExport>;
  /** Paths of which something has changed since tellAbsent(). */
  readonly #changed: Set<string>;
  readonly #listeners: ExportListeners;

  constructor(exports: readonly ExportSpec[], listeners: ExportListeners) {
    this.#byPath = new Map();
    this.#paths = new Map();
    this.#roots = new Map();
    this.#clientCounts = new Map();
    this.#clients = null;
    this.#told = new Map();
    this.#changed = new Set();
    this.#listeners = listeners;
    this.replace(exports);
  }

  replace(exports: readonly ExportSpec[]): void {
    const kept = new Set(exports.map(({ path }) => path));
    this.change({ set: exports, removed: [...this.#byPath.keys()].filter((path) => !kept.has(path)) });
  }

  change({ set, removed }: ExportChanges): void {
    for (const path of removed) this.#remove(path);
    for (const one of set) {
      const before = this.#byPath.get(one.path);
      if (before !== undefined && placeOf(before) === placeOf(one)) this.#countClients(before, -1);
      else this.#remove(one.path);
      this.#byPath.set(one.path, one);
      const paths = this.#paths.get(placeOf(one)) ?? new Set();
      this.#paths.set(placeOf(one), paths.add(one.path));
      this.#countClients(one, 1);
      this.#changed.add(one.path);
    }
  }

  #remove(path: string): void {
    const one = this.#byPath.get(path);
    if (one === undefined) return;
    this.#byPath.delete(path);
    this.#countClients(one, -1);
    this.#changed.add(path);
    const place = placeOf(one);
    const paths = this.#paths.get(place)!;
    paths.delete(path);
    if (paths.size > 0) return;
    this.#paths.delete(place);
    this.#roots.delete(place);
  }

  #countClients({ clients }: ExportSpec, change: 1 | -1): void {
    for (const client of clients) {
      const count = (this.#clientCounts.get(client) ?? 0) + change;
      if (count === 0) this.#clientCounts.delete(client);
      else this.#clientCounts.set(client, count);
      if (count === 0 || (count === 1 && change === 1)) this.#clients = null;
    }
  }

  found(roots: readonly ExportRoot[]): void {
    for (const root of roots) {
      const paths = this.#paths.get(root.place);
      if (paths === undefined) continue;
      this.#roots.set(root.place, root);
      for (const path of paths) this.#changed.add(path);
    }
  }

  /** Is one of them for the client at this address? */
  areFor(host: string): boolean {
    this.#clients ??= new ClientNetworks([...this.#clientCounts.keys()]);
    return this.#clients.includes(host);
  }

  get all(): ExportSpec[] {
    return [...this.#byPath.values()];
  }

  /** Of the present exports. */
  get roots(): ExportRoot[] {
    return [...this.#roots.values()];
  }

  /** Once when a directory is found missing, and once when it is back. */
  tellAbsent(): void {
    const { log, onAbsent } = this.#listeners;
    let news = false;
    for (const path of this.#changed) {
      const told = this.#told.get(path);
      const absent = this.#absent(path);
      if (absent?.reason === told?.reason) continue;
      news = true;
      if (absent !== null) {
        this.#told.set(path, absent);
        if (absent.cause === 'DirectoryNotMadeYet') continue;
        log(
          'warn',
          `${absent.reason}. Create the directory, or change the export; it is looked for each second.`,
        );
        continue;
      }
      this.#told.delete(path);
      if (this.#byPath.has(path) && told?.cause !== 'DirectoryNotMadeYet')
        log('info', `export "${path}" is served again: its directory is there.`);
    }
    this.#changed.clear();
    if (news) onAbsent([...this.#told.values()]);
  }

  #absent(path: string): AbsentExport | null {
    const one = this.#byPath.get(path);
    const root = one === undefined ? undefined : this.#roots.get(placeOf(one));
    if (root === undefined || root.problem === '') return null;
    const reason = `export "${path}" is not served: ${root.problem}`;
    return { path, reason, ...(root.cause === undefined ? {} : { cause: root.cause }) };
  }
}
