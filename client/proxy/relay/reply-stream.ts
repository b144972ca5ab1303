/**
 * Replies of the servers to one client. Short replies are passed on when they are whole; the data of a long READ goes from socket to
 * socket through a pipe, and never into memory of this process.
 */
import { NativeBuffer } from '../../../native/native-buffer.ts';
import { RecordParser } from '../../../protocol/record.ts';
import { XdrError } from '../../../protocol/xdr.ts';
import { RECORD_SIZE_MAX } from '../../record-connection.ts';
import type { KeptCall } from './kept-calls.ts';
import { PIPE_SIZE, type Pipe, type Pipes } from './pipes.ts';
import { close, errorName, receive, send, splice, WOULD_BLOCK } from './system-calls.ts';

// A READ whose reply has begun to go to the client cannot be answered from its beginning any more. If the connection to the server
// ends in between, the call goes out again before all others and alone. Its second reply is passed on from where the first one
// ended. That is a reply that a server might have given: no READ is atomic, and the attributes, which come first, are not newer
// than the data. If the second reply has another length, the client's connection is reset, and the client sends its calls again.

const LAST_FRAGMENT = 0x8000_0000;
const MARK_SIZE = 4;
/** XID and message type; RFC 5531 §9. Bytes. */
const REPLY_SIZE_MIN = 8;
/** Replies are received so many bytes at once. */
const READ_SIZE = 128 * 1024;
/** The same when a long one is expected, whose data is not to be received. */
const READ_SIZE_BEFORE_LONG = 16 * 1024;
/** A READ's reply that is longer is passed on before it is whole. Bytes. */
const LONG_SIZE = 48 * 1024;
/** To receive and send less than this costs less than to splice it. Bytes. */
const SPLICED_SIZE_MIN = 16 * 1024;
/** Beginnings of replies are kept up to this length as they are; longer ones are put together by a parser. Bytes. */
const TAIL_SIZE_MAX = 64 * 1024;
/** READ3resok up to its data (RFC 1813 §3.3.6) behind the mark, the header with an empty verifier and the attributes. Bytes. */
const HEAD_SIZE = 132;
/** Place and size of the attributes in it, if there are any. */
const ATTRIBUTES_FOLLOW_AT = 32;
const ATTRIBUTES_AT = 36;
const ATTRIBUTES_SIZE = 84;

/** Memory of a thread, in use only while bytes go through it. */
export const replyMemory = (): NativeBuffer => new NativeBuffer(TAIL_SIZE_MAX + READ_SIZE);

export interface ReplyOwner {
  readonly clientFd: number;
  /** The call that a reply answers; null: the reply is not for the client; a string: the connection is to be ended for it. */
  callOf(key: number): KeptCall | null | string;
  /** The whole reply has come. It lies in bytes[start .. end), or has passed by (null). */
  answered(call: KeptCall, bytes: Uint8Array | null, start: number, end: number): void;
  /** The client does not take what it is sent: no more is to be received until drain() has returned true. */
  clientIsFull(): void;
  /** Nothing more can be sent to the client. */
  clientFailed(reason: string): void;
}

/** The reply to a READ that is passed on as it comes. */
interface Passing {
  readonly call: KeptCall;
  readonly size: number;
  readonly head: Uint8Array;
  /** Bytes of it that have not come yet. */
  left: number;
  /** This many of the next bytes have been passed on already. */
  skip: number;
}

interface Interrupted {
  readonly call: KeptCall;
  readonly size: number;
  readonly head: Uint8Array;
  readonly delivered: number;
}

export class ReplyStream {
  readonly #owner: ReplyOwner;
  readonly #pipes: Pipes;
  readonly #memory: NativeBuffer;
  /** For the client, who has no room for it. */
  #waiting: Uint8Array | null = null;
  #pipe: Pipe | null = null;
  #tail: Uint8Array | null = null;
  #parser: RecordParser | null = null;
  #passing: Passing | null = null;
  #interrupted: Interrupted | null = null;
  #expectsLong = false;
  #failed = false;

  constructor(owner: ReplyOwner, pipes: Pipes, memory: NativeBuffer) {
    this.#owner = owner;
    this.#pipes = pipes;
    this.#memory = memory;
  }

  /** The client has not taken all of what it was sent. */
  get isBlocked(): boolean {
    return this.#waiting !== null || (this.#pipe !== null && this.#pipe.filled > 0);
  }

  /** The call whose reply had begun to be passed on when the connection ended. */
  get interruptedCall(): KeptCall | null {
    return this.#interrupted?.call ?? null;
  }

  /** Receives what there is, once. Returns null, or why the connection is over. */
  receive(fd: number): string | null {
    if (this.#passing !== null) return this.#pass(fd, this.#passing);
    const memory = this.#memory;
    const kept = this.#tail?.length ?? 0;
    const size = this.#expectsLong ? READ_SIZE_BEFORE_LONG : READ_SIZE;
    const received = receive(fd, memory.address + kept, size);
    if (received <= 0) return endOf(received);
    if (this.#parser !== null) return this.#collect(this.#parser, memory.bytes, received);
    if (this.#tail !== null) memory.bytes.set(this.#tail);
    this.#tail = null;
    return this.#parse(fd, kept + received);
  }

  /** Sends the client what waits for it. True: nothing waits any more. */
  drain(): boolean {
    const waiting = this.#waiting;
    if (waiting !== null) {
      this.#waiting = null;
      this.#sendCopy(waiting);
    }
    return this.#waiting === null && this.#drainPipe();
  }

  /** The connection to the server has ended. */
  detach(): void {
    const passing = this.#passing;
    if (passing !== null) {
      const { call, size, head, left, skip } = passing;
      this.#interrupted = { call, size, head, delivered: size - left + skip };
    }
    this.#passing = null;
    this.#tail = null;
    this.#parser = null;
    this.#expectsLong = false;
  }

  close(): void {
    this.#failed = true;
    this.#waiting = null;
    const pipe = this.#pipe;
    this.#pipe = null;
    if (pipe === null) return;
    if (pipe.filled > 0) this.#pipes.destroy(pipe, close);
    else this.#pipes.giveBack(pipe);
  }

  #parse(fd: number, end: number): string | null {
    const { view, bytes } = this.#memory;
    let at = 0;
    /** Begin of the bytes that are passed on. */
    let from = 0;
    while (end - at >= MARK_SIZE + REPLY_SIZE_MIN) {
      const mark = view.getUint32(at);
      if (mark < LAST_FRAGMENT) break;
      const size = mark - LAST_FRAGMENT + MARK_SIZE;
      if (size < MARK_SIZE + REPLY_SIZE_MIN) return `the server sent a reply of ${size - MARK_SIZE} bytes`;
      if (size > RECORD_SIZE_MAX) return `the server sent a record of ${size} bytes`;
      const key = view.getInt32(at + MARK_SIZE);
      if (this.#interrupted?.call.key === key) {
        this.#sendRun(from, at, false);
        return this.#resume(fd, this.#interrupted, at, end, size);
      }
      if (size > end - at) break;
      const call = this.#owner.callOf(key);
      if (typeof call === 'string') return call;
      if (call === null) {
        this.#sendRun(from, at, false);
        from = at + size;
      } else {
        this.#owner.answered(call, bytes, at + MARK_SIZE, at + size);
      }
      if (this.#failed) return null;
      at += size;
    }
    if (at === end) {
      this.#expectsLong = false;
      this.#sendRun(from, at, false);
      return null;
    }
    return this.#parseLast(fd, from, at, end);
  }

  /** bytes[at .. end) is the beginning of a reply. */
  #parseLast(fd: number, from: number, at: number, end: number): string | null {
    const { view, bytes } = this.#memory;
    const rest = end - at;
    const mark = rest >= MARK_SIZE ? view.getUint32(at) : LAST_FRAGMENT;
    const size = mark - LAST_FRAGMENT + MARK_SIZE;
    if (size > LONG_SIZE && rest >= HEAD_SIZE) {
      const call = this.#owner.callOf(view.getInt32(at + MARK_SIZE));
      if (typeof call === 'string') return call;
      if (call?.isRead === true) {
        this.#sendRun(from, end, true);
        this.#expectsLong = true;
        const head = bytes.slice(at, at + HEAD_SIZE);
        return this.#begin(fd, { call, size, head, left: size - rest, skip: 0 });
      }
    }
    this.#sendRun(from, at, false);
    const isShort = mark >= LAST_FRAGMENT && rest < TAIL_SIZE_MAX;
    if (isShort) {
      this.#tail = bytes.slice(at, end);
      return null;
    }
    this.#parser = new RecordParser(RECORD_SIZE_MAX);
    return this.#collect(this.#parser, bytes.slice(at, end), rest);
  }

  /** A long reply that is no READ's, or one in fragments. */
  #collect(parser: RecordParser, bytes: Uint8Array, received: number): string | null {
    try {
      parser.push(bytes, received);
      while (!this.#failed && parser.next()) {
        const { bytes: from, position, end } = parser.record;
        const size = end - position;
        if (size < REPLY_SIZE_MIN) return `the server sent a reply of ${size} bytes`;
        const record = Buffer.allocUnsafeSlow(MARK_SIZE + size);
        record.writeUInt32BE(LAST_FRAGMENT + size);
        record.set(from.subarray(position, end), MARK_SIZE);
        // The bytes behind it lie in memory that is needed to send it.
        parser.retain();
        const call = this.#owner.callOf(record.readInt32BE(MARK_SIZE));
        if (typeof call === 'string') return call;
        if (call === null) continue;
        const { delivered = 0 } = this.#interrupted?.call === call ? this.#interrupted : {};
        if (delivered > 0 && !this.#fits(this.#interrupted!, record, record.length)) return null;
        if (delivered > 0) this.#interrupted = null;
        this.#owner.answered(call, record, MARK_SIZE, record.length);
        if (!this.#failed) this.#sendCopy(record.subarray(delivered));
      }
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      return `the server sent no valid RPC message: ${error.message}`;
    }
    if (!parser.isInRecord) this.#parser = null;
    return null;
  }

  /** The second reply to a call whose first one was passed on in part begins at `at`. */
  #resume(fd: number, interrupted: Interrupted, at: number, end: number, size: number): string | null {
    const { bytes } = this.#memory;
    const rest = Math.min(size, end - at);
    if (rest < HEAD_SIZE && rest < size) {
      this.#tail = bytes.slice(at, end);
      return null;
    }
    const call = this.#owner.callOf(interrupted.call.key);
    if (typeof call === 'string') return call;
    if (!this.#fits(interrupted, bytes.subarray(at), size)) return null;
    this.#interrupted = null;
    const { delivered, head } = interrupted;
    if (rest > delivered) this.#sendRun(at + delivered, at + rest, rest < size);
    if (rest < size) {
      const skip = Math.max(0, delivered - rest);
      return this.#begin(fd, { call: interrupted.call, size, head, left: size - rest, skip });
    }
    this.#owner.answered(interrupted.call, bytes, at + MARK_SIZE, at + size);
    if (this.#failed || at + size === end) return null;
    // Only replies to calls of the proxy's own may follow so soon.
    this.#tail = bytes.slice(at + size, end);
    return null;
  }

  /** Can the reply go on where the one before it ended? If not, the client is ended. */
  #fits({ head, size }: Interrupted, reply: Uint8Array, replySize: number): boolean {
    const hasAttributes = head[ATTRIBUTES_FOLLOW_AT + 3] === 1;
    const behind = hasAttributes ? ATTRIBUTES_AT + ATTRIBUTES_SIZE : ATTRIBUTES_AT;
    const same = (start: number, end: number) =>
      Buffer.compare(head.subarray(start, end), reply.subarray(start, end)) === 0;
    if (replySize === size && same(0, ATTRIBUTES_AT) && same(behind, HEAD_SIZE)) return true;
    this.#fail('the other server answered a READ, whose reply was under way, with another length');
    return false;
  }

  #begin(fd: number, passing: Passing): string | null {
    this.#passing = passing;
    return this.#failed || this.isBlocked ? null : this.#pass(fd, passing);
  }

  #pass(fd: number, passing: Passing): string | null {
    const memory = this.#memory;
    if (passing.skip > 0) {
      const skipped = receive(fd, memory.address, Math.min(passing.skip, READ_SIZE));
      if (skipped <= 0) return endOf(skipped);
      passing.skip -= skipped;
      passing.left -= skipped;
    } else if (passing.left >= SPLICED_SIZE_MIN && (this.#pipe ??= this.#pipes.take()) !== null) {
      const moved = splice(fd, this.#pipe.to, Math.min(passing.left, PIPE_SIZE), true);
      if (moved <= 0) return endOf(moved);
      this.#pipe.filled += moved;
      passing.left -= moved;
      this.#drainPipe();
    } else {
      const received = receive(fd, memory.address, Math.min(passing.left, READ_SIZE));
      if (received <= 0) return endOf(received);
      passing.left -= received;
      this.#sendRun(0, received, passing.left > 0);
    }
    if (passing.left > 0 || this.#failed) return null;
    this.#passing = null;
    this.#releasePipe();
    this.#owner.answered(passing.call, null, 0, 0);
    return null;
  }

  /** True: it is empty. */
  #drainPipe(): boolean {
    const pipe = this.#pipe;
    if (pipe === null) return true;
    while (pipe.filled > 0) {
      const more = (this.#passing?.left ?? 0) > 0;
      const moved = splice(pipe.from, this.#owner.clientFd, pipe.filled, more);
      if (moved === WOULD_BLOCK) {
        this.#owner.clientIsFull();
        return false;
      }
      if (moved <= 0) {
        this.#fail(errorName(moved));
        return false;
      }
      pipe.filled -= moved;
    }
    this.#releasePipe();
    return true;
  }

  #releasePipe(): void {
    if (this.#pipe === null || this.#pipe.filled > 0 || this.#passing !== null) return;
    this.#pipes.giveBack(this.#pipe);
    this.#pipe = null;
  }

  /** Sends from the memory of the thread. */
  #sendRun(start: number, end: number, more: boolean): void {
    if (start === end || this.#failed) return;
    const { address, bytes } = this.#memory;
    if (this.#waiting !== null) {
      this.#waiting = Buffer.concat([this.#waiting, bytes.subarray(start, end)]);
      return;
    }
    const sent = send(this.#owner.clientFd, address + start, end - start, more);
    this.#keepUnsent(bytes, start + Math.max(0, sent), end, sent);
  }

  /** Sends from other memory, as much at a time as the thread's memory holds. */
  #sendCopy(record: Uint8Array): void {
    if (this.#waiting !== null) {
      this.#waiting = Buffer.concat([this.#waiting, record]);
      return;
    }
    const { bytes: room, address } = this.#memory;
    for (let at = 0; at < record.length; ) {
      const size = Math.min(record.length - at, room.length);
      room.set(record.subarray(at, at + size));
      const sent = send(this.#owner.clientFd, address, size);
      at += Math.max(0, sent);
      if (sent === size) continue;
      this.#keepUnsent(record, at, record.length, sent);
      return;
    }
  }

  #keepUnsent(bytes: Uint8Array, at: number, end: number, sent: number): void {
    if (sent < 0 && sent !== WOULD_BLOCK) {
      this.#fail(errorName(sent));
      return;
    }
    if (at === end) return;
    this.#waiting = bytes.slice(at, end);
    this.#owner.clientIsFull();
  }

  #fail(reason: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#owner.clientFailed(reason);
  }
}

function endOf(received: number): string | null {
  if (received === WOULD_BLOCK) return null;
  return received === 0 ? 'the server closed the connection' : errorName(received);
}
