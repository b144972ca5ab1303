// One NFS client's connection through the proxy, and its own connection to the pair behind it.
//
//   client  ==records==>  [ unanswered calls ]  ==records==>  serving port, whichever it is
//           <==records==                        <==records==
//
// One upstream for each downstream: XIDs stay as the client chose them, so that the servers recognise a resent
// call, and two clients with the same XID never meet. The client sees one connection that is sometimes slow: it
// is not closed by a takeover or a giveback, it only ends when the client ends it.
//
// What is in memory is bounded: calls beyond the limit stay in the client's socket, replies that the client does
// not read stay in the server's. A socket that is not read does not tell of its end: the proxy asks the kernel
// instead (isUnread, endIfClosed), since no call of a client that has ended may go out again.
import type { Socket } from 'node:net';
import { RecordParser } from '../../protocol/record.ts';
import { CALL } from '../../protocol/rpc.ts';
import { XdrError, type XdrReader } from '../../protocol/xdr.ts';
import { FailoverConnection, type FailoverConnectionOptions } from '../failover-connection.ts';
import { RECORD_SIZE_MAX } from '../record-connection.ts';
import { type ConnectionTable, type Endpoint, endOf } from './connection-table.ts';

/** Unanswered calls of one client that are kept to be resent, in bytes: sixteen WRITEs of the largest size. */
export const PENDING_SIZE_MAX = 16 * 1024 * 1024;

/** A client whose machine vanished is noticed after this time and ten probes, a second apart. Ms. */
const KEEP_ALIVE_MS = 10_000;

/** RFC 5531 §11: top bit of a record mark, "last fragment". */
const LAST_FRAGMENT = 0x8000_0000;
const MARK_SIZE = 4;
/** XID and message type. */
const MESSAGE_SIZE_MIN = 8;

export interface DownstreamCounts {
  calls: number;
  replies: number;
  /** Calls that the client sent again while the first was unanswered; not forwarded. */
  repeated: number;
}

export interface DownstreamOptions {
  readonly upstream: Omit<FailoverConnectionOptions, 'onReply'>;
  readonly pendingSizeMax?: number | undefined;
  /** Its calls wait in its socket now, which therefore is not read. */
  readonly onUnread: () => void;
  /** Once, when everything of this connection is gone. */
  readonly onEnd: (reason: string) => void;
}

export class Downstream {
  readonly counts: DownstreamCounts = { calls: 0, replies: 0, repeated: 0 };
  private readonly socket: Socket;
  private readonly parser = new RecordParser(RECORD_SIZE_MAX);
  private readonly upstream: FailoverConnection;
  private readonly pendingSizeMax: number;
  private readonly onUnread: () => void;
  private readonly onEnd: (reason: string) => void;
  private readonly ours: Endpoint;
  private readonly client: Endpoint;
  private readingPaused = false;
  /** How often in a row the kernel did not name the connection. */
  private absences = 0;
  private ended = false;

  constructor(socket: Socket, options: DownstreamOptions) {
    this.socket = socket;
    this.onUnread = options.onUnread;
    this.onEnd = options.onEnd;
    this.ours = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
    this.client = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.pendingSizeMax = options.pendingSizeMax ?? PENDING_SIZE_MAX;
    this.upstream = new FailoverConnection({
      ...options.upstream,
      onReply: (_xid, reply) => this.deliver(reply),
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (chunk: Uint8Array) => this.receive(chunk));
    socket.on('drain', () => this.upstream.resume());
    // TCP cannot tell a client that is gone from one that only has no more to say. No NFS client waits for replies
    // after its FIN; but one that came back on a new connection would suffer from an old WRITE resent here.
    socket.on('end', () => this.end('the client closed the connection'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.end(error.code ?? error.message));
    socket.on('close', () => this.end('the client closed the connection'));
    this.upstream.start();
  }

  /** Ends both sides at once; for the proxy's own end. */
  close(): void {
    this.end('the proxy ends');
  }

  /** The same client is here again, on a new connection from the same port: this one is over. */
  supersede(): void {
    this.end('the client came back on a new connection');
  }

  /** True while calls wait in the socket and nobody would notice its end. */
  get isUnread(): boolean {
    return this.readingPaused && !this.ended;
  }

  endIfClosed(table: ConnectionTable): void {
    if (!this.isUnread) return;
    const end = endOf(table, this.ours, this.client);
    this.absences = end === 'Absent' ? this.absences + 1 : 0;
    if (end === 'Ended' || this.absences > 1) this.end('the client closed the connection');
  }

  /** Bytes of unanswered calls. */
  get pendingSize(): number {
    return this.upstream.pendingSize;
  }

  private receive(chunk: Uint8Array): void {
    const { parser } = this;
    try {
      parser.push(chunk);
      while (!this.ended && parser.next()) this.forward(parser.record);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.end(`the client sent what is no RPC: ${error.message}`);
    }
    if (!this.readingPaused && this.upstream.pendingSize >= this.pendingSizeMax) {
      this.readingPaused = true;
      this.socket.pause();
      this.onUnread();
    }
  }

  private forward(message: XdrReader): void {
    const size = message.remaining;
    const start = message.position;
    if (size < MESSAGE_SIZE_MIN) {
      this.end(`the client sent a message of ${size} bytes`);
      return;
    }
    const xid = message.u32();
    const type = message.u32();
    if (type !== CALL) {
      this.end(`the client sent a message of type ${type} instead of a call`);
      return;
    }
    this.counts.calls += 1;
    if (this.upstream.isPending(xid)) {
      this.counts.repeated += 1;
      return;
    }
    // A copy of our own: the call is kept until it is answered, and must not keep a whole received chunk with it.
    // However many fragments it came in, it goes on in one.
    const record = Buffer.allocUnsafeSlow(MARK_SIZE + size);
    record.writeUInt32BE(LAST_FRAGMENT + size, 0);
    record.set(message.bytes.subarray(start, start + size), MARK_SIZE);
    this.upstream.send(xid, record);
  }

  private deliver(reply: XdrReader): void {
    this.counts.replies += 1;
    const size = reply.remaining;
    const mark = Buffer.allocUnsafe(MARK_SIZE);
    mark.writeUInt32BE(LAST_FRAGMENT + size, 0);
    this.socket.cork();
    this.socket.write(mark);
    const room = this.socket.write(reply.bytes.subarray(reply.position, reply.position + size));
    process.nextTick(() => this.socket.uncork());
    if (!room) this.upstream.pause();
    if (this.readingPaused && this.upstream.pendingSize <= this.pendingSizeMax / 2) {
      this.readingPaused = false;
      this.socket.resume();
    }
  }

  private end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.upstream.close();
    this.socket.destroy();
    this.onEnd(reason);
  }
}
