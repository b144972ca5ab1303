/**
 * The list of mounts on the disk set's first volume, `.filerpair/mounts.json`. Written by the thread that changes the volume, behind
 * its gate, and only when that thread says so: never during a hold, and not after the end of service.
 */
import { join } from 'node:path';
import { privateDirectory } from '../storage/ownership/volume-files.ts';
import { replaceDurably } from '../storage/private-files/durable-file.ts';
import { readPrivate } from '../storage/private-files/private-files.ts';
import type { WriteGate } from '../system/write-gate.ts';
import { ENTRIES_MAX, type MountEntry } from './mount-list.ts';

function mountFile(root: string): string {
  return join(privateDirectory(root), 'mounts.json');
}

/** Mounts that the last owner knew. A list that can't be read is an empty one: nothing depends on it. */
export async function readMounts(root: string): Promise<MountEntry[]> {
  try {
    const value: unknown = JSON.parse((await readPrivate(mountFile(root))).toString('utf8'));
    return Array.isArray(value) ? value.filter(isEntry).slice(-ENTRIES_MAX) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is MountEntry {
  const { host, path } = (value ?? {}) as Record<string, unknown>;
  return typeof host === 'string' && typeof path === 'string';
}

export class MountFile {
  readonly #gate: WriteGate;
  readonly #file: string;
  /** Not written yet; null: nothing. */
  #changed: readonly MountEntry[] | null;
  /** The write under way. */
  #writing: Promise<void> | null;

  /** root: of the volume. */
  constructor(gate: WriteGate, root: string) {
    this.#gate = gate;
    this.#file = mountFile(root);
    this.#changed = null;
    this.#writing = null;
  }

  replace(entries: readonly MountEntry[]): void {
    this.#changed = entries;
  }

  /** Nothing is to be written, and nothing is being written. */
  get isSettled(): boolean {
    return this.#changed === null && this.#writing === null;
  }

  /** Writes the changes, unless a write is under way already: on a disk that is stuck one waits, not one a second. */
  write(): Promise<void> {
    const changed = this.#changed;
    if (this.#writing === null && changed !== null) {
      this.#changed = null;
      // A full disk, for example: the list in memory is right, and the next change tries again.
      this.#writing = replaceDurably(this.#gate, this.#file, JSON.stringify(changed))
        .catch(() => {})
        .finally(() => {
          this.#writing = null;
        });
    }
    return this.whenWritten();
  }

  /** Resolves when the write under way has ended. */
  whenWritten(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }
}
