/** The journal's records as bytes. Pure: builds and parses buffers, knows no files. */
import { crc32 } from 'node:zlib';

//   segment  = header (512 bytes), records..., zeros
//   header   = "FPJRNL02", volume UUID, sequence, segment size, batch that begins it, whether it is a fresh one, CRC
//   record   = size of the payload, type, batch, CRC, payload, padding to 8 bytes
//
// The CRC of a record begins with the segment's sequence: a segment is used again and again, and records that an
// earlier use left behind must not look like the newest. Numbers are little-endian.

export const SEGMENT_HEADER_SIZE = 512;
export const RECORD_HEADER_SIZE = 16;
const MAGIC = new TextEncoder().encode('FPJRNL02');
const HEADER_CRC_AT = 44;
/** Bytes of the largest payload: an RPC record without data (two handles, two names or a link target) and evidence. */
export const PAYLOAD_SIZE_MAX = 64 * 1024;

export const RecordType = {
  /** An operation is about to be executed: key, whose it is, its call, the state before it. */
  intent: 1,
  /** It was executed, is durable, and this is the answer: key, answer. */
  reply: 2,
  /** All that counted in the segment before is in this one by now: that one may be used again. */
  snapshotEnd: 3,
  /** An answer given before this segment began, copied from the one before: older than all its own. */
  copiedReply: 4,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

/** Bytes of a request's key that say which call it is: its SHA-256, cut in half. */
export const KEY_SIZE = 16;
/** The rest of the key: whose call it is. Versions before had no such part, and find theirs where it was. */
export const CLIENT_KEY_SIZE = 16;

export interface SegmentHeader {
  /** Number of the segment's use; 0: none. */
  readonly sequence: number;
  /** Batch of the records it begins with. */
  readonly batch: number;
  /** Begun by a new owner, with everything at once: it counts when it is complete, or not at all. */
  readonly fresh: boolean;
}

/** SEGMENT_HEADER_SIZE bytes. `uuid`: of the volume; `segmentSize`: bytes of the file. */
export function encodeSegmentHeader(
  uuid: Uint8Array,
  { sequence, batch, fresh }: SegmentHeader,
  segmentSize: number,
): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes.set(uuid, 8);
  view.setBigUint64(24, BigInt(sequence), true);
  view.setUint32(32, segmentSize, true);
  view.setUint32(36, batch, true);
  view.setUint32(40, fresh ? 1 : 0, true);
  view.setUint32(HEADER_CRC_AT, crc32(bytes.subarray(0, HEADER_CRC_AT)), true);
  return bytes;
}

/** null if this is no header of this volume's journal (a new or a torn one). */
export function decodeSegmentHeader(bytes: Uint8Array, uuid: Uint8Array): SegmentHeader | null {
  if (bytes.length < SEGMENT_HEADER_SIZE) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return null;
  for (let i = 0; i < 16; i++) if (bytes[8 + i] !== uuid[i]) return null;
  if (view.getUint32(HEADER_CRC_AT, true) !== crc32(bytes.subarray(0, HEADER_CRC_AT))) return null;
  return {
    sequence: Number(view.getBigUint64(24, true)),
    batch: view.getUint32(36, true),
    fresh: view.getUint32(40, true) === 1,
  };
}

function checksum(sequence: number, type: number, batch: number, payload: Uint8Array): number {
  return crc32(payload, (Math.imul(sequence, 0x9e3779b1) ^ Math.imul(type, 0x85ebca6b) ^ batch) >>> 0);
}

/** Bytes of a record: header and payload, padded to a multiple of 8. */
export function recordSize(payloadSize: number): number {
  return RECORD_HEADER_SIZE + ((payloadSize + 7) & ~7);
}

/** Records of one flush, one after the other, in a buffer that is kept. */
export class BatchBuilder {
  #bytes = new Uint8Array(64 * 1024);
  #view = new DataView(this.#bytes.buffer);
  size = 0;

  reset(): void {
    this.size = 0;
  }

  /**
   * Throws RangeError for a payload of more than PAYLOAD_SIZE_MAX bytes.
   *
   * @param sequence of the segment
   * @param batch flushes of the journal before this one, modulo 2^32
   */
  add(sequence: number, batch: number, type: RecordType, payload: Uint8Array): void {
    if (payload.length > PAYLOAD_SIZE_MAX) throw new RangeError(`a record of ${payload.length} bytes`);
    const at = this.size;
    const end = at + recordSize(payload.length);
    if (end > this.#bytes.length) this.#grow(end);
    this.#view.setUint32(at, payload.length, true);
    this.#view.setUint32(at + 4, type, true);
    this.#view.setUint32(at + 8, batch, true);
    this.#view.setUint32(at + 12, checksum(sequence, type, batch, payload), true);
    this.#bytes.set(payload, at + RECORD_HEADER_SIZE);
    this.#bytes.fill(0, at + RECORD_HEADER_SIZE + payload.length, end);
    this.size = end;
  }

  #grow(size: number): void {
    const bytes = new Uint8Array(Math.max(size, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.size));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  /** A view, valid until the next reset() or add(). */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.size);
  }
}

export interface ParsedSegment {
  /** Where the valid records begin: numbers, since objects for thousands of records cost clients milliseconds. */
  readonly records: readonly number[];
  /** Where the valid records end. */
  readonly end: number;
  /** Batch of the last valid record; the header's if there is none. */
  readonly batch: number;
  /** It has everything: without that the segment before this one counts too. */
  readonly complete: boolean;
  /**
   * Valid records of a later flush follow an invalid one. A crash can't leave that behind: what was appended while a flush
   * ran is durable after the next one (Journal.flushed), so the medium lost what it had acknowledged as durable.
   */
  readonly gap: boolean;
}

/** A segment of which nothing was read yet. */
export function unparsed({ batch }: SegmentHeader): Omit<ParsedSegment, 'gap'> {
  return { records: [], end: SEGMENT_HEADER_SIZE, batch, complete: false };
}

/**
 * The valid records of a segment's bytes (aligned to 8 in their buffer): all up to the first that is torn, zero or of an
 * earlier use. `before`: what fewer of these bytes have given; it goes on there.
 */
export function parseSegment(
  bytes: Uint8Array,
  header: SegmentHeader,
  before: Omit<ParsedSegment, 'gap'> = unparsed(header),
): ParsedSegment {
  const { sequence } = header;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records = [...before.records];
  let { end: at, batch, complete } = before;
  while (isRecordAt(bytes, view, at, sequence) && batchesAfter(batchAt(view, at), batch) >= 0) {
    batch = batchAt(view, at);
    if (typeAt(view, at) === RecordType.snapshotEnd) complete = true;
    records.push(at);
    at += recordSize(payloadSizeAt(view, at));
  }
  return { records, end: at, batch, complete, gap: laterFlushFollows(bytes, view, at, sequence, batch) };
}

function isRecordAt(bytes: Uint8Array, view: DataView, at: number, sequence: number): boolean {
  if (at + RECORD_HEADER_SIZE > bytes.length) return false;
  const size = payloadSizeAt(view, at);
  const type = typeAt(view, at);
  if (type < RecordType.intent || type > RecordType.copiedReply || size > PAYLOAD_SIZE_MAX) return false;
  if (at + recordSize(size) > bytes.length) return false;
  const payload = bytes.subarray(at + RECORD_HEADER_SIZE, at + RECORD_HEADER_SIZE + size);
  return view.getUint32(at + 12, true) === checksum(sequence, type, batchAt(view, at), payload);
}

/** Payload size of the record that begins there. */
export function payloadSizeAt(view: DataView, at: number): number {
  return view.getUint32(at, true);
}
/** Type of the record that begins there: a RecordType, unless it is torn. */
export function typeAt(view: DataView, at: number): number {
  return view.getUint32(at + 4, true);
}
/** Flushes of the journal before it was appended, since the segment's owner opened it, modulo 2^32. */
function batchAt(view: DataView, at: number): number {
  return view.getUint32(at + 8, true);
}

/**
 * How many batches `batch` comes after `other`; less than 0: before it. Numbers have 32 bits and begin again at 0 after 2^32
 * flushes, some days of a busy owner's life: those compared are less than 2^31 apart (serial number arithmetic, RFC 1982).
 */
function batchesAfter(batch: number, other: number): number {
  return (batch - other) | 0;
}

/** A gap shows within this many bytes behind the last valid record: one flush is smaller (see operation-log.ts). */
export const GAP_SEARCH_SIZE = 2 * 1024 * 1024;

/**
 * A record of batch N+3 can only be on the medium if all of batch N+1 was durable before. Looks at every place where a
 * record could begin, hundreds of thousands: so by words, and closer only where one could be a record's type.
 */
function laterFlushFollows(
  bytes: Uint8Array,
  view: DataView,
  from: number,
  sequence: number,
  batch: number,
): boolean {
  const words = new Int32Array(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.length, from + GAP_SEARCH_SIZE) >> 2,
  );
  for (let i = from >> 2; i + 3 < words.length; i += 2) {
    const type = words[i + 1]!;
    if (type < RecordType.intent || type > RecordType.copiedReply) continue;
    // Mostly of an earlier use of the segment: its checksum costs more than its number.
    if (batchesAfter(words[i + 2]!, batch) < 3) continue;
    if (isRecordAt(bytes, view, i << 2, sequence)) return true;
  }
  return false;
}
