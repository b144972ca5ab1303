/** Record marking (RFC 5531 §11): RPC messages on a byte stream. */

import type { XdrWriter } from './xdr.ts';
import { XdrError, XdrReader, xdrFault } from './xdr.ts';

// A record is a sequence of fragments, each with a four-byte header: the top bit says "last fragment of the
// record", the other 31 bits are the fragment's length. TCP cuts where it likes.
//
//   chunk from the socket:   [hdr|message][hdr|message][hdr|mess
//   records:                      view         view       `-- carried over, completed from the next chunk
//
// A record that lies whole and in one fragment within a chunk is handed out as a view of the chunk. Anything else (cut by the
// chunk's end, or in several fragments) is collected in a buffer of the parser's own. It grows with the bytes that have really
// arrived, never with the length that the peer claims.

const LAST_FRAGMENT = 0x8000_0000;
const LENGTH_MASK = 0x7fff_ffff;
const HEADER_SIZE = 4;
const CARRY_SIZE_INITIAL = 4096;
const EMPTY = new Uint8Array(0);
/** A first chunk of 64 KiB makes room for a WRITE of 1 MiB at once. */
const CARRY_GROWTH = 17;

/** A record that is worth memory of its own, where it need not be copied again. What is shorter is collected in the parser's. */
const LONG_RECORD_SIZE = 64 * 1024;

/**
 * Memory for long records, lent to a parser while a record is put together in it, so that it can be passed on with the record.
 */
export interface LongRecordMemory {
  /** Holds a record of recordSizeMax bytes. null: there is none at the moment. */
  take(): Uint8Array | null;
  /** Memory that take() returned is of no more use to the parser. */
  giveBack(memory: Uint8Array): void;
}

/** Fragments that one record may have. A real client's are kilobytes each; this bounds empty ones above all. */
export const FRAGMENTS_MAX = 4096;

/**
 * Usage: push(chunk), then `while (parser.next())` with the message under `parser.record`. With memory for long records,
 * in the middle of one, also: let the socket write into room(), then received(size), then next() as before. Where there is no
 * such memory next() returns false and isStarved is true: nothing may be pushed until a later next() has found some. end() when
 * the stream has ended.
 *
 * Lifetime: a message in `record` is valid until the next call of next() or push(); who keeps a view longer
 * calls keep() first.
 * Errors: next() throws XdrError (recordTooLong, tooManyFragments). The stream is then out of step: close it.
 */
export class RecordParser {
  /** The current message: a reader over exactly its bytes. Reused for every message of the connection. */
  readonly record: XdrReader;
  readonly #recordSizeMax: number;
  readonly #longRecords: LongRecordMemory | null;
  /** The carry, if it is lent. */
  #lent: Uint8Array | null;
  /** Bytes that the socket delivered and next() has not yet consumed. */
  #chunk: Uint8Array;
  #chunkPosition: number;
  #chunkEnd: number;
  /** Payload of an incomplete record, headers removed: carry[0 .. carrySize). */
  carry: Uint8Array;
  #carrySize: number;
  /** Header bytes that have arrived of the current fragment (0..3 while incomplete), and their value. */
  #headerSize: number;
  #header: number;
  /** Inside a fragment: bytes of it still to come. -1 between fragments. */
  #fragmentLeft: number;
  #fragmentLast: boolean;
  #fragmentCount: number;
  /** A long record has begun, and there is no memory for it. */
  isStarved: boolean;

  /** recordSizeMax: bytes of the longest message accepted, without fragment headers. */
  constructor(recordSizeMax: number, longRecords: LongRecordMemory | null = null) {
    this.#recordSizeMax = recordSizeMax;
    this.#longRecords = longRecords;
    this.#lent = null;
    this.#chunk = new Uint8Array(0);
    this.#chunkPosition = 0;
    this.#chunkEnd = 0;
    this.carry = new Uint8Array(0);
    this.#carrySize = 0;
    this.#headerSize = 0;
    this.#header = 0;
    this.#fragmentLeft = -1;
    this.#fragmentLast = false;
    this.#fragmentCount = 0;
    this.isStarved = false;
    this.record = new XdrReader(this.#chunk);
  }

  /**
   * Takes the next bytes of the stream: the first `size` of `chunk`, so that a receive buffer can be one object for
   * the life of the connection. All messages of the previous chunk must have been taken by then.
   *
   * Records are plain Uint8Arrays whatever the chunk is: a caller that keeps a part of one copies it with slice(), and the
   * slice() of Node's Buffer is no copy.
   */
  push(chunk: Uint8Array, size: number = chunk.length): void {
    if (this.#chunkPosition !== this.#chunkEnd) throw new Error('push() before next() returned false');
    const plain = chunk.constructor === Uint8Array;
    this.#chunk = plain ? chunk : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#chunkPosition = 0;
    this.#chunkEnd = size;
  }

  /** true: `record` is the next message. false: the rest of the chunk, if any, waits for more bytes. */
  next(): boolean {
    if (this.#lent !== null) this.#giveBackUsed();
    if (
      this.#fragmentLeft < 0 &&
      this.#headerSize === 0 &&
      this.#fragmentCount === 0 &&
      this.#nextInPlace()
    ) {
      return true;
    }
    while (this.#readFragment()) {
      if (!this.#fragmentLast) continue;
      this.record.reset(this.carry, 0, this.#carrySize);
      this.#carrySize = 0;
      this.#fragmentCount = 0;
      return true;
    }
    return false;
  }

  /**
   * Where the next bytes of the stream belong, in the middle of a long record: a caller that receives them there says so with
   * received(), and nothing is copied. null: anywhere, and push() takes them. After next() has returned false.
   */
  room(): Uint8Array | null {
    if (this.#lent === null || this.#fragmentLeft <= 0 || this.#chunkPosition !== this.#chunkEnd) return null;
    return this.#lent.subarray(this.#carrySize, this.#carrySize + this.#fragmentLeft);
  }

  /** `size` bytes have come to where room() said. */
  received(size: number): void {
    if (this.#lent === null || size > this.#fragmentLeft) throw new Error('received() without room()');
    this.#carrySize += size;
    this.#fragmentLeft -= size;
  }

  /** The stream has ended, and nobody writes to room() any more. */
  end(): void {
    if (this.#lent === null) return;
    this.#carrySize = 0;
    this.#fragmentLeft = -1;
    this.#giveBackUsed();
  }

  /** The record in it, if it was whole, has been used. */
  #giveBackUsed(): void {
    if (this.#lent === null || this.#carrySize > 0 || this.#fragmentLeft >= 0) return;
    if (this.record.bytes === this.#lent) this.record.reset(EMPTY, 0, 0);
    this.#longRecords!.giveBack(this.#lent);
    this.#lent = null;
    this.carry = EMPTY;
  }

  /**
   * Views of the current message stay valid: the buffer that holds it is given away. Nothing needs to be done for a
   * message inside a chunk: it lives as long as its giver leaves the chunk alone. Not with memory for long records.
   */
  keep(): void {
    if (this.record.bytes === this.carry) this.carry = new Uint8Array(0);
  }

  /**
   * Takes what next() has not consumed yet out of the chunk, so that its giver can use the memory again: one buffer
   * serves all connections of a thread. Costs nothing where all was consumed. A message under `record` is lost.
   */
  retain(): void {
    const chunkPosition = this.#chunkPosition;
    const chunkEnd = this.#chunkEnd;
    this.#chunk = chunkPosition === chunkEnd ? EMPTY : this.#chunk.slice(chunkPosition, chunkEnd);
    this.#chunkEnd = chunkEnd - chunkPosition;
    this.#chunkPosition = 0;
  }

  /** Gives the memory of a long message back. For connections that have become idle between messages. */
  trim(): void {
    this.#giveBackUsed();
    if (this.#carrySize > 0 || this.#lent !== null) return;
    if (this.record.bytes === this.carry) this.record.reset(new Uint8Array(0), 0, 0);
    this.carry = new Uint8Array(0);
  }

  /** Bytes kept for an incomplete message: what a server counts against a connection. */
  get carriedSize(): number {
    return this.#carrySize;
  }

  /** A message has begun, if only with a byte of its header, and is not whole. After next() has returned false. */
  get isInRecord(): boolean {
    const begun = this.#headerSize > 0 || this.#fragmentCount > 0 || this.#fragmentLeft >= 0;
    return begun || this.#chunkEnd > this.#chunkPosition;
  }

  /** It holds memory for long records. */
  get holdsLongMemory(): boolean {
    return this.#lent !== null;
  }

  /** The common case: header and message complete in the chunk, in one fragment. Nothing is copied. */
  #nextInPlace(): boolean {
    const chunk = this.#chunk;
    const chunkPosition = this.#chunkPosition;
    const chunkEnd = this.#chunkEnd;
    if (chunkPosition + HEADER_SIZE > chunkEnd) return false;
    const header = readWord(chunk, chunkPosition);
    if (header < LAST_FRAGMENT) return false;
    const length = header - LAST_FRAGMENT;
    this.#checkSize(length);
    const start = chunkPosition + HEADER_SIZE;
    if (start + length > chunkEnd) return false;
    this.record.reset(chunk, start, start + length);
    this.#chunkPosition = start + length;
    return true;
  }

  /** Moves bytes from the chunk to the carry until the current fragment is complete. */
  #readFragment(): boolean {
    if (this.#fragmentLeft < 0 && !this.#readHeader()) return false;
    if (this.#isLong() && !this.#borrow()) return false;
    const available = this.#chunkEnd - this.#chunkPosition;
    const size = Math.min(this.#fragmentLeft, available);
    this.#appendToCarry(size);
    this.#fragmentLeft -= size;
    if (this.#fragmentLeft > 0) return false;
    this.#fragmentLeft = -1;
    return true;
  }

  #readHeader(): boolean {
    while (this.#headerSize < HEADER_SIZE) {
      if (this.#chunkPosition === this.#chunkEnd) return false;
      this.#header = ((this.#header << 8) | this.#chunk[this.#chunkPosition]!) >>> 0;
      this.#chunkPosition += 1;
      this.#headerSize += 1;
    }
    const length = this.#header & LENGTH_MASK;
    this.#fragmentCount += 1;
    if (this.#fragmentCount > FRAGMENTS_MAX) {
      throw new XdrError(xdrFault.tooManyFragments, `a record of more than ${FRAGMENTS_MAX} fragments`);
    }
    this.#checkSize(this.#carrySize + length);
    this.#fragmentLast = this.#header >= LAST_FRAGMENT;
    this.#fragmentLeft = length;
    this.#header = 0;
    this.#headerSize = 0;
    return true;
  }

  #isLong(): boolean {
    return this.#longRecords !== null && this.#carrySize + this.#fragmentLeft >= LONG_RECORD_SIZE;
  }

  /** false: there is none. What was collected so far goes into it. */
  #borrow(): boolean {
    if (this.#lent !== null) return true;
    this.#lent = this.#longRecords!.take();
    this.isStarved = this.#lent === null;
    if (this.#lent === null) return false;
    this.#lent.set(this.carry.subarray(0, this.#carrySize));
    this.carry = this.#lent;
    return true;
  }

  #checkSize(size: number): void {
    if (size <= this.#recordSizeMax) return;
    throw new XdrError(
      xdrFault.recordTooLong,
      `a record of ${size} bytes or more where ${this.#recordSizeMax} are allowed`,
    );
  }

  #appendToCarry(size: number): void {
    if (size === 0) return;
    const needed = this.#carrySize + size;
    if (needed > this.carry.length) this.#growCarry(needed);
    const at = this.#chunkPosition;
    this.carry.set(this.#chunk.subarray(at, at + size), this.#carrySize);
    this.#carrySize = needed;
    this.#chunkPosition = at + size;
  }

  /**
   * To a multiple of what has arrived, so that a long record takes few steps and a claim costs no memory; not beyond
   * the record's end where that is known.
   */
  #growCarry(needed: number): void {
    const record = this.#longRecords === null ? this.#recordSizeMax : LONG_RECORD_SIZE;
    const sizeMax = this.#fragmentLast ? this.#carrySize + this.#fragmentLeft : record;
    const carry = new Uint8Array(Math.min(Math.max(needed * CARRY_GROWTH, CARRY_SIZE_INITIAL), sizeMax));
    carry.set(this.carry.subarray(0, this.#carrySize));
    this.carry = carry;
  }
}

function readWord(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Leaves room for the header of a record that is about to be written. Returns its place for endRecord(). */
export function beginRecord(w: XdrWriter): number {
  const at = w.position;
  w.u32(0);
  return at;
}

/**
 * Writes the header of the record that began at `at`: one fragment. `sizeOutside` counts bytes of the record
 * that are sent right after the writer's own (a long payload that is not copied into it).
 */
export function endRecord(w: XdrWriter, at: number, sizeOutside = 0): void {
  w.patchU32(at, LAST_FRAGMENT + (w.position - at - HEADER_SIZE) + sizeOutside);
}
