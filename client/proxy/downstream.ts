/** One NFS client's connection through the proxy, and its own connection to the pair behind it. */
import type { Socket } from 'node:net';
import { NFS3_RECORD_SIZE_MAX } from '../../protocol/nfs3.ts';
import { RecordParser } from '../../protocol/record.ts';
import { CALL, CallHeader, decodeCallHeader } from '../../protocol/rpc.ts';
import { XdrError, type XdrReader } from '../../protocol/xdr.ts';
import { FailoverConnection, type FailoverConnectionOptions } from '../failover-connection.ts';
import { CALL_COST, type CallMemory, type MemoryUser } from './call-memory.ts';
import { type ConnectionTable, EndWatch, endsOf } from './connection-table.ts';
import type { ClientCounts, ProxiedClient } from './proxied-client.ts';
import type { ProxyFigures } from './proxy-figures.ts';

//   client  ==records==>  [ unanswered calls ]  ==records==>  serving port, whichever it is
//           <==records==                        <==records==
//
// One upstream for each downstream: XIDs stay as the client chose them, so that the servers recognise a resent
// call, and two clients with the same XID never meet. The client sees one connection that is sometimes slow: it
// is not closed by a takeover or a giveback, it only ends when the client ends it.
//
// Memory is bounded (call-memory.ts): calls beyond the limit stay in the client's socket, replies that the
// client does not read stay in the server's. A socket that is not read does not tell of its end: the proxy asks the kernel
// instead (isUnread, endIfClosed), since no call of a client that has ended may go out again.

/** RFC 5531 §11: top bit of a record mark, "last fragment". */
const LAST_FRAGMENT = 0x8000_0000;
const MARK_SIZE = 4;
/** A reply up to this size is sent in one piece with its mark: to copy it costs less than to write twice. Bytes. */
const COPIED_SIZE_MAX = 2048;
/** XID and message type. */
const MESSAGE_SIZE_MIN = 8;

/** Works on any Uint8Array. Unlike set() it takes no view, which is an object for each message. */
const { copy } = Buffer.prototype;

export interface DownstreamOptions {
  readonly upstream: Omit<FailoverConnectionOptions, 'onReply' | 'onRefused'>;
  readonly memory: CallMemory;
  readonly figures: ProxyFigures;
  /** Its calls wait in its socket now, which therefore is not read. */
  readonly onUnread: () => void;
  /** Once, when everything of this connection is gone. */
  readonly onEnd: (reason: string) => void;
}

export class Downstream implements MemoryUser, ProxiedClient {
  readonly counts: ClientCounts = { calls: 0, replies: 0, repeated: 0 };
  readonly #socket: Socket;
  /** Takes records up to the size that the servers take, so that they have to refuse no call. */
  readonly #parser = new RecordParser(NFS3_RECORD_SIZE_MAX);
  readonly #header = new CallHeader();
  readonly #upstream: FailoverConnection;
  readonly #memory: CallMemory;
  readonly #onUnread: () => void;
  readonly #onEnd: (reason: string) => void;
  readonly #endWatch: EndWatch;
  /** Bytes of memory that its unanswered calls take. */
  heldSize = 0;
  #readingPaused = false;
  #corked = false;
  #calledAtMs = performance.now();
  #ended = false;

  constructor(socket: Socket, options: DownstreamOptions) {
    this.#socket = socket;
    this.#onUnread = options.onUnread;
    this.#onEnd = options.onEnd;
    this.#endWatch = new EndWatch(...endsOf(socket));
    this.#memory = options.memory;
    this.#memory.add(this);
    this.#upstream = new FailoverConnection({
      ...options.upstream,
      onReply: (_xid, reply, callSize, begunAtMs) => {
        options.figures.answered(performance.now() - begunAtMs);
        this.#deliver(reply, callSize + CALL_COST);
      },
      onRefused: () => this.#end('the server closes the connection instead of an answer'),
    });
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('drain', () => this.#upstream.resume());
    // TCP cannot tell a client that is gone from one that only has no more to say. No NFS client waits for replies
    // after its FIN; but one that came back on a new connection would suffer from an old WRITE resent here.
    socket.on('end', () => this.#end('the client closed the connection'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
    socket.on('close', () => this.#end('the client closed the connection'));
    this.#upstream.start();
    socket.resume();
  }

  /** Ends both sides at once; for the proxy's own end. */
  close(): void {
    this.#end('the proxy ends');
  }

  /** The same client is here again, on a new connection from the same port: this one is over. */
  supersede(): void {
    this.#end('the client came back on a new connection');
  }

  /** True while calls wait in the socket and nobody would notice its end. */
  get isUnread(): boolean {
    return this.#readingPaused && !this.#ended;
  }

  endIfClosed(table: ConnectionTable): void {
    if (this.isUnread && this.#endWatch.hasEnded(table)) this.#end('the client closed the connection');
  }

  /** Ends a connection to which nothing is owed: its client comes again when it has a call. */
  makeRoom(): void {
    this.#end('unused for long, and there was no room for others');
  }

  /** When the oldest unanswered call was sent, on performance.now(); null: none is unanswered. */
  get pendingSinceMs(): number | null {
    return this.#upstream.pendingSinceMs;
  }

  /** Bytes of unanswered calls. */
  get pendingSize(): number {
    return this.#upstream.pendingSize;
  }

  /** Nothing is owed to the client, and it has not called for this time. `now`: ms of performance.now(). */
  isIdle(now: number, idleMs: number): boolean {
    return this.#upstream.pendingCount === 0 && now - this.#calledAtMs >= idleMs;
  }

  /** There is room for calls again. */
  resume(): void {
    if (!this.#readingPaused) return;
    this.#readingPaused = false;
    this.#socket.resume();
  }

  #receive(chunk: Uint8Array): void {
    const parser = this.#parser;
    try {
      parser.push(chunk);
      while (!this.#ended && parser.next()) this.#forward(parser.record);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.#end(`the client sent no valid RPC message: ${error.message}`);
    }
    this.#calledAtMs = performance.now();
    if (!this.#ended && !this.#readingPaused && this.#memory.isFull(this)) {
      this.#readingPaused = true;
      this.#memory.waitForRoom(this);
      this.#socket.pause();
      this.#onUnread();
    }
  }

  #forward(message: XdrReader): void {
    const size = message.remaining;
    const start = message.position;
    if (size < MESSAGE_SIZE_MIN) {
      this.#end(`the client sent a message of ${size} bytes`);
      return;
    }
    const xid = message.u32();
    const type = message.u32();
    if (type !== CALL) {
      this.#end(`the client sent a message of type ${type} instead of a call`);
      return;
    }
    // A message that is no call would end a connection, and be sent again forever.
    message.position = start;
    decodeCallHeader(message, this.#header);
    this.counts.calls += 1;
    const pending = this.#upstream.pendingRecord(xid);
    if (pending !== null) {
      this.#repeat(xid, message.bytes.subarray(start, start + size), pending);
      return;
    }
    // A copy of our own: the call is kept until it is answered, and must not keep a whole received chunk with it.
    // However many fragments it came in, it goes on in one.
    const record = Buffer.allocUnsafeSlow(MARK_SIZE + size);
    record.writeUInt32BE(LAST_FRAGMENT + size, 0);
    copy.call(message.bytes as Buffer, record, MARK_SIZE, start, start + size);
    this.#upstream.send(xid, record);
    this.#hold(record.length + CALL_COST);
  }

  /** A client that waits long sends a call again, with the same bytes. Another call with its XID can't be told apart. */
  #repeat(xid: number, message: Uint8Array, pending: Uint8Array): void {
    this.counts.repeated += 1;
    if (Buffer.compare(message, pending.subarray(MARK_SIZE)) === 0) return;
    this.#end(`the client used XID ${xid} for another call while it was unanswered`);
  }

  #deliver(reply: XdrReader, replied: number): void {
    this.counts.replies += 1;
    const socket = this.#socket;
    const size = reply.remaining;
    const whole = size <= COPIED_SIZE_MAX;
    const record = Buffer.allocUnsafe(whole ? MARK_SIZE + size : MARK_SIZE);
    record.writeUInt32BE(LAST_FRAGMENT + size, 0);
    const { bytes, position } = reply;
    if (whole) copy.call(bytes as Buffer, record, MARK_SIZE, position, position + size);
    this.#cork();
    let room = socket.write(record);
    if (!whole) room = socket.write(bytes.subarray(position, position + size));
    if (!room) this.#upstream.pause();
    this.#hold(-replied);
  }

  /** Replies from one read of the server's socket go to the client together. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #hold(size: number): void {
    this.heldSize += size;
    this.#memory.changed(size);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#memory.remove(this);
    this.#upstream.close();
    this.#socket.destroy();
    this.#onEnd(reason);
  }
}
