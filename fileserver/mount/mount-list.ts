/**
 * Who has mounted what, for MOUNT's DUMP. Advice only (RFC 1813 appendix I: clients that crash never say so), but it
 * belongs to the disk set: kept on its first volume, so that the partner's list after a takeover is the same.
 */

export interface MountEntry {
  readonly host: string;
  readonly path: string;
}

/** The list as MOUNT's procedures use it. */
export interface Mounts {
  readonly all: readonly MountEntry[];
  add(host: string, path: string): void;
  /** path null: everything of that host (UMNTALL). */
  remove(host: string, path: string | null): void;
}

/** Change of its list that one thread asks another one for. */
export type MountChange =
  | { readonly kind: 'add'; readonly host: string; readonly path: string }
  | { readonly kind: 'remove'; readonly host: string; readonly path: string | null };

export function withMount(entries: readonly MountEntry[], host: string, path: string): MountEntry[] {
  const others = entries.filter((entry) => entry.host !== host || entry.path !== path);
  return [...others, { host, path }].slice(-ENTRIES_MAX);
}

export function withoutMount(
  entries: readonly MountEntry[],
  host: string,
  path: string | null,
): MountEntry[] {
  return entries.filter((entry) => entry.host !== host || (path !== null && entry.path !== path));
}

/** The list as a thread knows that serves connections: its own changes at once, those of others a moment later. */
export class MountReplica implements Mounts {
  all: readonly MountEntry[];
  readonly #tell: (change: MountChange) => void;

  constructor(entries: readonly MountEntry[], tell: (change: MountChange) => void) {
    this.all = entries;
    this.#tell = tell;
  }

  add(host: string, path: string): void {
    this.all = withMount(this.all, host, path);
    this.#tell({ kind: 'add', host, path });
  }

  remove(host: string, path: string | null): void {
    this.all = withoutMount(this.all, host, path);
    this.#tell({ kind: 'remove', host, path });
  }
}

/** Oldest entries go first. */
export const ENTRIES_MAX = 1024;

/** The list of a disk set. Each change is told: the thread that changes the volume writes it down (mount-file.ts). */
export class MountList implements Mounts {
  #entries: readonly MountEntry[];
  readonly #changed: (entries: readonly MountEntry[]) => void;

  /** `entries`: what the last owner knew. */
  constructor(entries: readonly MountEntry[], changed: (entries: readonly MountEntry[]) => void) {
    this.#entries = entries;
    this.#changed = changed;
  }

  get all(): readonly MountEntry[] {
    return this.#entries;
  }

  add(host: string, path: string): void {
    this.#replace(withMount(this.#entries, host, path));
  }

  /** path null: everything of that host (UMNTALL). */
  remove(host: string, path: string | null): void {
    this.#replace(withoutMount(this.#entries, host, path));
  }

  #replace(entries: readonly MountEntry[]): void {
    this.#entries = entries;
    this.#changed(entries);
  }
}
