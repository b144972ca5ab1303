/**
 * Calls of a client: they are received into the slabs, where they stay. Messages that are no calls, and other calls with the
 * XID of an unanswered one, end the client.
 */
import type { NativeBuffer } from '../../../native/native-buffer.ts';
import { NFS_PROGRAM, NFS_V3, NFS3_RECORD_SIZE_MAX, nfsproc3 } from '../../../protocol/nfs3.ts';
import { RecordParser } from '../../../protocol/record.ts';
import { AUTH_BODY_SIZE_MAX, CallHeader, decodeCallHeader } from '../../../protocol/rpc.ts';
import { paddedSize, XdrError, XdrReader } from '../../../protocol/xdr.ts';
import type { CallSlabs, Slab } from './call-slabs.ts';
import { KeptCall, type KeptCalls } from './kept-calls.ts';
import { errorName, receive, WOULD_BLOCK } from './system-calls.ts';

const LAST_FRAGMENT = 0x8000_0000;
const MARK_SIZE = 4;
/** XID and message type. */
const MESSAGE_SIZE_MIN = 8;
/** Bytes that are received at once. Longer calls are sent before they have arrived whole. */
export const READ_SIZE = 64 * 1024;
/** A call that came in fragments gets this much of a slab. Bytes. */
const HEAD_SIZE_MAX = READ_SIZE;

export interface CallCounts {
  calls: number;
  /** Calls that the client sent again while the first was unanswered; not forwarded. */
  repeated: number;
}

export class CallStream {
  readonly #slabs: CallSlabs;
  readonly #calls: KeptCalls;
  readonly #counts: CallCounts;
  readonly #scratch: NativeBuffer;
  readonly #reader = new XdrReader();
  readonly #header = new CallHeader();
  /** The beginning of a short call. */
  #tail: Uint8Array | null = null;
  /** While a call arrives in fragments. */
  #fragments: RecordParser | null = null;
  /** A long call that arrives. */
  #long: KeptCall | null = null;
  /** The call of which it is a repetition. */
  #longRepeats: KeptCall | null = null;

  /** scratch: READ_SIZE bytes at least; in use only while a function of this class runs. */
  constructor(slabs: CallSlabs, calls: KeptCalls, counts: CallCounts, scratch: NativeBuffer) {
    this.#slabs = slabs;
    this.#calls = calls;
    this.#counts = counts;
    this.#scratch = scratch;
  }

  /** In the middle of a long call, some of which has been sent. */
  get isInLongCall(): boolean {
    return this.#long !== null;
  }

  /** Receives what there is, once. Returns null, or why the client is to be ended. */
  receive(fd: number): string | null {
    try {
      if (this.#long !== null) return this.#receiveLong(fd, this.#long);
      if (this.#fragments !== null) return this.#receiveFragments(fd, this.#fragments);
      return this.#receiveCalls(fd);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      return `the client sent no valid RPC message: ${error.message}`;
    }
  }

  /** Gives its memory back. */
  close(): void {
    if (this.#long === null || this.#longRepeats === null) return;
    this.#release(this.#long);
    this.#long = null;
  }

  #receiveCalls(fd: number): string | null {
    const tail = this.#tail;
    const kept = tail?.length ?? 0;
    const slab = this.#slabs.withRoom(READ_SIZE + kept);
    const start = slab.used;
    const received = receive(fd, slab.address + start + kept, READ_SIZE);
    if (received <= 0) return endOf(received);
    if (tail !== null) slab.bytes.set(tail, start);
    this.#tail = null;
    return this.#parse(slab, start, start + kept + received);
  }

  #parse(slab: Slab, start: number, end: number): string | null {
    const { view } = slab;
    let at = start;
    while (end - at >= MARK_SIZE) {
      const mark = view.getUint32(at);
      if (mark < LAST_FRAGMENT) {
        this.#fragments = new RecordParser(NFS3_RECORD_SIZE_MAX);
        return this.#collect(this.#fragments, slab.bytes.slice(at, end), end - at);
      }
      const size = mark - LAST_FRAGMENT + MARK_SIZE;
      const fault = faultOf(size);
      if (fault !== null) return fault;
      const available = end - at;
      if (available < size) {
        if (size <= READ_SIZE || !hasHeader(view, at, available)) break;
        return this.#beginLong(slab, at, available, size);
      }
      const why = this.#take(slab, at, size);
      if (why !== null) return why;
      at += size;
    }
    if (at < end) this.#tail = slab.bytes.slice(at, end);
    return null;
  }

  /** A whole call lies in the slab. */
  #take(slab: Slab, at: number, size: number): string | null {
    const header = this.#decode(slab.bytes, at, size);
    const before = this.#calls.get(header.xid | 0);
    if (before !== undefined) {
      return this.#isRepeated(before, [slab.bytes.subarray(at, at + size)]);
    }
    this.#calls.add(new KeptCall(header.xid | 0, size, slab, at, size, null, isRead(header), false));
    slab.used = at + size;
    return null;
  }

  #beginLong(slab: Slab, at: number, available: number, size: number): null {
    const header = this.#decode(slab.bytes, at, available);
    const key = header.xid | 0;
    const body = this.#slabs.takeBody(size - available);
    const call = new KeptCall(key, size, slab, at, available, body, isRead(header), false);
    slab.used = at + available;
    const before = this.#calls.get(key);
    if (before === undefined) this.#calls.add(call);
    else this.#slabs.keep(slab, available);
    this.#long = call;
    this.#longRepeats = before ?? null;
    return null;
  }

  #receiveLong(fd: number, call: KeptCall): string | null {
    const at = call.received - call.headSize;
    const received = receive(fd, call.body!.address + at, call.size - call.received);
    if (received <= 0) return endOf(received);
    call.received += received;
    return call.isWhole ? this.#endLong(call) : null;
  }

  #endLong(call: KeptCall): string | null {
    const before = this.#longRepeats;
    this.#long = null;
    this.#longRepeats = null;
    if (before === null) return null;
    const why = this.#isRepeated(before, partsOf(call));
    this.#release(call);
    return why;
  }

  #receiveFragments(fd: number, parser: RecordParser): string | null {
    const { address, bytes } = this.#scratch;
    const received = receive(fd, address, READ_SIZE);
    return received <= 0 ? endOf(received) : this.#collect(parser, bytes, received);
  }

  /** However many fragments a call comes in, it goes on in one. */
  #collect(parser: RecordParser, bytes: Uint8Array, size: number): string | null {
    parser.push(bytes, size);
    while (parser.next()) {
      const why = this.#store(parser.record);
      if (why !== null) return why;
    }
    if (!parser.isInRecord) this.#fragments = null;
    return null;
  }

  #store(message: XdrReader): string | null {
    const size = message.remaining + MARK_SIZE;
    const fault = faultOf(size);
    if (fault !== null) return fault;
    const { bytes, position } = message;
    const headSize = Math.min(size, HEAD_SIZE_MAX);
    const slab = this.#slabs.withRoom(headSize);
    const start = slab.used;
    slab.view.setUint32(start, LAST_FRAGMENT + size - MARK_SIZE);
    slab.bytes.set(bytes.subarray(position, position + headSize - MARK_SIZE), start + MARK_SIZE);
    if (headSize === size) return this.#take(slab, start, size);
    this.#beginLong(slab, start, headSize, size);
    const call = this.#long!;
    call.body!.bytes.set(bytes.subarray(position + headSize - MARK_SIZE, position + size - MARK_SIZE));
    call.received = size;
    return this.#endLong(call);
  }

  #decode(bytes: Uint8Array, at: number, size: number): CallHeader {
    this.#reader.reset(bytes, at + MARK_SIZE, at + size);
    decodeCallHeader(this.#reader, this.#header);
    this.#counts.calls += 1;
    return this.#header;
  }

  /** A client that waits long sends a call again, with the same bytes. Another call with its XID can't be told apart. */
  #isRepeated(before: KeptCall, parts: readonly Uint8Array[]): string | null {
    this.#counts.repeated += 1;
    if (Buffer.concat(parts).equals(Buffer.concat(partsOf(before)))) return null;
    return `the client used XID ${before.key >>> 0} for another call while it was unanswered`;
  }

  #release({ slab, headSize, body }: KeptCall): void {
    this.#slabs.release(slab, headSize);
    this.#slabs.releaseBody(body!);
  }
}

function partsOf(call: KeptCall): readonly Uint8Array[] {
  const head = call.head();
  return call.body === null ? [head] : [head, call.body.bytes.subarray(0, call.size - call.headSize)];
}

function endOf(received: number): string | null {
  if (received === WOULD_BLOCK) return null;
  return received === 0 ? 'the client closed the connection' : errorName(received);
}

function faultOf(size: number): string | null {
  if (size < MARK_SIZE + MESSAGE_SIZE_MIN) return `the client sent a message of ${size - MARK_SIZE} bytes`;
  if (size <= NFS3_RECORD_SIZE_MAX + MARK_SIZE) return null;
  return `the client sent a record of ${size - MARK_SIZE} bytes where ${NFS3_RECORD_SIZE_MAX} are allowed`;
}

/** RFC 5531 §9: credential and verifier follow six words, each a flavor, a length and a body. */
const CREDENTIAL_AT = 28;

/** Is the header of the call at `at` there? Where a length is beyond its limit no more is needed. */
function hasHeader(view: DataView, at: number, available: number): boolean {
  let end = CREDENTIAL_AT;
  for (let i = 0; i < 2; i++) {
    if (available < end + 8) return false;
    const size = view.getUint32(at + end + 4);
    if (size > AUTH_BODY_SIZE_MAX) return true;
    end += 8 + paddedSize(size);
  }
  return available >= end;
}

function isRead({ prog, vers, proc }: CallHeader): boolean {
  return prog === NFS_PROGRAM && vers === NFS_V3 && proc === nfsproc3.READ;
}
