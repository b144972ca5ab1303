/**
 * A copy of the exports of a volume, on the volume itself (`.filerpair/exports.jsonl`), for an owner that can't list the FilerShares.
 * One export a line. Written by the thread that changes the volume, behind its gate, and only when that thread says so: never during
 * a hold, and not after the end of service.
 */
import { join } from 'node:path';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { privateDirectory } from '../storage/ownership/volume-files.ts';
import { replaceDurably } from '../storage/private-files/durable-file.ts';
import { readPrivate } from '../storage/private-files/private-files.ts';
import type { WriteGate } from '../system/write-gate.ts';
import { faultOfExport } from './export-check.ts';

const FORMAT = 1;

function copyFile(root: string): string {
  return join(privateDirectory(root), 'exports.jsonl');
}

/**
 * Exports that the last owner had on this volume. None of them has `create`: only what the API says makes directories.
 * Null: there is no copy, or none that can be read.
 */
export async function readExportsCopy(root: string, volume: string): Promise<ExportSpec[] | null> {
  try {
    const [first = '', ...lines] = (await readPrivate(copyFile(root))).toString('utf8').split('\n');
    const { format, count } = JSON.parse(first) as { format: number; count: number };
    if (format !== FORMAT || lines.length < count) return null;
    const exports = lines.slice(0, count).map((line) => JSON.parse(line) as ExportSpec);
    return exports.filter((one) => faultOfExport(one, [volume]) === null);
  } catch {
    return null;
  }
}

export class ExportsCopy {
  readonly #gate: WriteGate;
  readonly #file: string;
  /** By path. */
  readonly #lines: Map<string, string>;
  #isComplete: boolean;
  /** Since it was written last. */
  #changed: boolean;
  /** The last write has failed: the next one is tried again, and nothing waits for it. */
  #retry: boolean;
  /** The write under way. */
  #writing: Promise<void> | null;

  /** root: of the volume. */
  constructor(gate: WriteGate, root: string) {
    this.#gate = gate;
    this.#file = copyFile(root);
    this.#lines = new Map();
    this.#isComplete = true;
    this.#changed = false;
    this.#retry = false;
    this.#writing = null;
  }

  /** All exports are to come anew, by change(): until complete() nothing is written. */
  begin(): void {
    this.#lines.clear();
    this.#isComplete = false;
  }

  complete(): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    this.#changed = true;
  }

  change({ set, removed }: ExportChanges): void {
    for (const path of removed) if (this.#lines.delete(path)) this.#changed = true;
    for (const { create: _, ...kept } of set) {
      const line = JSON.stringify(kept);
      if (this.#lines.get(kept.path) !== line) this.#changed = true;
      this.#lines.set(kept.path, line);
    }
  }

  /** Nothing is to be written, and nothing is being written. */
  get isSettled(): boolean {
    return !this.#isDue && this.#writing === null;
  }

  get #isDue(): boolean {
    return this.#changed && this.#isComplete;
  }

  /** Writes the changes, unless a write is under way already. Resolves when the write under way has ended. */
  write(): Promise<void> {
    if (this.#writing === null && (this.#isDue || this.#retry)) {
      this.#changed = false;
      this.#retry = false;
      const first = JSON.stringify({ format: FORMAT, count: this.#lines.size });
      const content = [first, ...this.#lines.values(), ''].join('\n');
      this.#writing = replaceDurably(this.#gate, this.#file, content)
        .catch(() => {
          // A full disk, for example.
          this.#retry = true;
        })
        .finally(() => {
          this.#writing = null;
        });
    }
    return this.whenWritten();
  }

  whenWritten(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }
}
