/**
 * The FilerShares of a pair, and the exports of its disk sets that follow from them. Of two shares of one server that exclude each
 * other (the same path, or paths with the same number in file handles) the older one is accepted. The order in which they become
 * known means nothing, and a change costs what it changes. Pure.
 */
import type { ServerName } from '../../pair/incarnation.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { exportOfShare, type Verdict, verdictOf } from './share-export.ts';
import type { ShareObject } from './share-object.ts';

/** A share of one of the pair's servers. */
export interface PlacedShare {
  readonly name: string;
  readonly uid: string;
  readonly home: ServerName;
  readonly export: ExportSpec;
  readonly verdict: Verdict;
  /** metadata.deletionTimestamp is set. */
  readonly deleting: boolean;
}

interface Entry extends PlacedShare {
  readonly created: string;
  /** Name for the shares that exclude each other. */
  readonly group: string;
  /** Whatever the others are. */
  readonly ownVerdict: Verdict;
  verdict: Verdict;
}

/** Changes since they were asked for last. */
export interface TableChanges {
  readonly exports: ReadonlyMap<ServerName, ExportChanges>;
  /** Names of shares that are new, are others, or have another verdict. */
  readonly shares: readonly string[];
}

export class ShareTable {
  /** Names of the volumes of each disk set. */
  readonly #volumes: ReadonlyMap<ServerName, readonly string[]>;
  readonly #shares: Map<string, Entry>;
  readonly #groups: Map<string, Set<Entry>>;
  /** Exports by path, of each disk set. */
  readonly #exports: ReadonlyMap<ServerName, Map<string, ExportSpec>>;
  /** Paths that have changed, of each disk set. */
  readonly #changedPaths: ReadonlyMap<ServerName, Set<string>>;
  readonly #changedShares: Set<string>;

  constructor(volumes: ReadonlyMap<ServerName, readonly string[]>) {
    const homes = [...volumes.keys()];
    this.#volumes = volumes;
    this.#shares = new Map();
    this.#groups = new Map();
    this.#exports = new Map(homes.map((home) => [home, new Map<string, ExportSpec>()]));
    this.#changedPaths = new Map(homes.map((home) => [home, new Set<string>()]));
    this.#changedShares = new Set();
  }

  /** A share that names neither server is none of the pair's: the operator says so. */
  put(share: ShareObject): void {
    const { name = '', uid = '', creationTimestamp = '', deletionTimestamp } = share.metadata;
    const before = this.#shares.get(name);
    const home = share.spec.server;
    const volumes = this.#volumes.get(home);
    if (volumes === undefined) {
      this.remove(name);
      return;
    }
    const spec = exportOfShare(share);
    const ownVerdict = verdictOf(spec, volumes);
    const entry: Entry = {
      name,
      uid,
      home,
      export: spec,
      created: creationTimestamp,
      group: `${home} ${exportIdOf(spec.path)}`,
      deleting: deletionTimestamp !== undefined,
      ownVerdict,
      verdict: ownVerdict,
    };
    this.#changedShares.add(name);
    // Most changes are those of its status.
    if (before !== undefined && isSame(before, entry)) return;
    if (before !== undefined) this.#leave(before);
    this.#shares.set(name, entry);
    const group = this.#groups.get(entry.group) ?? new Set();
    this.#groups.set(entry.group, group.add(entry));
    if (before !== undefined && before.group !== entry.group) this.#settle(before.group);
    this.#settle(entry.group);
  }

  remove(name: string): void {
    const entry = this.#shares.get(name);
    if (entry === undefined) return;
    this.#shares.delete(name);
    this.#changedShares.add(name);
    this.#leave(entry);
    this.#settle(entry.group);
  }

  get(name: string): PlacedShare | undefined {
    return this.#shares.get(name);
  }

  *values(): IterableIterator<PlacedShare> {
    yield* this.#shares.values();
  }

  /** Names of the shares that are exported there. */
  namesAt(home: ServerName, path: string): string[] {
    const group = this.#groups.get(`${home} ${exportIdOf(path)}`) ?? [];
    return [...group].filter((one) => one.export.path === path).map(({ name }) => name);
  }

  exportsOf(home: ServerName): ExportSpec[] {
    return [...(this.#exports.get(home)?.values() ?? [])];
  }

  take(): TableChanges {
    const exports = new Map<ServerName, ExportChanges>();
    for (const [home, paths] of this.#changedPaths) {
      if (paths.size === 0) continue;
      const now = this.#exports.get(home)!;
      const set = [...paths].flatMap((path) => now.get(path) ?? []);
      exports.set(home, { set, removed: [...paths].filter((path) => !now.has(path)) });
      paths.clear();
    }
    const shares = [...this.#changedShares];
    this.#changedShares.clear();
    return { exports, shares };
  }

  #leave(entry: Entry): void {
    const group = this.#groups.get(entry.group)!;
    group.delete(entry);
    if (group.size === 0) this.#groups.delete(entry.group);
    this.#export(entry.home, entry.export.path, undefined);
  }

  /** Which one of a group is exported. */
  #settle(key: string): void {
    const group = [...(this.#groups.get(key) ?? [])];
    const able = group.filter(({ ownVerdict, deleting }) => ownVerdict.accepted && !deleting);
    const [first, ...others] = able.sort(byAge);
    for (const one of group) {
      const verdict = others.includes(one) ? excludedBy(first!, one) : one.ownVerdict;
      if (JSON.stringify(verdict) === JSON.stringify(one.verdict)) continue;
      one.verdict = verdict;
      this.#changedShares.add(one.name);
    }
    for (const {
      home,
      export: { path },
    } of group)
      if (path !== first?.export.path) this.#export(home, path, undefined);
    if (first !== undefined) this.#export(first.home, first.export.path, first.export);
  }

  #export(home: ServerName, path: string, spec: ExportSpec | undefined): void {
    const exports = this.#exports.get(home)!;
    if (spec === exports.get(path)) return;
    if (spec === undefined) exports.delete(path);
    else exports.set(path, spec);
    this.#changedPaths.get(home)!.add(path);
  }
}

function isSame(a: Entry, b: Entry): boolean {
  const what = ({ uid, home, created, deleting, export: spec }: Entry): string =>
    JSON.stringify([uid, home, created, deleting, spec]);
  return what(a) === what(b);
}

function byAge(a: Entry, b: Entry): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function excludedBy(older: Entry, younger: Entry): Verdict {
  const { path } = younger.export;
  if (older.export.path === path) {
    const message = `path "${path}" of server ${older.home} is that of FilerShare "${older.name}", which is older; choose another path`;
    return { accepted: false, reason: 'PathTaken', message };
  }
  const message = `path "${path}" has the same number in file handles as path "${older.export.path}" of FilerShare "${older.name}", which is older; choose another path`;
  return { accepted: false, reason: 'PathCollides', message };
}
