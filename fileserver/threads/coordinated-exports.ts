/**
 * The exports of a disk set, and those whose directories are not there, as the coordinator knows it from the threads of the volumes.
 */
import { ClientNetworks } from '../exports/client-networks.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import { type ExportRoot, placeOf } from '../storage/files/export-root.ts';
import type { AbsentExport } from './messages.ts';

export interface ExportListeners {
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** Others than before. */
  readonly onAbsent: (absent: readonly AbsentExport[]) => void;
}

export class CoordinatedExports {
  #specs: ExportSpecs;
  /** By path. */
  readonly #absent: Map<string, ExportRoot>;
  /** How many exports name a client. */
  #clientCounts: Map<string, number>;
  /** Clients of all exports; null: not asked for since they changed. */
  #clients: ClientNetworks | null;
  /** By path, as told last. */
  readonly #told: Map<string, AbsentExport>;
  /** Paths of which something has changed since tellAbsent(). */
  readonly #changed: Set<string>;
  readonly #listeners: ExportListeners;

  constructor(exports: GivenExports, listeners: ExportListeners) {
    this.#specs = new ExportSpecs(exports);
    this.#absent = new Map();
    this.#clientCounts = this.#specs.countClients();
    this.#clients = null;
    this.#told = new Map();
    this.#changed = new Set();
    this.#listeners = listeners;
  }

  /** Replaces the exports; the threads are told their directories' places again. */
  replace(exports: GivenExports): void {
    this.#specs = new ExportSpecs(exports);
    this.#clientCounts = this.#specs.countClients();
    this.#clients = null;
    for (const path of this.#told.keys()) this.#changed.add(path);
    for (const [path, { place }] of this.#absent)
      if (this.#placeAt(path) !== place) this.#absent.delete(path);
  }

  change(changes: ExportChanges): void {
    const { set, removed } = changes;
    const paths = new Set([...removed, ...set.map(({ path }) => path)]);
    for (const path of paths) {
      const before = this.#specs.atPath(path);
      if (before !== null) this.#countClients(before, -1);
      this.#changed.add(path);
    }
    this.#specs.change(changes);
    for (const path of paths) {
      const now = this.#specs.atPath(path);
      if (now !== null) this.#countClients(now, 1);
      if (this.#absent.get(path)?.place !== this.#placeAt(path)) this.#absent.delete(path);
    }
  }

  #placeAt(path: string): string | null {
    const one = this.#specs.atPath(path);
    return one === null ? null : placeOf(one);
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
      const { path, place, problem } = root;
      const isOfNow =
        problem === '' ? this.#absent.get(path)?.place === place : this.#placeAt(path) === place;
      if (!isOfNow) continue;
      if (problem === '') this.#absent.delete(path);
      else this.#absent.set(path, root);
      this.#changed.add(path);
    }
  }

  /** All of them, for a thread that has none yet. */
  get given(): GivenExports {
    return this.#specs.given;
  }

  /** Is one of them for the client at this address? */
  areFor(host: string): boolean {
    this.#clients ??= new ClientNetworks([...this.#clientCounts.keys()]);
    return this.#clients.includes(host);
  }

  /** Once when a directory is found missing, and once when it is back. */
  tellAbsent(): void {
    const { log, onAbsent } = this.#listeners;
    let news = false;
    for (const path of this.#changed) {
      const told = this.#told.get(path);
      const absent = this.#absenceOf(path);
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
      if (this.#specs.atPath(path) !== null && told?.cause !== 'DirectoryNotMadeYet')
        log('info', `export "${path}" is served again: its directory is there.`);
    }
    this.#changed.clear();
    if (news) onAbsent([...this.#told.values()]);
  }

  #absenceOf(path: string): AbsentExport | null {
    const root = this.#absent.get(path);
    if (root === undefined) return null;
    const reason = `export "${path}" is not served: ${root.problem}`;
    return { path, reason, ...(root.cause === undefined ? {} : { cause: root.cause }) };
  }
}
