/**
 * Who has mounted what, for MOUNT's DUMP. Advice only (RFC 1813 appendix I: clients that crash never say so), but it
 * belongs to the disk set: kept on its first volume, so that the partner's list after a takeover is the same.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';

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

/** What one thread asks another one to do with its list. */
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
  private readonly tell: (change: MountChange) => void;

  constructor(entries: readonly MountEntry[], tell: (change: MountChange) => void) {
    this.all = entries;
    this.tell = tell;
  }

  add(host: string, path: string): void {
    this.all = withMount(this.all, host, path);
    this.tell({ kind: 'add', host, path });
  }

  remove(host: string, path: string | null): void {
    this.all = withoutMount(this.all, host, path);
    this.tell({ kind: 'remove', host, path });
  }
}

/** Oldest entries go first. */
const ENTRIES_MAX = 1024;
/** Between two writes of the file. ms */
const WRITE_INTERVAL_MS = 1000;

export class MountList implements Mounts {
  private readonly file: string;
  private entries: MountEntry[];
  private timer: NodeJS.Timeout | null;
  private writing: boolean;
  private stopped: boolean;

  constructor(file: string) {
    this.file = file;
    this.writing = false;
    this.stopped = false;
    this.entries = [];
    this.timer = null;
  }

  /** What the last owner knew. A list that can't be read is an empty one: nothing depends on it. */
  async load(): Promise<void> {
    try {
      const value: unknown = JSON.parse(await readFile(this.file, 'utf8'));
      if (Array.isArray(value)) this.entries = value.filter(isEntry).slice(-ENTRIES_MAX);
    } catch {
      this.entries = [];
    }
  }

  get all(): readonly MountEntry[] {
    return this.entries;
  }

  add(host: string, path: string): void {
    this.entries = withMount(this.entries, host, path);
    this.writeSoon();
  }

  /** path null: everything of that host (UMNTALL). */
  remove(host: string, path: string | null): void {
    this.entries = withoutMount(this.entries, host, path);
    this.writeSoon();
  }

  /** After this nothing is written any more. */
  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private writeSoon(): void {
    if (this.timer !== null || this.stopped) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.write();
    }, WRITE_INTERVAL_MS);
    this.timer.unref();
  }

  private async write(): Promise<void> {
    // On a disk that is stuck one write waits, not one a second.
    if (this.writing) return this.writeSoon();
    this.writing = true;
    try {
      await writeFile(`${this.file}.new`, JSON.stringify(this.entries), { mode: 0o600 });
      await rename(`${this.file}.new`, this.file);
    } catch {
      // A full disk, for example. The list in memory is right, and the next change tries again.
    } finally {
      this.writing = false;
    }
  }
}

function isEntry(value: unknown): value is MountEntry {
  const { host, path } = (value ?? {}) as Record<string, unknown>;
  return typeof host === 'string' && typeof path === 'string';
}
