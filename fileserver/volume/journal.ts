/**
 * The duplicate request cache on the volume: a journal of intents and answers in two preallocated files.
 *
 * What survives what:
 *   the process killed    everything appended (the kernel has it)
 *   the machine or the    everything that a flush has covered, ours or (see commit-order.ts) the file system's own; of
 *   medium's cache lost   the rest any part. change-queue.ts sees to it that nothing depends on the rest
 *   a torn or lost tail   told by checksums; ends the journal there
 *   a record lost before  told by later flushes behind it: the journal is refused, as its answers can't be trusted
 *   the tail
 *
 * Records are appended to one segment. When it is full, the other one is begun with a snapshot of everything that
 * still counts, and takes over with its first flush. Both were written full length when they were made: appending
 * needs no space and changes no metadata, so it works on a full disk and a flush is one write.
 */
import { fdatasync, read } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SystemCallError } from '../system/errno.ts';
import { AT_FDCWD, close, O_RDWR, openAt, writeFrom } from '../system/file-calls.ts';
import { become, SERVER_IDENTITY } from '../system/thread-identity.ts';
import { writeOut } from '../system/write-out.ts';
import {
  BatchBuilder,
  decodeSegmentHeader,
  encodeSegmentHeader,
  KEY_SIZE,
  type ParsedSegment,
  parseSegment,
  RecordType,
  recordSize,
  SEGMENT_HEADER_SIZE,
} from './journal-records.ts';

/** Bytes of one of the two files. A snapshot of a full reply cache is less than half of it. */
export const SEGMENT_SIZE = 8 * 1024 * 1024;
const readFd = promisify(read);
const FILES = ['journal.0', 'journal.1'] as const;

/** What is to be copied when a segment is full: payloads of answers, oldest first. */
export interface JournalContents {
  replies(): Iterable<Uint8Array>;
}

export interface Replay {
  readonly journal: Journal;
  /** Payloads of answers, oldest first. */
  readonly replies: readonly Uint8Array[];
  /** Payloads of intents that have no answer: perhaps executed, perhaps not. */
  readonly intents: readonly Uint8Array[];
}

export class JournalCorruptError extends Error {
  override readonly name = 'JournalCorruptError';
}

export class Journal {
  private readonly fds: readonly [number, number];
  private readonly uuid: Uint8Array;
  private active: 0 | 1;
  private sequence: number;
  private at: number;
  /** What was appended to the active segment and not written out yet begins here. */
  private dirtyFrom: number;
  private batch: number;
  private readonly builder: BatchBuilder;
  private busy: number;
  private closing: boolean;
  private closed: boolean;
  flushCount: number;
  /** What all flushes took together. */
  flushMs: number;
  compactionCount: number;

  constructor(fds: readonly [number, number], uuid: Uint8Array, active: 0 | 1, sequence: number) {
    this.fds = fds;
    this.uuid = uuid;
    this.active = active;
    this.sequence = sequence;
    this.at = SEGMENT_SIZE;
    this.dirtyFrom = SEGMENT_SIZE;
    this.batch = 1;
    this.builder = new BatchBuilder();
    this.busy = 0;
    this.closing = false;
    this.closed = false;
    this.flushCount = 0;
    this.flushMs = 0;
    this.compactionCount = 0;
  }

  /** Bytes of the active segment in use. */
  get usedSize(): number {
    return this.at;
  }

  /**
   * Appends answers of operations that are durable, and intents of those that come next. In the page cache when this
   * returns. 0 or -errno.
   */
  append(replies: readonly Uint8Array[], intents: readonly Uint8Array[], contents: JournalContents): number {
    let size = 0;
    for (const payload of replies) size += recordSize(payload.length);
    for (const payload of intents) size += recordSize(payload.length);
    if (size === 0) return 0;
    const { builder } = this;
    builder.reset();
    if (this.at + size > SEGMENT_SIZE) {
      const begun = this.beginSegment(contents, replies);
      if (begun < 0) return begun;
      builder.reset();
    } else {
      for (const payload of replies) builder.add(this.sequence, this.batch, RecordType.reply, payload);
    }
    for (const payload of intents) builder.add(this.sequence, this.batch, RecordType.intent, payload);
    return this.write();
  }

  private write(): number {
    const bytes = this.builder.written;
    if (this.at + bytes.length > SEGMENT_SIZE) throw new Error('the snapshot does not fit into a segment');
    const written = writeAll(this.fds[this.active], bytes, this.at);
    if (written < 0) return written;
    this.at += bytes.length;
    return 0;
  }

  /**
   * The other file becomes the active one and begins with what still counts, the newest answers included: their intents
   * are in the segment before, which counts no longer when this one's snapshot is whole.
   */
  private beginSegment(contents: JournalContents, newest: readonly Uint8Array[]): number {
    const { builder } = this;
    this.active = this.active === 0 ? 1 : 0;
    this.sequence += 1;
    this.compactionCount += 1;
    builder.reset();
    for (const payload of contents.replies()) {
      builder.add(this.sequence, this.batch, RecordType.reply, payload);
    }
    for (const payload of newest) builder.add(this.sequence, this.batch, RecordType.reply, payload);
    builder.add(this.sequence, this.batch, RecordType.snapshotEnd, new Uint8Array(0));
    const header = encodeSegmentHeader(this.uuid, this.sequence, SEGMENT_SIZE);
    const written = writeAll(this.fds[this.active], header, 0);
    if (written < 0) return written;
    this.at = SEGMENT_HEADER_SIZE;
    this.dirtyFrom = 0;
    return this.write();
  }

  /** Makes durable what was appended so far, in libuv's pool. Calls back with null or the error, which is final. */
  flush(done: (error: Error | null) => void): void {
    this.flushCount += 1;
    this.dirtyFrom = this.at;
    this.busy += 1;
    const begun = performance.now();
    fdatasync(this.fds[this.active], (error) => {
      this.flushMs += performance.now() - begun;
      if (error === null) this.flushed();
      this.ended();
      done(error);
    });
  }

  /**
   * Hands what was appended to the device, in libuv's pool: durable with the next flush of the device, whoever asks
   * for it. Calls back with null or the error, which is final.
   */
  writeOut(done: (error: Error | null) => void): void {
    const from = this.dirtyFrom;
    this.dirtyFrom = this.at;
    this.busy += 1;
    writeOut(this.fds[this.active], from, this.at - from, (result) => {
      this.ended();
      done(result < 0 ? new SystemCallError('sync_file_range', -result) : null);
    });
  }

  /** The device has been flushed since the last writeOut() ended: all of it is durable. */
  flushed(): void {
    this.batch += 1;
  }

  private ended(): void {
    this.busy -= 1;
    if (this.closing) this.close();
  }

  /** A new segment with the given contents, durable. For the end of a replay. */
  async begin(contents: JournalContents): Promise<void> {
    const begun = this.beginSegment(contents, []);
    if (begun < 0) throw new Error(`the journal can't be written (errno ${-begun})`);
    await new Promise<void>((resolve, reject) =>
      this.flush((error) => (error === null ? resolve() : reject(error))),
    );
  }

  /** When the flush under way, if any, is over: a descriptor must not be closed under it. */
  close(): void {
    this.closing = true;
    if (this.busy > 0 || this.closed) return;
    this.closed = true;
    for (const fd of this.fds) close(fd);
  }
}

function writeAll(fd: number, bytes: Uint8Array, at: number): number {
  for (let done = 0; done < bytes.length; ) {
    const written = writeFrom(fd, done === 0 ? bytes : bytes.subarray(done), at + done);
    if (written <= 0) return written === 0 ? -5 : written;
    done += written;
  }
  return 0;
}

/** Makes both files, full length; durable except for their names (the caller syncs the directory). */
export async function createJournal(directory: string): Promise<void> {
  const zeros = new Uint8Array(1024 * 1024);
  for (const name of FILES) {
    const file = await open(join(directory, name), 'w', 0o600);
    try {
      for (let at = 0; at < SEGMENT_SIZE; at += zeros.length) await file.write(zeros, 0, zeros.length, at);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/**
 * Reads what an owner left behind, this one or another. The journal returned must be begun (Journal.begin) before
 * anything is appended. Throws JournalCorruptError.
 */
export async function openJournal(directory: string, uuid: Uint8Array): Promise<Replay> {
  const fds: number[] = [];
  try {
    const sequences: number[] = [];
    for (const name of FILES) {
      const path = join(directory, name);
      // Between two awaits a request of the other disk set may have put a user's identity on this thread.
      become(SERVER_IDENTITY);
      const fd = openAt(AT_FDCWD, new TextEncoder().encode(path), O_RDWR);
      if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
      fds.push(fd);
      sequences.push(decodeSegmentHeader(await readSegment(fd, SEGMENT_HEADER_SIZE), uuid) ?? 0);
    }
    const newer = sequences[1]! > sequences[0]! ? 1 : 0;
    let active: 0 | 1 = newer;
    let parsed = await parse(fds[newer]!, sequences[newer]!);
    if (!parsed.complete) {
      // The owner died while it began this segment: the one before it still has everything.
      const older = newer === 0 ? 1 : 0;
      const other = await parse(fds[older]!, sequences[older]!);
      if (other.complete) {
        active = older;
        parsed = other;
      }
    }
    if (parsed.gap) {
      throw new JournalCorruptError(
        `${join(directory, FILES[active])} lost a record at byte ${parsed.end} that was acknowledged as durable`,
      );
    }
    const journal = new Journal([fds[0]!, fds[1]!], uuid, active, Math.max(...sequences));
    return { journal, ...contentsOf(parsed) };
  } catch (error) {
    for (const fd of fds) close(fd);
    throw error;
  }
}

/** Of a segment's beginning that is read first; most are not used much further. */
const FIRST_READ_SIZE = 3 * 1024 * 1024;
/** Behind the last valid record a gap would show within this: one flush is smaller (see change-queue.ts). */
const GAP_SEARCH_SIZE = 2 * 1024 * 1024;

/** sequence 0: a segment that was never begun. */
async function parse(fd: number, sequence: number): Promise<ParsedSegment> {
  if (sequence === 0) return emptySegment;
  const beginning = parseSegment(await readSegment(fd, FIRST_READ_SIZE), sequence);
  if (beginning.end + GAP_SEARCH_SIZE <= FIRST_READ_SIZE) return beginning;
  return parseSegment(await readSegment(fd, SEGMENT_SIZE), sequence);
}

async function readSegment(fd: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await readFd(fd, bytes, filled, size - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes;
}

const emptySegment: ParsedSegment = { records: [], end: 0, batch: 0, complete: false, gap: false };

function contentsOf(segment: ParsedSegment): { replies: Uint8Array[]; intents: Uint8Array[] } {
  const replies: Uint8Array[] = [];
  const intents = new Map<string, Uint8Array>();
  if (!segment.complete) return { replies, intents: [] };
  for (const { type, payload } of segment.records) {
    if (type === RecordType.snapshotEnd) continue;
    const key = Buffer.from(payload.buffer, payload.byteOffset, KEY_SIZE).toString('latin1');
    if (type === RecordType.intent) {
      intents.set(key, payload);
    } else {
      intents.delete(key);
      replies.push(payload);
    }
  }
  return { replies, intents: [...intents.values()] };
}
