/**
 * One client connection: cuts the stream into messages, has them handled, batches the replies.
 *
 *   data from the socket -> all complete messages in it -> replies into the current slab -> one write
 *
 * Back-pressure, for this connection only: nothing more is read while OUTPUT_MAX bytes wait for a client that does
 * not read, or while UNANSWERED_MAX calls wait for a disk. Input that has been read is kept, at most one chunk of
 * the socket and one record.
 */
import type { Socket } from 'node:net';
import { NFS3_RECORD_SIZE_MAX } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord, RecordParser } from '../../protocol/record.ts';
import { ACCEPTED_HEADER_SIZE, encodeSuccessHeader } from '../../protocol/rpc.ts';
import { XdrError } from '../../protocol/xdr.ts';
import type { AnswerListener } from '../volume/reply-cache.ts';
import { ConnectionCaller } from './caller.ts';
import { Dispatcher, type Programs } from './dispatcher.ts';
import type { OutputSlabs, Slab } from './output-slabs.ts';

/** Bytes of replies that wait for the client; beyond it nothing more is handled. At least one reply of 1 MiB. */
const OUTPUT_MAX = 4 * 1024 * 1024;
/** Calls that wait for a disk. */
const UNANSWERED_MAX = 1024;
/** Bytes before the results of a procedure: record mark and accepted header. */
const ANSWER_HEADER_SIZE = 4 + ACCEPTED_HEADER_SIZE;

export interface ConnectionHooks {
  /** R2: immediately before bytes of replies are handed to the socket. */
  readonly mayServe: () => boolean;
  /** The right is gone: the port is to be fenced. */
  readonly onRightLost: () => void;
  readonly onWritten: () => void;
  readonly onClosed: (connection: Connection) => void;
}

interface Answer {
  readonly xid: number;
  readonly results: Uint8Array;
}

export class Connection {
  readonly caller: ConnectionCaller;
  private readonly socket: Socket;
  private readonly slabs: OutputSlabs;
  private readonly hooks: ConnectionHooks;
  private readonly parser: RecordParser;
  private readonly dispatcher: Dispatcher;
  /** Slab and place where bytes begin that are not handed to the socket yet. */
  private slab: Slab;
  private unsent: number;
  /** Calls that are being executed. */
  unanswered: number;
  private answers: Answer[];
  private answersScheduled: boolean;
  private stalled: boolean;
  /** No more messages are taken: the disk set is being closed in good order. */
  private quiesced: boolean;
  private closed: boolean;

  constructor(socket: Socket, programs: Programs, slabs: OutputSlabs, hooks: ConnectionHooks) {
    this.socket = socket;
    this.slabs = slabs;
    this.hooks = hooks;
    this.caller = new ConnectionCaller(socket.remoteAddress ?? '');
    this.parser = new RecordParser(NFS3_RECORD_SIZE_MAX);
    this.slab = slabs.withRoom(0);
    this.unsent = this.slab.w.position;
    this.unanswered = 0;
    this.answers = [];
    this.answersScheduled = false;
    this.stalled = false;
    this.quiesced = false;
    this.closed = false;
    this.dispatcher = new Dispatcher(programs, this.caller, this.parser.record, this.slab.w, (xid) =>
      this.answerLater(xid),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('drain', () => this.resume());
    socket.on('error', () => this.abandon());
    socket.on('close', () => this.abandon());
  }

  /** Stops taking calls. Those under way are answered. */
  quiesce(): void {
    this.quiesced = true;
    this.socket.pause();
  }

  /** After the last answer: the client sees an orderly end of the stream. */
  end(): void {
    this.flushAnswers();
    this.closed = true;
    this.socket.end();
    this.socket.destroySoon();
  }

  /** At once, with a reset: nothing that waits is sent. */
  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.answers = [];
    // A reset fails on a socket that is being shut down, and Node then never closes it (its worker never ends).
    if (this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  private abandon(): void {
    this.closed = true;
    this.answers = [];
    this.socket.destroy();
    this.hooks.onClosed(this);
  }

  private receive(chunk: Buffer): void {
    if (this.closed || this.quiesced) return;
    this.parser.push(chunk);
    this.work();
  }

  /** Handles what has been received, as far as there is room for the replies. */
  private work(): void {
    this.begin();
    try {
      while (!this.closed && !this.quiesced) {
        if (this.isFull()) {
          this.stall();
          return;
        }
        if (!this.parser.next()) break;
        if (!this.handle()) return;
      }
      this.flush();
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      // Out of step with the client: what it was promised so far it gets, then the end.
      this.flush();
      this.closed = true;
      this.socket.destroySoon();
    }
  }

  /** One message. false: no right to serve any more. */
  private handle(): boolean {
    const { record } = this.parser;
    this.makeRoom(Dispatcher.replySize(record));
    if (this.dispatcher.handle(record, this.slab.w) !== 'refused') return true;
    this.hooks.onRightLost();
    return false;
  }

  /** The slab is everybody's: from here to flush() it is this connection's alone, in one go. */
  private begin(): void {
    this.slab = this.slabs.withRoom(0);
    this.unsent = this.slab.w.position;
  }

  private makeRoom(size: number): void {
    if (this.slabs.hasRoom(size)) return;
    this.flush();
    this.slab = this.slabs.withRoom(size);
    this.unsent = this.slab.w.position;
  }

  private isFull(): boolean {
    const waiting = this.socket.writableLength + this.slab.w.position - this.unsent;
    return waiting > OUTPUT_MAX || this.unanswered >= UNANSWERED_MAX;
  }

  private stall(): void {
    this.flush();
    this.stalled = true;
    this.socket.pause();
    if (!this.isFull()) setImmediate(() => this.resume());
  }

  /** After a stall: the client has read, or calls have been answered. */
  private resume(): void {
    if (!this.stalled || this.closed || this.quiesced || this.isFull()) return;
    this.stalled = false;
    this.work();
    if (!this.stalled && !this.closed) this.socket.resume();
  }

  /** Hands everything written since begin() to the socket (R2: if it may still be answered). */
  private flush(): void {
    const { slab, unsent } = this;
    const { position } = slab.w;
    if (position === unsent) return;
    this.unsent = position;
    if (this.closed) return;
    if (!this.hooks.mayServe()) {
      this.hooks.onRightLost();
      return;
    }
    slab.inFlight += 1;
    this.socket.write(slab.w.bytes.subarray(unsent, position), slab.taken);
    this.hooks.onWritten();
  }

  private answerLater(xid: number): AnswerListener {
    this.unanswered += 1;
    return (results) => {
      this.unanswered -= 1;
      if (this.closed) return;
      this.answers.push({ xid, results });
      if (this.answersScheduled) return;
      // A group's answers come one after the other: they are sent together.
      this.answersScheduled = true;
      process.nextTick(() => this.flushAnswers());
    };
  }

  private flushAnswers(): void {
    this.answersScheduled = false;
    if (this.closed) return;
    const { answers } = this;
    this.answers = [];
    this.begin();
    for (const { xid, results } of answers) {
      this.makeRoom(results.length + ANSWER_HEADER_SIZE);
      const { w } = this.slab;
      const start = beginRecord(w);
      encodeSuccessHeader(w, xid);
      w.ensure(results.length);
      w.bytes.set(results, w.position);
      w.position += results.length;
      endRecord(w, start);
    }
    this.flush();
    this.resume();
  }
}
