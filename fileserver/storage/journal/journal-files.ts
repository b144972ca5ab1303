/** The three files of a journal: makes them, and reads their headers and records. */
import { fsync, read } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SystemCallError } from '../../system/errno.ts';
import { close, O_RDONLY } from '../../system/file-calls.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { makeFile, writeWhole } from '../private-files/durable-file.ts';
import { openPrivate } from '../private-files/private-files.ts';
import {
  decodeSegmentHeader,
  GAP_SEARCH_SIZE,
  PAYLOAD_SIZE_MAX,
  parseSegment,
  recordSize,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  unparsed,
} from './journal-records.ts';
import type { ReadSegment } from './recovered-journal.ts';

/** Bytes of one of the files. The answers of a full reply cache are less than half of it. */
export const SEGMENT_SIZE = 6 * 1024 * 1024;
const FILES = ['journal.0', 'journal.1', 'journal.2'] as const;
export const FILE_COUNT = FILES.length;
const readFd = promisify(read);
const flushWhole = promisify(fsync);

/** Paths of the journal's files in a volume's private directory. */
export function journalFiles(directory: string): readonly string[] {
  return FILES.map((file) => join(directory, file));
}

/** How far a journal was read. */
export interface ReadTo {
  /** Header of each file. */
  readonly headers: readonly SegmentHeader[];
  /** End of the valid records in each file that was read, and the batch of the last one. By number of the file. */
  readonly ends: ReadonlyMap<number, Pick<ReadSegment, 'end' | 'batch'>>;
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

/** Has anybody appended to the files since they were read? Opens them anew. Throws SystemCallError. */
export async function haveGrown(
  directory: string,
  uuid: Uint8Array,
  { headers, ends }: ReadTo,
): Promise<boolean> {
  for (const [index, path] of journalFiles(directory).entries()) {
    const fd = openPrivate(path, O_RDONLY);
    if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
    try {
      const header = await readHeader(fd, uuid);
      if (header.sequence !== headers[index]!.sequence) return true;
      const read = ends.get(index);
      if (read !== undefined && (await isFollowed(fd, header, read))) return true;
    } finally {
      close(fd);
    }
  }
  return false;
}

/** Size of a segment's beginning that is read first, bytes; most segments are not used much further. */
const FIRST_READ_SIZE = 3 * 1024 * 1024;

const NEVER_BEGUN: SegmentHeader = { sequence: 0, batch: 0, fresh: false };

/** Sequence 0 if the file has no valid header of this volume. Throws SystemCallError. */
export async function readHeader(fd: number, uuid: Uint8Array): Promise<SegmentHeader> {
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

/** All valid records of a segment. `segmentSize`: bytes of the file. Throws SystemCallError. */
export async function readSegment(
  fd: number,
  header: SegmentHeader,
  segmentSize: number,
): Promise<ReadSegment> {
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
