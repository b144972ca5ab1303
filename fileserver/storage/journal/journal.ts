/** The duplicate request cache on the volume: a journal of intents and answers in three preallocated files. */

import { fdatasyncSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { writeJournalFrom } from '../../system/data-calls.ts';
import { SystemCallError } from '../../system/errno.ts';
import { close } from '../../system/file-calls.ts';
import { fdatasync } from '../../system/pool-calls.ts';
import { NO_WRITES, REFUSED, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { writeOut } from '../../system/write-out.ts';
import { FILE_COUNT, haveGrown, type ReadTo } from './journal-files.ts';
import {
  BatchBuilder,
  encodeSegmentHeader,
  PAYLOAD_SIZE_MAX,
  RecordType,
  recordSize,
  SEGMENT_HEADER_SIZE,
} from './journal-records.ts';
import { oneByOne, UnwrittenRanges } from './unwritten-ranges.ts';

// What survives what:
//   the process killed    everything appended (the kernel has it)
//   the machine or the    everything that a flush has covered, ours or (see commit-order.ts) the file system's own; of
//   medium's cache lost   the rest any part. operation-log.ts sees to it that nothing depends on the rest
//   a torn or lost tail   told by checksums; ends the journal there
//   a record lost before  told by later flushes behind it: the journal is refused, as its answers can't be trusted
//   the tail
//
// Records are appended to one segment. When it is full, the next one is begun, and with each append some of the answers
// that still count are copied to it: no append takes much longer than another. Until the last of them is there both
// segments count, and a new owner begins in the third. All were written full length when they were made: appending needs
// no space and changes no metadata, so it works on a full disk and a flush is one write.

/** Answers copied with an append, in bytes: twice of what is appended, and so many more. So they are copied when at most a
 * third of the segment is used. */
const COPIED_SIZE = 4096;
/** Bytes of one write when all are copied at once. */
const COPIED_AT_ONCE_SIZE = 256 * 1024;
/** No batch: long durable. */
const NEVER = -2;
/** Payloads to be copied when a segment is full. */
export interface JournalContents {
  /** Intents of operations that have no answer yet. They come first: a segment that holds everything replaces the one before. */
  intents(): Iterable<Uint8Array>;
  /** Recorded answers, oldest first. */
  replies(): Iterable<Uint8Array>;
}

export class Journal {
  readonly fds: readonly number[];
  readonly uuid: Uint8Array;
  /** Nothing is written before begin(). */
  #gate: WriteGate = NO_WRITES;
  #active: number;
  #sequence: number;
  #at: number;
  readonly #unwritten: UnwrittenRanges;
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
  /** How far each file was read. */
  readonly #readTo: ReadTo;
  readonly #builder = new BatchBuilder();
  #busy = 0;
  #closing: PromiseWithResolvers<void> | null = null;
  #closed = false;
  flushCount = 0;
  /** Time that all flushes took together. */
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
    this.#unwritten = new UnwrittenRanges(segmentSize);
  }

  /** Bytes of the active segment in use. */
  get usedSize(): number {
    return this.#at;
  }

  /**
   * Appends answers of operations that are durable, and intents of those that come next. In the page cache when this
   * returns. 0 or -errno: then nothing was appended, and it may be tried again (-ENOSPC, -EDQUOT: when there is room). REFUSED:
   * the lease is over.
   */
  append(replies: readonly Uint8Array[], intents: readonly Uint8Array[], contents: JournalContents): number {
    const size = recordsSize(replies) + recordsSize(intents);
    if (size === 0) return 0;
    // Room for what is copied along too (the last one may be a long one), and for the end mark.
    const room = 3 * size + COPIED_SIZE + recordSize(PAYLOAD_SIZE_MAX) + recordSize(0);
    if (this.#at + room > this.#segmentSize) {
      const begun = this.#beginSegment(contents, false);
      if (begun < 0) return begun;
    }
    const builder = this.#builder;
    builder.reset();
    this.#addAll(RecordType.intent, this.#carried);
    this.#addAll(RecordType.reply, replies);
    this.#addAll(RecordType.intent, intents);
    const written = this.#writeWithCopies(3 * size + COPIED_SIZE);
    if (written >= 0) this.#carried = [];
    return written;
  }

  #addAll(type: RecordType, payloads: readonly Uint8Array[]): void {
    for (let i = 0; i < payloads.length; i++)
      this.#builder.add(this.#sequence, this.batch, type, payloads[i]!);
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
      // The next append writes over the part that lies there now, before anything comes behind it.
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

  /** Copies the answers that are still to be copied. 0 or -errno. */
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
    const next = (this.#active + 1) % FILE_COUNT;
    const sequence = this.#sequence + 1;
    const header = encodeSegmentHeader(uuid, { sequence, batch, fresh }, segmentSize);
    const written = writeAll(this.#gate, this.fds[next]!, header, 0);
    if (written < 0) return written;
    this.#unwritten.beginFile(this.fds[this.#active]!, this.#at);
    this.#active = next;
    this.#sequence = sequence;
    this.compactionCount += 1;
    this.#at = SEGMENT_HEADER_SIZE;
    this.#carried = [...contents.intents()];
    this.#copying = contents.replies()[Symbol.iterator]();
    this.#copyingFirst = [];
    return 0;
  }

  /** Makes durable what was appended so far, in libuv's pool. Calls back with null or the error, which is final. */
  flush(done: (error: Error | null) => void): void {
    this.flushCount += 1;
    this.#busy += 1;
    const begun = performance.now();
    oneByOne(
      this.#unwritten.take(this.fds[this.#active]!, this.#at),
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
      this.#unwritten.take(this.fds[this.#active]!, this.#at),
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
  hasGrown(directory: string): Promise<boolean> {
    return haveGrown(directory, this.uuid, this.#readTo);
  }

  /**
   * A new segment with the given contents, all of them. For the end of a replay; from now on it is written to, behind the gate.
   * Throws SystemCallError; may be tried again then: the segment that is begun is the same. It is in the page cache and needs no
   * flush of its own, unless intents were settled. Until the first answer, which waits for a flush of this file, it holds only
   * what is also in those before. These stay whole, and a fresh segment that was torn does not count.
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
    this.#unwritten.takeBackFile(this.#segmentSize);
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

function writeAll(gate: WriteGate, fd: number, bytes: Uint8Array, at: number): number {
  for (let done = 0; done < bytes.length; ) {
    const written = writeJournalFrom(gate, fd, done === 0 ? bytes : bytes.subarray(done), at + done);
    if (written <= 0) return written === 0 ? -5 : written;
    done += written;
  }
  return 0;
}

/** An index costs nothing: for each payload an iterator would make an object, in calls that are too seldom to be optimized. */
function recordsSize(payloads: readonly Uint8Array[]): number {
  let size = 0;
  for (let i = 0; i < payloads.length; i++) size += recordSize(payloads[i]!.length);
  return size;
}
