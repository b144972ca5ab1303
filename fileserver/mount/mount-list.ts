/**
 * Who has mounted what, for MOUNT's DUMP. Advice only (RFC 1813 appendix I: clients that crash never say so), but it
 * belongs to the disk set: kept on its first volume, so that the partner's list after a takeover is the same.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';

export interface MountEntry {
  readonly host: string;
  readonly path: string;
}

/** Oldest entries go first. */
const ENTRIES_MAX = 1024;
/** Between two writes of the file. ms */
const WRITE_INTERVAL_MS = 1000;

export class MountList {
  private readonly file: string;
  private entries: MountEntry[];
  private timer: NodeJS.Timeout | null;

  constructor(file: string) {
    this.file = file;
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
    this.entries = this.entries.filter((entry) => entry.host !== host || entry.path !== path);
    this.entries.push({ host, path });
    if (this.entries.length > ENTRIES_MAX) this.entries.shift();
    this.writeSoon();
  }

  /** path null: everything of that host (UMNTALL). */
  remove(host: string, path: string | null): void {
    this.entries = this.entries.filter(
      (entry) => entry.host !== host || (path !== null && entry.path !== path),
    );
    this.writeSoon();
  }

  /** After this nothing is written any more. */
  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private writeSoon(): void {
    if (this.timer !== null) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.write();
    }, WRITE_INTERVAL_MS);
    this.timer.unref();
  }

  private async write(): Promise<void> {
    try {
      await writeFile(`${this.file}.new`, JSON.stringify(this.entries), { mode: 0o600 });
      await rename(`${this.file}.new`, this.file);
    } catch {
      // A full disk, for example. The list in memory is right, and the next change tries again.
    }
  }
}

function isEntry(value: unknown): value is MountEntry {
  const { host, path } = (value ?? {}) as Record<string, unknown>;
  return typeof host === 'string' && typeof path === 'string';
}
