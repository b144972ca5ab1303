/**
 * Who has mounted what, for MOUNT's DUMP. Advice only (RFC 1813 appendix I: clients that crash never say so), but it
 * belongs to the disk set: kept on its first volume, so that the partner's list after a takeover is the same.
 */

import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { inBackground } from '../system/turns.ts';

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
  /** R2: may this server write to the disk set's volumes at this moment? */
  private readonly mayWrite: () => boolean;
  private entries: MountEntry[];
  private timer: NodeJS.Timeout | null;
  /** The write under way. */
  private writing: Promise<void> | null;
  /** Changed since the last write began. */
  private changed: boolean;
  private held: boolean;
  private stopped: boolean;

  constructor(file: string, mayWrite: () => boolean) {
    this.file = file;
    this.mayWrite = mayWrite;
    this.entries = [];
    this.timer = null;
    this.writing = null;
    this.changed = false;
    this.held = false;
    this.stopped = false;
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
    this.replace(withMount(this.entries, host, path));
  }

  /** path null: everything of that host (UMNTALL). */
  remove(host: string, path: string | null): void {
    this.replace(withoutMount(this.entries, host, path));
  }

  /** Writes nothing until resume(). Resolves when the write under way has ended. */
  async hold(): Promise<void> {
    this.held = true;
    await this.writing;
  }

  resume(): void {
    this.held = false;
    this.writeSoon();
  }

  /** Writes what has changed, if it still may, and then nothing any more. Resolves when that has ended. */
  async finish(): Promise<void> {
    await this.writing;
    if (this.changed && !this.stopped) await this.write();
    await this.stop();
  }

  /** Nothing more is written. Resolves when the write under way has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    await this.writing;
  }

  private replace(entries: MountEntry[]): void {
    this.entries = entries;
    this.changed = true;
    this.writeSoon();
  }

  private writeSoon(): void {
    if (!this.changed || this.timer !== null || this.held || this.stopped) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      inBackground(this.writeNow());
    }, WRITE_INTERVAL_MS);
    this.timer.unref();
  }

  /** On a disk that is stuck one write waits, not one a second. */
  private async writeNow(): Promise<void> {
    await this.writing;
    if (this.changed && !this.held && !this.stopped) await this.write();
  }

  private write(): Promise<void> {
    this.changed = false;
    this.writing = this.replaceFile().finally(() => {
      this.writing = null;
    });
    return this.writing;
  }

  /** Flushed: a hold and an orderly stop leave nothing for the kernel to write later. */
  private async replaceFile(): Promise<void> {
    const temporary = `${this.file}.new`;
    try {
      if (!this.mayWrite()) return;
      await writeFile(temporary, JSON.stringify(this.entries), { mode: 0o600, flush: true });
      if (!this.mayWrite()) return;
      await rename(temporary, this.file);
      await flushDirectory(dirname(this.file));
    } catch {
      // A full disk, for example. The list in memory is right, and the next change tries again.
    }
  }
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function isEntry(value: unknown): value is MountEntry {
  const { host, path } = (value ?? {}) as Record<string, unknown>;
  return typeof host === 'string' && typeof path === 'string';
}
