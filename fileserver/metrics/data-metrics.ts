/**
 * Figures of the data path, in memory that its threads share with the agent's. Each thread counts in a block of its own, without
 * locks and without messages. The agent adds the blocks up when it is asked for metrics. A call costs a few additions.
 */
import { placeOf, type ThreadCounts } from '../settings/thread-counts.ts';

// Connection threads have, for each disk set, a block of calls, times and bytes; volume threads one of their volumes.

/** Labels of procedures that are told apart, and bytes of each. */
const PROCEDURES_MAX = 40;
const LABEL_SIZE = 16;
const LABELS_SIZE = PROCEDURES_MAX * LABEL_SIZE;

const labels: string[] = [];

/** The line of a procedure's label, for CallMeter.called(). RPC programs ask for theirs when they are loaded, in every thread in the same order. */
export function lineOf(label: string): number {
  const known = labels.indexOf(label);
  if (known >= 0) return known;
  if (labels.length === PROCEDURES_MAX || label.length > LABEL_SIZE)
    throw new RangeError(`no room for the figures of ${label}`);
  return labels.push(label) - 1;
}

/** Publishes the labels of a connection thread's lines. The agent's thread loads no RPC program. */
export function publishLabels(buffer: SharedArrayBuffer): void {
  const bytes = new Uint8Array(buffer, buffer.byteLength - LABELS_SIZE);
  for (const [line, label] of labels.entries()) bytes.set(Buffer.from(label), line * LABEL_SIZE);
}

/** Labels of results. Statuses that no others come close to in number have their own. */
export const RESULTS = [
  'OK',
  'NOENT',
  'ACCES',
  'EXIST',
  'STALE',
  'IO',
  'NOSPC',
  'other',
  'refused',
  'internal',
] as const;
const OTHER = RESULTS.indexOf('other');
/** A call that no procedure has seen: malformed arguments, for example. */
export const REFUSED = -1;
/** SYSTEM_ERR: an exception in the server. */
export const FAILED_INTERNALLY = -2;
const RESULT_OF_STATUS: Readonly<Record<number, number>> = {
  [REFUSED]: RESULTS.indexOf('refused'),
  [FAILED_INTERNALLY]: RESULTS.indexOf('internal'),
  0: 0,
  2: 1,
  5: 5,
  13: 2,
  17: 3,
  28: 6,
  70: 4,
};

/** Upper bounds of the classes of time, in seconds; the last class has none. */
export const SECONDS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 120,
] as const;
const BOUNDS_MS = SECONDS.map((seconds) => seconds * 1000);
const CLASSES = SECONDS.length + 1;

/** Exports of a disk set that are told apart, by their number in handles; the last line counts all others. */
export const EXPORTS_MAX = 64;
/** Volumes of one volume thread that are told apart. */
export const VOLUMES_MAX = 16;

const RESULTS_AT = 0;
const TIMES_AT = RESULTS_AT + PROCEDURES_MAX * RESULTS.length;
const SUMS_AT = TIMES_AT + PROCEDURES_MAX * CLASSES;
const EXPORTS_AT = SUMS_AT + PROCEDURES_MAX;
/** Number + 1, calls, bytes read, bytes written. */
const EXPORT_SIZE = 4;
const CONNECTIONS_AT = EXPORTS_AT + EXPORTS_MAX * EXPORT_SIZE;
const CONNECTION_BLOCK = CONNECTIONS_AT + 1;

const VOLUME_SIZE = 8;
const VOLUME_BLOCK = VOLUMES_MAX * VOLUME_SIZE;

/** Bytes for all threads. */
export function metricsSize({ connections, own, partner }: ThreadCounts): number {
  return 8 * (connections * 2 * CONNECTION_BLOCK + (own + partner) * VOLUME_BLOCK) + LABELS_SIZE;
}

type Slot = 0 | 1;
/** local: 0, partner: 1. */
export function slotNumber(diskSet: 'local' | 'partner'): Slot {
  return diskSet === 'local' ? 0 : 1;
}

/** Counts of one disk set that a connection thread keeps. */
export class CallMeter {
  readonly #block: Float64Array;

  constructor(buffer: SharedArrayBuffer, thread: number, slot: Slot) {
    this.#block = new Float64Array(buffer, 8 * (2 * thread + slot) * CONNECTION_BLOCK, CONNECTION_BLOCK);
  }

  /** status: the nfsstat3 of the reply, REFUSED or FAILED_INTERNALLY. ms: from the arrival of the call to the handing over of its reply. */
  called(procedure: number, status: number, ms: number): void {
    const block = this.#block;
    let time = 0;
    while (time < BOUNDS_MS.length && ms > BOUNDS_MS[time]!) time += 1;
    block[RESULTS_AT + procedure * RESULTS.length + (RESULT_OF_STATUS[status] ?? OTHER)]! += 1;
    block[TIMES_AT + procedure * CLASSES + time]! += 1;
    block[SUMS_AT + procedure]! += ms;
  }

  /** A call on the export with this number (storage/handles/file-handle.ts). */
  exported(number: number, bytesRead: number, bytesWritten: number): void {
    const block = this.#block;
    let at = EXPORTS_AT;
    // Lines are given out in the order in which exports are used, and kept: exports may change while the server runs.
    for (let line = 0; line < EXPORTS_MAX - 1; line++, at += EXPORT_SIZE) {
      if (block[at] === number + 1) break;
      if (block[at] !== 0) continue;
      block[at] = number + 1;
      break;
    }
    block[at + 1]! += 1;
    block[at + 2]! += bytesRead;
    block[at + 3]! += bytesWritten;
  }

  connections(count: number): void {
    this.#block[CONNECTIONS_AT] = count;
  }
}

/** Figures of one volume that its volume thread reports. */
export class VolumeMeter {
  readonly #block: Float64Array;

  /** thread: number among the volume threads. volume: number among those of the thread, below VOLUMES_MAX. */
  constructor(buffer: SharedArrayBuffer, connectionThreads: number, thread: number, volume: number) {
    const at = connectionThreads * 2 * CONNECTION_BLOCK + thread * VOLUME_BLOCK + volume * VOLUME_SIZE;
    this.#block = new Float64Array(buffer, 8 * at, VOLUME_SIZE);
  }

  /** Bytes in use of the journal's segment; flushes so far, and the ms that they took together. */
  journal(usedSize: number, flushCount: number, flushMs: number, compactions: number): void {
    this.#block[0] = usedSize;
    this.#block[1] = flushCount;
    this.#block[2] = flushMs;
    this.#block[3] = compactions;
  }

  /** Bytes and files (inodes), of the whole file system and free. All 0: not known, this server does not serve it. */
  capacity(size: number, available: number, files: number, filesFree: number): void {
    this.#block[4] = size;
    this.#block[5] = available;
    this.#block[6] = files;
    this.#block[7] = filesFree;
  }
}

export interface ExportFigures {
  readonly calls: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface VolumeFigures {
  readonly journalSize: number;
  readonly flushCount: number;
  readonly flushMs: number;
  readonly compactions: number;
  /** Bytes of the file system; 0: not known, this server does not serve the volume. */
  readonly size: number;
  readonly available: number;
  readonly files: number;
  readonly filesFree: number;
}

/** All blocks together, for the thread that serves metrics. */
export class DataFigures {
  readonly #buffer: SharedArrayBuffer;
  readonly #all: Float64Array;
  readonly #counts: ThreadCounts;

  constructor(buffer: SharedArrayBuffer, counts: ThreadCounts) {
    this.#buffer = buffer;
    this.#all = new Float64Array(buffer);
    this.#counts = counts;
  }

  #sum(slot: Slot, at: number): number {
    let sum = 0;
    const all = this.#all;
    for (let thread = 0; thread < this.#counts.connections; thread++) {
      sum += all[(2 * thread + slot) * CONNECTION_BLOCK + at]!;
    }
    return sum;
  }

  /** Labels of procedures by their lines, as soon as a connection thread has said them. */
  get procedures(): readonly string[] {
    const bytes = Buffer.from(new Uint8Array(this.#buffer, this.#buffer.byteLength - LABELS_SIZE));
    const label = (line: number): string =>
      bytes.toString('latin1', line * LABEL_SIZE, (line + 1) * LABEL_SIZE).replaceAll('\0', '');
    return Array.from({ length: PROCEDURES_MAX }, (_, line) => label(line)).filter((text) => text !== '');
  }

  calls(slot: Slot, procedure: number, result: number): number {
    return this.#sum(slot, RESULTS_AT + procedure * RESULTS.length + result);
  }

  /** Calls of each class of time, and the ms of all together. */
  times(slot: Slot, procedure: number): { readonly counts: readonly number[]; readonly ms: number } {
    const counts = Array.from({ length: CLASSES }, (_, i) =>
      this.#sum(slot, TIMES_AT + procedure * CLASSES + i),
    );
    return { counts, ms: this.#sum(slot, SUMS_AT + procedure) };
  }

  /** Figures of the export with this number. */
  exported(slot: Slot, number: number): ExportFigures {
    const all = this.#all;
    const figures = { calls: 0, bytesRead: 0, bytesWritten: 0 };
    for (let thread = 0; thread < this.#counts.connections; thread++) {
      const first = (2 * thread + slot) * CONNECTION_BLOCK + EXPORTS_AT;
      for (let at = first; at < first + (EXPORTS_MAX - 1) * EXPORT_SIZE; at += EXPORT_SIZE) {
        if (all[at] !== number + 1) continue;
        figures.calls += all[at + 1]!;
        figures.bytesRead += all[at + 2]!;
        figures.bytesWritten += all[at + 3]!;
      }
    }
    return figures;
  }

  connections(slot: Slot): number {
    return this.#sum(slot, CONNECTIONS_AT);
  }

  /** Figures of the volume at this place in the configuration; null: it has none of its own. */
  volumeAt(slot: Slot, index: number): VolumeFigures | null {
    const { connections, own, partner } = this.#counts;
    const threads = slot === 0 ? own : partner;
    const volume = Math.floor(index / threads);
    if (volume >= VOLUMES_MAX) return null;
    const thread = (slot === 0 ? 0 : own) + placeOf(index, threads);
    const at = connections * 2 * CONNECTION_BLOCK + thread * VOLUME_BLOCK + volume * VOLUME_SIZE;
    const [journalSize, flushCount, flushMs, compactions, size, available, files, filesFree] =
      new Float64Array(this.#buffer, 8 * at, VOLUME_SIZE);
    return {
      journalSize: journalSize!,
      flushCount: flushCount!,
      flushMs: flushMs!,
      compactions: compactions!,
      size: size!,
      available: available!,
      files: files!,
      filesFree: filesFree!,
    };
  }
}
