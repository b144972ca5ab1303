/** XDR (RFC 4506): the encoding below ONC RPC, MOUNT and NFS. */

// A reader walks over one buffer that stays where it is. It keeps a single DataView for it (a new one for each message costs more
// than decoding the message) and hands out opaque data as views, never as copies. A writer packs into one buffer that it keeps
// and grows, so that a reply costs no allocation of its own.
//
// Input is hostile. Whatever the bytes are, a reader throws XdrError and nothing else, and it compares every
// length with what is really there, and with the field's limit, before anything is allocated.
//
// Padding (RFC 4506 §4.9: "residual zero bytes"): a writer always writes zeros, because its buffer is reused
// and must not leak what was in it before. A reader skips the padding without looking at it, as the Linux
// kernel does: no decision depends on these bytes, so refusing them would protect nothing.

/** Why input was refused. `name` is what a metric may count by; the message is for a log. */
export const xdrFault = {
  truncated: 'truncated',
  tooLong: 'too-long',
  badBoolean: 'bad-boolean',
  badEnum: 'bad-enum',
  trailing: 'trailing-bytes',
  recordTooLong: 'record-too-long',
  tooManyFragments: 'too-many-fragments',
  badMessage: 'bad-message',
} as const;
export type XdrFault = (typeof xdrFault)[keyof typeof xdrFault];

/** The one exception that malformed input causes, in every decoder of protocol/. */
export class XdrError extends Error {
  readonly fault: XdrFault;
  constructor(fault: XdrFault, message: string) {
    super(message);
    this.name = 'XdrError';
    this.fault = fault;
  }
}

/** Bytes that `length` bytes of opaque data take up with their padding, without the length word. */
export function paddedSize(length: number): number {
  return (length + 3) & ~3;
}

const TWO_32 = 0x1_0000_0000;
/** First value of the upper word at which a 64-bit number is no longer a safe integer. */
const UNSAFE_HIGH_WORD = 0x20_0000;
const EMPTY = new Uint8Array(0);

/**
 * Reads one XDR message from a buffer. Each read throws XdrError with fault `truncated` if the message ends before the value
 * does.
 */
export class XdrReader {
  /** The buffer that positions refer to. Views handed out share its memory. */
  bytes: Uint8Array;
  /** Next byte to be read, and the first that belongs to somebody else. Indices into `bytes`. */
  position: number;
  end: number;
  #view: DataView;

  constructor(bytes: Uint8Array = EMPTY, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.end = end;
  }

  /** Reads on in another part of the same buffer, or in another buffer (then, and only then, a new DataView). */
  reset(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.position = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** RFC 4506 §4.2: unsigned integer. */
  u32(): number {
    const at = this.position;
    if (at + 4 > this.end) throw truncated(4, this.end - at);
    this.position = at + 4;
    return this.#view.getUint32(at);
  }

  /** RFC 4506 §4.1: integer. */
  i32(): number {
    const at = this.position;
    if (at + 4 > this.end) throw truncated(4, this.end - at);
    this.position = at + 4;
    return this.#view.getInt32(at);
  }

  /** The word at bytes[at], wherever the reader is; the caller has seen to it that it is there. */
  wordAt(at: number): number {
    return this.#view.getUint32(at);
  }

  /**
   * Tells calls apart, not for good: a sum of 32 bits of the words in bytes[start .. end), what is behind the last whole one left
   * out. Two that differ in one word alone have different sums. `seed`: any 32 bits.
   */
  sum(start: number, end: number, seed: number): number {
    // Four sums in turns: a processor waits for the result of one multiplication before the next of the same sum.
    let [first, second, third, fourth] = [seed, ~seed, seed + 1, ~seed - 1];
    let at = start;
    for (const last = end - 16; at <= last; at += 16) {
      first = mixed(first, this.#view.getInt32(at));
      second = mixed(second, this.#view.getInt32(at + 4));
      third = mixed(third, this.#view.getInt32(at + 8));
      fourth = mixed(fourth, this.#view.getInt32(at + 12));
    }
    for (const last = end - 4; at <= last; at += 4) first = mixed(first, this.#view.getInt32(at));
    return joined(joined(first, second), joined(third, fourth));
  }

  /** RFC 4506 §4.5: unsigned hyper, exactly. */
  u64(): bigint {
    const at = this.position;
    if (at + 8 > this.end) throw truncated(8, this.end - at);
    this.position = at + 8;
    return this.#view.getBigUint64(at);
  }

  /**
   * RFC 4506 §4.5: unsigned hyper as a number, for what a client is told. Everything from 2^53 - 1 upwards reads as
   * Number.MAX_SAFE_INTEGER.
   */
  u64Saturated(): number {
    const at = this.position;
    if (at + 8 > this.end) throw truncated(8, this.end - at);
    this.position = at + 8;
    const high = this.#view.getUint32(at);
    if (high >= UNSAFE_HIGH_WORD) return Number.MAX_SAFE_INTEGER;
    return high * TWO_32 + this.#view.getUint32(at + 4);
  }

  /** RFC 4506 §4.5: unsigned hyper, exactly: a number where that is exact, so that the common case costs no bigint. */
  u64Exact(): number | bigint {
    const at = this.position;
    const value = this.u64Saturated();
    return value === Number.MAX_SAFE_INTEGER ? this.#view.getBigUint64(at) : value;
  }

  /** RFC 4506 §4.4: a boolean is 0 or 1; there is no other truth. */
  bool(): boolean {
    const value = this.u32();
    if (value > 1) throw new XdrError(xdrFault.badBoolean, `a boolean must be 0 or 1, not ${value}`);
    return value === 1;
  }

  /** RFC 4506 §4.3: an enum whose values are 0..last or first..last without a gap. */
  enumWithin(name: string, first: number, last: number): number {
    const value = this.u32();
    if (value < first || value > last) throw new XdrError(xdrFault.badEnum, `${value} is no ${name}`);
    return value;
  }

  /** RFC 4506 §4.9: fixed-length opaque data, as a view. */
  opaqueFixed(length: number): Uint8Array {
    const at = this.position;
    const size = paddedSize(length);
    if (at + size > this.end) throw truncated(size, this.end - at);
    this.position = at + size;
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + at, length);
  }

  /** RFC 4506 §4.10: variable-length opaque data of at most `lengthMax` bytes, as a view. Also §4.11 strings. */
  opaque(lengthMax: number): Uint8Array {
    const length = this.#opaqueLength(lengthMax);
    const at = this.position;
    this.position = at + paddedSize(length);
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + at, length);
  }

  /** Like opaque(), but passes over the data: the position before the call + 4 is where it starts. Returns its length. */
  skipOpaque(lengthMax: number): number {
    const length = this.#opaqueLength(lengthMax);
    this.position += paddedSize(length);
    return length;
  }

  /** Arguments must fill their message: bytes left over mean that the two sides disagree about its layout. */
  expectEnd(): void {
    if (this.position !== this.end) {
      throw new XdrError(
        xdrFault.trailing,
        `${this.end - this.position} bytes follow the end of the message`,
      );
    }
  }

  /** Reads the length word and makes sure that the data and its padding are there. */
  #opaqueLength(lengthMax: number): number {
    const length = this.u32();
    if (length > lengthMax) {
      throw new XdrError(xdrFault.tooLong, `${length} bytes where at most ${lengthMax} are allowed`);
    }
    // Compared before rounding up: paddedSize() works on 32 bits, and 0xfffffffd would become 0 there.
    const left = this.end - this.position;
    if (length > left || paddedSize(length) > left) throw truncated(length, left);
    return length;
  }
}

/** For XdrReader.sum(): two odd numbers. */
const SPREAD = 0x9e3779b1;
const SPREAD_JOINED = 0x85ebca6b;

function mixed(sum: number, word: number): number {
  const product = Math.imul(sum ^ word, SPREAD);
  return product ^ (product >>> 15);
}

/** The second sum is spread in another way: what changes both in the same way does not cancel out. */
function joined(sum: number, other: number): number {
  return mixed(sum, Math.imul(other, SPREAD_JOINED));
}

function truncated(needed: number, left: number): XdrError {
  return new XdrError(xdrFault.truncated, `${needed} bytes needed where ${left} are left`);
}

/** Sizes that writtenNow() keeps a view of. */
const VIEWS_MAX = 256;

/**
 * Packs into one growing buffer. Growing moves it: positions stay valid, views taken before do not see what is
 * written after. Numbers wrap to 32 bits as DataView does; their range is the caller's business.
 */
export class XdrWriter {
  bytes: Uint8Array<ArrayBuffer>;
  /** Next byte to be written, an index into `bytes`. */
  position: number;
  #view: DataView<ArrayBuffer>;
  /** Results of writtenNow(), by size. */
  readonly #views: Map<number, Uint8Array<ArrayBuffer>>;
  /** The buffer that they are views of. */
  #viewed: Uint8Array<ArrayBuffer>;

  constructor(sizeInitial = 4096) {
    this.bytes = new Uint8Array(sizeInitial);
    this.#view = new DataView(this.bytes.buffer);
    this.position = 0;
    this.#views = new Map();
    this.#viewed = this.bytes;
  }

  /** Forgets what was written and keeps the buffer. */
  reset(): void {
    this.position = 0;
  }

  /** Forgets what was written and takes a new buffer: the old one now belongs to the holders of views of it. */
  renew(sizeInitial: number): void {
    this.bytes = new Uint8Array(sizeInitial);
    this.#view = new DataView(this.bytes.buffer);
    this.position = 0;
  }

  /** Gives the memory back at once: left to itself, a thread with nothing to do would not collect it. Nothing is written any more. */
  free(): void {
    this.bytes.buffer.transfer(0);
  }

  /** The bytes written from `start` to here, as a view. */
  written(start = 0): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(start, this.position);
  }

  /**
   * Everything that was written, for those who copy it at once: the view is kept, and given again for the same size. Messages of
   * one kind have few sizes.
   */
  writtenNow(): Uint8Array<ArrayBuffer> {
    const { bytes, position } = this;
    const views = this.#views;
    if (this.#viewed !== bytes || views.size > VIEWS_MAX) {
      views.clear();
      this.#viewed = bytes;
    }
    let view = views.get(position);
    if (view === undefined) {
      view = bytes.subarray(0, position);
      views.set(position, view);
    }
    return view;
  }

  /** Makes room for `size` more bytes, so that `bytes` can be filled in place from `position` on. */
  ensure(size: number): void {
    if (this.position + size > this.bytes.length) this.#grow(size);
  }

  /** RFC 4506 §4.2: unsigned integer, 0 to 2^32 - 1. Other values are stored modulo 2^32. */
  u32(value: number): void {
    const at = this.position;
    if (at + 4 > this.bytes.length) this.#grow(4);
    this.#view.setUint32(at, value);
    this.position = at + 4;
  }

  /** RFC 4506 §4.1: integer, -2^31 to 2^31 - 1. */
  i32(value: number): void {
    this.u32(value);
  }

  /** RangeError unless a number is a safe integer >= 0, because its lower word would be wrong without a sound. */
  u64(value: bigint | number): void {
    const at = this.position;
    if (at + 8 > this.bytes.length) this.#grow(8);
    if (typeof value === 'number') {
      if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER))
        throw new RangeError(`${value} is no 64-bit size`);
      this.#view.setUint32(at, value / TWO_32);
      this.#view.setUint32(at + 4, value >>> 0);
    } else {
      this.#view.setBigUint64(at, value);
    }
    this.position = at + 8;
  }

  /** RFC 4506 §4.4: boolean. */
  bool(value: boolean): void {
    this.u32(value ? 1 : 0);
  }

  /** RFC 4506 §4.9: opaque data of fixed length: the bytes and their padding, without the length. */
  opaqueFixed(data: Uint8Array): void {
    const length = data.length;
    const at = this.position;
    const size = paddedSize(length);
    if (at + size > this.bytes.length) this.#grow(size);
    copyInto(this.bytes, at, data, length);
    this.bytes.fill(0, at + length, at + size);
    this.position = at + size;
  }

  /** RFC 4506 §4.10: opaque data of variable length. The caller keeps to the field's limit. */
  opaque(data: Uint8Array): void {
    this.u32(data.length);
    this.opaqueFixed(data);
  }

  /** Zeros from the end of `length` bytes of opaque data, written in place, to the next word. */
  pad(length: number): void {
    const size = paddedSize(length) - length;
    if (size === 0) return;
    this.ensure(size);
    this.bytes.fill(0, this.position, this.position + size);
    this.position += size;
  }

  /** Overwrites a word written earlier: a length, a count or a flag that was not known then. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  #grow(size: number): void {
    let capacity = Math.max(this.bytes.length * 2, 256);
    while (capacity < this.position + size) capacity *= 2;
    const bytes = new Uint8Array(capacity);
    bytes.set(this.bytes.subarray(0, this.position));
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** Handles and names are short: a loop beats the call into the runtime up to some dozen bytes. */
const LOOP_BYTES_MAX = 48;

function copyInto(target: Uint8Array, at: number, source: Uint8Array, length: number): void {
  if (length > LOOP_BYTES_MAX) {
    target.set(source, at);
    return;
  }
  for (let i = 0; i < length; i++) target[at + i] = source[i]!;
}
