/**
 * The duplicate request cache on the volume: a journal of intents and answers in three preallocated files.
 *
 * What survives what:
 *   the process killed    everything appended (the kernel has it)
 *   the machine or the    everything that a flush has covered, ours or (see commit-order.ts) the file system's own; of
 *   medium's cache lost   the rest any part. operation-log.ts sees to it that nothing depends on the rest
 *   a torn or lost tail   told by checksums; ends the journal there
 *   a record lost before  told by later flushes behind it: the journal is refused, as its answers can't be trusted
 *   the tail
 *
 * Records are appended to one segment. When it is full, the next one is begun, and with each append some of the answers
 * that still count are copied to it: no append takes much longer than another. Until the last of them is there both
 * segments count, and a new owner begins in the third. All were written full length when they were made: appending needs
 * no space and changes no metadata, so it works on a full disk and a flush is one write.
 */

import { fdatasyncSync, fsync, read } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { SystemCallError } from '../../system/errno.ts';
import { close, O_RDONLY, O_RDWR, writeJournalFrom } from '../../system/file-calls.ts';
import { fdatasync } from '../../system/pool-calls.ts';
import { NO_WRITES, REFUSED, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { writeOut } from '../../system/write-out.ts';
import { makeFile, writeWhole } from '../private-files/durable-file.ts';
import { openPrivate } from '../private-files/private-files.ts';
import {
  BatchBuilder,
  decodeSegmentHeader,
  encodeSegmentHeader,
  GAP_SEARCH_SIZE,
  PAYLOAD_SIZE_MAX,
  parseSegment,
  RecordType,
  recordSize,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  unparsed,
} from './journal-records.ts';
import { type ReadSegment, type RecoveredJournal, recoveredJournal } from './recovered-journal.ts';

/** Bytes of one of the files. The answers of a full reply cache are less than half of it. */
export const SEGMENT_SIZE = 6 * 1024 * 1024;
/** Answers copied with an append, in bytes: twice of what is appended, and so many more. So they are copied when at most a
 * third of the segment is used. */
const COPIED_SIZE = 4096;
/** Bytes of one write when all are copied at once. */
const COPIED_AT_ONCE_SIZE = 256 * 1024;
const readFd = promisify(read);
const flushFd = promisify(fdatasync);
const flushWhole = promisify(fsync);
/** No batch: long durable. */
const NEVER = -2;
const FILES = ['journal.0', 'journal.1', 'journal.2'] as const;

/** Paths of the journal's files in a volume's private directory. */
export function journalFiles(directory: string): readonly string[] {
  return FILES.map((file) => join(directory, file));
}

/** What is to be copied when a segment is full: payloads. */
export interface JournalContents {
  /** Of operations that have no answer yet. They come first: when a segment has everything, the one before does not count. */
  intents(): Iterable<Uint8Array>;
  /** Of answers, oldest first. */
  replies(): Iterable<Uint8Array>;
}

export interface Replay extends RecoveredJournal {
  readonly journal: Journal;
}

/** How far a journal was read. */
interface ReadTo {
  /** Of each file. */
  readonly headers: readonly SegmentHeader[];
  /** Of those that were read: where their valid records end, and the batch of the last one. By number of the file. */
  readonly ends: ReadonlyMap<number, Pick<ReadSegment, 'end' | 'batch'>>;
}

export class JournalCorruptError extends Error {
  override readonly name = 'JournalCorruptError';
}

export class Journal {
  readonly fds: readonly number[];
  readonly uuid: Uint8Array;
  /** Nothing is written before begin(). */
  #gate: WriteGate = NO_WRITES;
  #active: number;
  #sequence: number;
  #at: number;
  /** What was appended to the active segment and not written out yet begins here. */
  #dirtyFrom: number;
  /** The same of the segment before: answers, mostly, that others' intents in the active one rely on. null: nothing. */
  #dirtyBefore: FileRange | null = null;
  batch = 1;
  /** Answers that are still to be copied to the active segment; null: it has everything. */
  #copying: Iterator<Uint8Array> | null = null;
  /** Intents of the segment before that have no answer: they go to the active one with its first append. */
  #carried: Uint8Array[] = [];
  /** Of `copying`, those that come next: an append that failed had taken them. */
  #copyingFirst: Uint8Array[] = [];
  /** Batch in which the active segment got everything. */
  #completeIn = NEVER;
  readonly #segmentSize: number;
  readonly #readTo: ReadTo;
  readonly #builder = new BatchBuilder();
  #busy = 0;
  #closing: PromiseWithResolvers<void> | null = null;
  #closed = false;
  flushCount = 0;
  /** What all flushes took together. */
  flushMs = 0;
  compactionCount = 0;

  constructor(
    fds: readonly number[],
    uuid: Uint8Array,
    active: number,
    sequence: number,
    segmentSize: number,
    readTo: ReadTo,
  ) {
    this.fds = fds;
    this.uuid = uuid;
    this.#active = active;
    this.#sequence = sequence;
    this.#segmentSize = segmentSize;
    this.#readTo = readTo;
    this.#at = segmentSize;
    this.#dirtyFrom = segmentSize;
  }

  /** Bytes of the active segment in use. */
  get usedSize(): number {
    return this.#at;
  }

  /**
   * Appends answers of operations that are durable, and intents of those that come next. In the page cache when this
   * returns. 0 or -errno: then nothing was appended, and it may be tried again (-ENOSPC, -EDQUOT: when there is room). REFUSED:
   * the right is over.
   */
  append(replies: readonly Uint8Array[], intents: readonly Uint8Array[], contents: JournalContents): number {
    let size = 0;
    for (const payload of replies) size += recordSize(payload.length);
    for (const payload of intents) size += recordSize(payload.length);
    if (size === 0) return 0;
    // Room for what is copied along too (the last one may be a long one), and for the end mark.
    const room = 3 * size + COPIED_SIZE + recordSize(PAYLOAD_SIZE_MAX) + recordSize(0);
    if (this.#at + room > this.#segmentSize) {
      const begun = this.#beginSegment(contents, false);
      if (begun < 0) return begun;
    }
    const builder = this.#builder;
    builder.reset();
    for (const payload of this.#carried) builder.add(this.#sequence, this.batch, RecordType.intent, payload);
    for (const payload of replies) builder.add(this.#sequence, this.batch, RecordType.reply, payload);
    for (const payload of intents) builder.add(this.#sequence, this.batch, RecordType.intent, payload);
    const written = this.#writeWithCopies(3 * size + COPIED_SIZE);
    if (written >= 0) this.#carried = [];
    return written;
  }

  /**
   * Writes the builder's records, with answers copied behind them until it holds `size` bytes. The end mark comes after
   * everything that was appended with them: intents of the segment before have their answers in this one by then.
   */
  #writeWithCopies(size: number): number {
    const builder = this.#builder;
    const copying = this.#copying;
    const copied: Uint8Array[] = [];
    let left = copying !== null;
    while (left && builder.size < size) {
      const payload = this.#copyingFirst.shift() ?? copying!.next().value;
      left = payload !== undefined;
      if (left) copied.push(payload);
      builder.add(
        this.#sequence,
        this.batch,
        left ? RecordType.copiedReply : RecordType.snapshotEnd,
        payload ?? NO_PAYLOAD,
      );
    }
    const bytes = builder.written;
    if (this.#at + bytes.length > this.#segmentSize) throw new Error('the records do not fit into a segment');
    const written = writeAll(this.#gate, this.fds[this.#active]!, bytes, this.#at);
    if (written < 0) {
      // What lies there now in part is written over by the next append, before anything comes behind it.
      this.#copyingFirst = [...copied, ...this.#copyingFirst];
      return written;
    }
    this.#at += bytes.length;
    if (copying !== null && !left) {
      this.#copying = null;
      this.#completeIn = this.batch;
    }
    return 0;
  }

  /** What is still to be copied. 0 or -errno. */
  #copyAll(): number {
    while (this.#copying !== null) {
      this.#builder.reset();
      const written = this.#writeWithCopies(COPIED_AT_ONCE_SIZE);
      if (written < 0) return written;
    }
    return 0;
  }

  /** The next file becomes the active one. What counts in the one before is copied with the next appends. */
  #beginSegment(contents: JournalContents, fresh: boolean): number {
    // Can't be, by the sizes; if it were: the segment about to be overwritten still counts.
    const copied = this.#copyAll();
    if (copied < 0) return copied;
    if (!this.#isDurable(this.#completeIn)) fdatasyncSync(this.fds[this.#active]!);
    const { uuid } = this;
    const batch = this.batch;
    const segmentSize = this.#segmentSize;
    const next = (this.#active + 1) % FILES.length;
    const sequence = this.#sequence + 1;
    const header = encodeSegmentHeader(uuid, { sequence, batch, fresh }, segmentSize);
    const written = writeAll(this.#gate, this.fds[next]!, header, 0);
    if (written < 0) return written;
    this.#leaveBehind();
    this.#active = next;
    this.#sequence = sequence;
    this.compactionCount += 1;
    this.#at = SEGMENT_HEADER_SIZE;
    this.#dirtyFrom = 0;
    this.#carried = [...contents.intents()];
    this.#copying = contents.replies()[Symbol.iterator]();
    this.#copyingFirst = [];
    return 0;
  }

  /** The active segment is no longer the active one, and may have what was not written out. */
  #leaveBehind(): void {
    const size = this.#at - this.#dirtyFrom;
    if (size <= 0) return;
    // Can't be: a segment holds many times what is appended between two writeOut().
    if (this.#dirtyBefore !== null) fdatasyncSync(this.#dirtyBefore.fd);
    this.#dirtyBefore = { fd: this.fds[this.#active]!, from: this.#dirtyFrom, size };
  }

  /** What was appended and not written out; from now on it counts as written out. */
  #takeDirty(): FileRange[] {
    const active = { fd: this.fds[this.#active]!, from: this.#dirtyFrom, size: this.#at - this.#dirtyFrom };
    const ranges = this.#dirtyBefore === null ? [active] : [this.#dirtyBefore, active];
    this.#dirtyBefore = null;
    this.#dirtyFrom = this.#at;
    return ranges;
  }

  /** Makes durable what was appended so far, in libuv's pool. Calls back with null or the error, which is final. */
  flush(done: (error: Error | null) => void): void {
    this.flushCount += 1;
    this.#busy += 1;
    const begun = performance.now();
    oneByOne(
      this.#takeDirty(),
      ({ fd }, next) => fdatasync(fd, next),
      (error) => {
        this.flushMs += performance.now() - begun;
        if (error === null) this.flushed();
        this.#ended();
        done(error);
      },
    );
  }

  /**
   * Hands what was appended to the device, in libuv's pool: durable with the next flush of the device, for whatever reason. Calls
   * back with null or the error, which is final.
   */
  writeOut(done: (error: Error | null) => void): void {
    this.#busy += 1;
    oneByOne(
      this.#takeDirty(),
      ({ fd, from, size }, next) =>
        writeOut(fd, from, size, (result) =>
          next(result < 0 ? new SystemCallError('sync_file_range', -result) : null),
        ),
      (error) => {
        this.#ended();
        done(error);
      },
    );
  }

  /**
   * A flush of the device has ended, which began when everything had been written out (or that this write covered) that had been
   * appended when the flush before it ended. So what was appended before that one ended is durable now: what comes after it,
   * while this one ran, with the next one.
   */
  flushed(): void {
    this.batch += 1;
  }

  /** Is what was appended in this batch? */
  #isDurable(batch: number): boolean {
    return batch + 2 <= this.batch;
  }

  #ended(): void {
    this.#busy -= 1;
    this.#closeWhenIdle();
  }

  /**
   * Before begin(): has anybody appended to it since it was read? The files are opened anew: a network file system asks its server
   * then, and may answer from memory otherwise. Throws SystemCallError.
   */
  async hasGrown(directory: string): Promise<boolean> {
    const { headers, ends } = this.#readTo;
    for (const [index, path] of journalFiles(directory).entries()) {
      const fd = openPrivate(path, O_RDONLY);
      if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
      try {
        const header = await readHeader(fd, this.uuid);
        if (header.sequence !== headers[index]!.sequence) return true;
        const read = ends.get(index);
        if (read !== undefined && (await isFollowed(fd, header, read))) return true;
      } finally {
        close(fd);
      }
    }
    return false;
  }

  /**
   * A new segment with the given contents, all of them. For the end of a replay; from now on it is written to, behind the gate.
   * Throws SystemCallError; may be tried again then: the segment that is begun is the same. It is in the page cache and needs no
   * flush of its own, unless intents were settled. Until the first answer, which waits for a flush of this file, nothing is in it
   * that is not also in those before, which stay whole, and a fresh segment that was torn does not count.
   */
  begin(contents: JournalContents, gate: WriteGate): void {
    this.#gate = gate;
    const active = this.#active;
    const sequence = this.#sequence;
    let result = this.#beginSegment(contents, true);
    if (result >= 0) result = this.#copyAll();
    if (result >= 0) return;
    this.#active = active;
    this.#sequence = sequence;
    this.#at = this.#segmentSize;
    this.#dirtyFrom = this.#segmentSize;
    this.#copying = null;
    if (result === REFUSED) throw new RefusedError();
    throw new SystemCallError('write the journal', -result);
  }

  /** Resolves when the files are closed: that is when what is being flushed or written out has ended. */
  close(): Promise<void> {
    this.#closing ??= Promise.withResolvers();
    this.#closeWhenIdle();
    return this.#closing.promise;
  }

  #closeWhenIdle(): void {
    if (this.#closing === null || this.#busy > 0 || this.#closed) return;
    this.#closed = true;
    for (const fd of this.fds) close(fd);
    this.#closing.resolve();
  }
}

const NO_PAYLOAD = new Uint8Array(0);

interface FileRange {
  readonly fd: number;
  readonly from: number;
  readonly size: number;
}

type Done = (error: Error | null) => void;

/** One range after the other, until one fails. */
function oneByOne(ranges: FileRange[], work: (range: FileRange, next: Done) => void, done: Done): void {
  const [first, ...others] = ranges;
  if (first === undefined) done(null);
  else work(first, (error) => (error === null ? oneByOne(others, work, done) : done(error)));
}

function writeAll(gate: WriteGate, fd: number, bytes: Uint8Array, at: number): number {
  for (let done = 0; done < bytes.length; ) {
    const written = writeJournalFrom(gate, fd, done === 0 ? bytes : bytes.subarray(done), at + done);
    if (written <= 0) return written === 0 ? -5 : written;
    done += written;
  }
  return 0;
}

/** Makes the files, full length; durable except for their names (the caller syncs the directory). None of them is there. */
export async function createJournal(
  gate: WriteGate,
  directory: string,
  segmentSize = SEGMENT_SIZE,
): Promise<void> {
  const zeros = new Uint8Array(Math.min(segmentSize, 1024 * 1024));
  for (const path of journalFiles(directory)) {
    const fd = makeFile(gate, path, zeros);
    try {
      for (let at = zeros.length; at < segmentSize; at += zeros.length)
        writeWhole(gate, path, fd, zeros.subarray(0, Math.min(zeros.length, segmentSize - at)), at);
      await flushWhole(fd);
    } finally {
      close(fd);
    }
  }
}

/**
 * Reads what an owner left behind, this one or another, and makes it durable. Its owner may have died before its first flush, and
 * the segment that is begun next is written over one that counted before it. The journal returned must be begun (Journal.begin)
 * before anything is appended. Throws JournalCorruptError.
 */
export async function openJournal(
  directory: string,
  uuid: Uint8Array,
  segmentSize = SEGMENT_SIZE,
): Promise<Replay> {
  const fds: number[] = [];
  const flushes: Promise<void>[] = [];
  try {
    const headers: SegmentHeader[] = [];
    for (const name of FILES) {
      const path = join(directory, name);
      const fd = openPrivate(path, O_RDWR);
      if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
      fds.push(fd);
      headers.push(await readHeader(fd, uuid));
    }
    const inOrder = [0, 1, 2].sort((a, b) => headers[b]!.sequence - headers[a]!.sequence);
    const segments: ReadSegment[] = [];
    const ends = new Map<number, Pick<ReadSegment, 'end' | 'batch'>>();
    let active = inOrder[0]!;
    for (const index of inOrder) {
      // While it is read.
      flushes.push(flushFd(fds[index]!));
      const segment = await parse(fds[index]!, headers[index]!, segmentSize);
      if (headers[index]!.sequence > 0) ends.set(index, { end: segment.end, batch: segment.batch });
      if (!segment.complete && headers[index]!.fresh) {
        // An owner died before it served: what it found still counts, and its segment is to be begun again.
        active = (index + FILES.length - 1) % FILES.length;
        continue;
      }
      segments.unshift(segment);
      // Else its owner died before everything was copied: the one before it counts too.
      if (segment.complete) break;
    }
    const damaged = segments.find(({ gap }) => gap);
    if (damaged !== undefined) {
      throw new JournalCorruptError(
        `the journal in ${directory} lost a record at byte ${damaged.end} that was acknowledged as durable`,
      );
    }
    await Promise.all(flushes);
    const sequence = Math.max(...headers.map((header) => header.sequence));
    const journal = new Journal(fds, uuid, active, sequence, segmentSize, { headers, ends });
    return { journal, ...recoveredJournal(segments) };
  } catch (error) {
    await Promise.allSettled(flushes);
    for (const fd of fds) close(fd);
    throw error;
  }
}

/** Of a segment's beginning that is read first, bytes; most are not used much further. */
const FIRST_READ_SIZE = 3 * 1024 * 1024;

const NEVER_BEGUN: SegmentHeader = { sequence: 0, batch: 0, fresh: false };

async function readHeader(fd: number, uuid: Uint8Array): Promise<SegmentHeader> {
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
  await readInto(fd, bytes, 0, SEGMENT_HEADER_SIZE);
  return decodeSegmentHeader(bytes, uuid) ?? NEVER_BEGUN;
}

/** Does a valid record begin where they ended? */
async function isFollowed(
  fd: number,
  header: SegmentHeader,
  { end, batch }: Pick<ReadSegment, 'end' | 'batch'>,
): Promise<boolean> {
  const bytes = new Uint8Array(recordSize(PAYLOAD_SIZE_MAX));
  await readInto(fd, bytes, 0, bytes.length, end);
  return parseSegment(bytes, header, { ...unparsed(header), end: 0, batch }).records.length > 0;
}

async function parse(fd: number, header: SegmentHeader, segmentSize: number): Promise<ReadSegment> {
  if (header.sequence === 0) return emptySegment;
  // Memory that is not read into is never touched.
  const bytes = new Uint8Array(segmentSize);
  const filled = await readInto(fd, bytes, 0, Math.min(FIRST_READ_SIZE, segmentSize));
  const beginning = parseSegment(bytes.subarray(0, filled), header);
  if (filled < FIRST_READ_SIZE || beginning.end + GAP_SEARCH_SIZE <= filled) return { ...beginning, bytes };
  await readInto(fd, bytes, filled, segmentSize);
  return { ...parseSegment(bytes, header, beginning), bytes };
}

/** Fills `from` to `to` with what lies there in the file, behind `offset`. Returns where the file ends, if it ends before. */
async function readInto(
  fd: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  offset = 0,
): Promise<number> {
  let filled = from;
  while (filled < to) {
    const { bytesRead } = await readFd(fd, bytes, filled, to - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

const emptySegment: ReadSegment = {
  records: [],
  end: 0,
  batch: 0,
  complete: false,
  gap: false,
  bytes: new Uint8Array(0),
};
