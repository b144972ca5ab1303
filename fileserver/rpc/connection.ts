/** One client connection: cuts the stream into messages, has them handled, batches the replies. */

import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { NFS3_RECORD_SIZE_MAX } from '../../protocol/nfs3.ts';
import { RecordParser } from '../../protocol/record.ts';
import { XdrError, XdrReader } from '../../protocol/xdr.ts';
import type { ConnectionOrder, Place } from '../callers/connection-order.ts';
import type { ClientKey } from '../callers/origin.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import type { CallMeter } from '../metrics/data-metrics.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import { nextTurn } from '../system/turns.ts';
import type { AdaptivePoller } from './adaptive-poller.ts';
import { CallFigures, type CountedCall } from './call-figures.ts';
import { ConnectionCaller } from './caller.ts';
import { ConnectionOutput, type LateReply, type OutputHooks } from './connection-output.ts';
import { Dispatcher, type HeldCalls, type LateReplies, type Services } from './dispatcher.ts';
import { HalfRecord } from './half-record.ts';
import type { LongRecords } from './long-records.ts';
import type { OutputSlabs } from './output-slabs.ts';
import { PendingCalls } from './pending-calls.ts';
import { SHORT_REPLY_SIZE } from './rpc-program.ts';

//   data from the socket -> all complete messages in it -> replies into the current slab -> one write
//
// The socket's data lands in a buffer that all connections of the thread share. What is left of it when a turn ends (the
// beginning of a message; everything, when this connection has to wait) is copied out. So an idle connection holds next to no
// memory. In the middle of a long message (a WRITE) it lands where the message is put together, which is where it is executed
// from: long-records.ts.
//
// Back-pressure, for this connection only: nothing more is handled beyond the limits of pending-calls.ts. The same holds while any
// reply waits and the thread's replies together take more memory than they should. For all connections, while they take twice as
// much: until then those that take nothing have been ended (untaken-replies.ts).

/** A client whose machine has vanished is noticed after some minutes. ms */
const KEEP_ALIVE_AFTER_MS = 60_000;

export interface ConnectionHooks extends OutputHooks {
  readonly order: ConnectionOrder;
  readonly onClosed: (connection: Connection) => void;
}

/** An accepted socket. */
export interface ConnectionSource {
  /** Number of the connection in its thread. */
  readonly id: number;
  readonly fd: number;
  /** The client's address, without port. */
  readonly host: string;
  /** The client's port. */
  readonly port: number;
  readonly place: Place;
}

/** Memory and services that the connections of a thread share. */
export interface ConnectionMemory {
  /** Buffer into which the kernel's data is received. */
  readonly input: Uint8Array;
  readonly slabs: OutputSlabs;
  readonly longRecords: LongRecords;
  readonly poller: AdaptivePoller;
  /** Bytes that long replies which are not there yet may take: READs that wait for a disk, listings. */
  expectedSize: number;
  /** Calls whose users' groups are being looked up. */
  readonly waitingForGroups: HeldCalls;
}

/** A reply that comes later, with the figures known since its call began to wait: one object for both. */
interface Answer extends CountedCall, LateReply {
  bytes: Uint8Array | null;
  status: number;
  byteCount: number;
}

export class Connection implements LateReplies {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly place: Place;
  readonly caller: ConnectionCaller;
  readonly #socket: Socket;
  readonly #groups: GroupDirectory | null;
  readonly #onBug: (error: unknown) => void;
  readonly #memory: ConnectionMemory;
  readonly #hooks: ConnectionHooks;
  readonly #parser: RecordParser;
  readonly #dispatcher: Dispatcher;
  readonly #registry: Services['registry'];
  readonly #output: ConnectionOutput;
  readonly #pending: PendingCalls;
  /** Room for the reply to the call that is handled now. */
  #replyRoom: number;
  #answers: Answer[];
  #answersScheduled: boolean;
  #stalled: boolean;
  /** No more messages are taken: the disk set is being closed gracefully. */
  #quiesced: boolean;
  #closed: boolean;
  /** Something was received since the last tick. */
  #active: boolean;
  /** A call was taken since the last tick. */
  #worked: boolean;
  readonly #halfRecord: HalfRecord;
  readonly #figures: CallFigures;

  constructor(
    source: ConnectionSource,
    services: Services,
    memory: ConnectionMemory,
    meter: CallMeter | null,
    hooks: ConnectionHooks,
  ) {
    this.#figures = new CallFigures(meter);
    this.id = source.id;
    this.host = source.host;
    this.port = source.port;
    this.place = source.place;
    this.#memory = memory;
    this.#hooks = hooks;
    this.caller = new ConnectionCaller(source.host, source.port, source.place, services.groups);
    this.#groups = services.groups;
    this.#onBug = services.onBug;
    this.#registry = services.registry;
    this.#parser = new RecordParser(NFS3_RECORD_SIZE_MAX, memory.longRecords);
    this.#pending = new PendingCalls(memory);
    this.#replyRoom = 0;
    this.#answers = [];
    this.#answersScheduled = false;
    this.#stalled = false;
    this.#quiesced = false;
    this.#closed = false;
    this.#active = false;
    this.#worked = false;
    this.#halfRecord = new HalfRecord();
    this.#socket = this.#open(source.fd);
    this.#output = new ConnectionOutput(this.#socket, memory.slabs, this.#figures, hooks);
    this.#dispatcher = new Dispatcher(services, this.caller, this.#parser.record, this.#output.w, this);
  }

  #open(fd: number): Socket {
    const { input } = this.#memory;
    // Asked after each read, for the next one.
    const buffer = (): Uint8Array => (this.#closed ? null : this.#parser.room()) ?? input;
    const callback = (size: number, received: Uint8Array): boolean => {
      this.#receive(received === input ? input : null, size);
      return true;
    };
    const socket = new Socket({ fd, readable: true, writable: true, onread: { buffer, callback } });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    socket.on('drain', () => this.#resume());
    socket.on('error', () => this.#abandon());
    socket.on('close', () => this.#abandon());
    return socket;
  }

  /** Calls that are being executed. */
  get unanswered(): number {
    return this.#pending.count;
  }

  get clientKey(): ClientKey {
    return this.caller.clientKey;
  }

  /** Stops taking calls. Those under way are answered. */
  quiesce(): void {
    this.#quiesced = true;
    this.#socket.pause();
  }

  /** After the last answer: the client sees an orderly end of the stream. */
  end(): void {
    this.#flushAnswers();
    this.#close();
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** At once, with a reset: nothing that waits is sent. */
  destroy(): void {
    if (this.#closed) return;
    this.#giveUpAnswers();
    // A reset fails on a socket that is being shut down, and Node then never closes it (its worker never ends).
    if (this.#socket.writableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** Once a second: a connection that is idle gives back the memory of a long message. */
  tick(): void {
    if (!this.#active) this.#parser.trim();
    const waits =
      !this.#closed && !this.#quiesced && !this.#stalled && this.#parser.isInRecord && !this.#worked;
    const wanted = this.#parser.holdsLongMemory && this.#memory.longRecords.isShort;
    if (!waits) this.#halfRecord.reset();
    else if (this.#halfRecord.isOverdue(this.#active, wanted)) this.destroy();
    if (!this.#closed && this.#output.isLeft()) this.destroy();
    this.#active = false;
    this.#worked = false;
  }

  #close(): void {
    this.#closed = true;
    this.#output.close();
  }

  #giveUpAnswers(): void {
    this.#close();
    this.#answers = [];
    this.#pending.expectNothing();
  }

  #abandon(): void {
    this.#giveUpAnswers();
    this.#socket.destroy();
    this.#memory.longRecords.stopWaiting(this.#onMemory);
    this.#memory.slabs.stopWaiting(this.#onMemory);
    this.#parser.end();
    this.#hooks.onClosed(this);
  }

  /** buffer null: where the parser said. */
  #receive(buffer: Uint8Array | null, size: number): void {
    if (this.#closed || this.#quiesced || this.#isGivenUp()) return;
    this.#active = true;
    this.#memory.poller.arrived();
    this.#figures.arrivedAt = performance.now();
    if (buffer === null) this.#parser.received(size);
    else this.#parser.push(buffer, size);
    this.#work();
    this.#parser.retain();
  }

  /** Its client goes on by another one: what it left here is neither executed nor answered. */
  #isGivenUp(): boolean {
    if (this.#hooks.order.isCurrent(this.place)) return false;
    this.destroy();
    return true;
  }

  announced(client: Uint8Array): void {
    this.#hooks.order.announce(this.place, client);
    // It said so elsewhere meanwhile: the rest of what was read with this is left.
    this.#isGivenUp();
  }

  /** Handles what has been received, as far as there is room for the replies. */
  #work(): void {
    let handled = 0;
    this.#output.begin();
    try {
      while (!this.#closed && !this.#quiesced) {
        if (this.#outputIsFull()) {
          this.#stall();
          return;
        }
        if (!this.#parser.next()) break;
        this.#worked = true;
        if (!this.#handle(this.#parser.record)) return;
        handled += 1;
      }
      this.#output.flush();
      this.#memory.poller.handled(handled);
      // Not before: what has been received is less than a long message, and to keep it would be a copy.
      if (this.#closed) return;
      if (this.#parser.isStarved) this.#waitForMemory();
      else if (this.#pending.areFull) this.#stop();
    } catch (error) {
      // Out of step with the client, or with ourselves: what it was promised so far it gets, then the end.
      if (!(error instanceof XdrError)) this.#onBug(error);
      this.#output.flush();
      this.#close();
      this.#socket.destroySoon();
    }
  }

  /** One message. false: no right to serve any more. */
  #handle(record: XdrReader): boolean {
    this.#replyRoom = this.#registry.replySize(record);
    this.#output.makeRoom(this.#replyRoom);
    const outcome = this.#dispatcher.handle(record, this.#output.w);
    if (outcome === 'answered') this.#figures.answered(this.#dispatcher);
    if (outcome !== 'refused') return true;
    this.#hooks.onLeaseExpired();
    return false;
  }

  #outputIsFull(): boolean {
    return this.#pending.repliesAreFull(this.#output.waitingSize) || this.#output.isFull;
  }

  #stall(): void {
    this.#output.flush();
    this.#stop();
    if (!this.#outputIsFull()) nextTurn(() => this.#resume());
    else this.#waitForRoom();
  }

  /** While the output of others is in the way, nothing of its own tells when it may go on. */
  #waitForRoom(): void {
    if (this.#memory.slabs.isFull) this.#memory.slabs.whenRoom(this.#onMemory);
  }

  #waitForMemory(): void {
    this.#stop();
    this.#memory.longRecords.whenFree(this.#onMemory);
  }

  readonly #onMemory = (): void => this.#resume();

  #stop(): void {
    this.#stalled = true;
    this.#socket.pause();
  }

  /** After a stall: the client has read, or calls have been answered. */
  #resume(): void {
    if (!this.#stalled || this.#closed || this.#quiesced) return;
    if (this.#outputIsFull()) {
      this.#waitForRoom();
      return;
    }
    if (this.#pending.areFull) return;
    this.#stalled = false;
    this.#work();
    if (!this.#stalled && !this.#closed) this.#socket.resume();
  }

  answerLater(xid: number): ReplyListener {
    return this.#pendingAnswer(xid, false, 0, null);
  }

  answerForwarded(xid: number, size: number, held: HeldCalls): ReplyListener {
    return this.#pendingAnswer(xid, true, size, held);
  }

  #pendingAnswer(xid: number, whole: boolean, size: number, held: HeldCalls | null): ReplyListener {
    const { procedure, meter, exportNumber } = this.#dispatcher;
    const expected = this.#replyRoom > SHORT_REPLY_SIZE ? this.#replyRoom : 0;
    const answer: Answer = {
      procedure,
      meter,
      exportNumber,
      arrivedAt: this.#figures.arrivedAt,
      xid,
      whole,
      bytes: null,
      status: 0,
      byteCount: 0,
    };
    const pending = this.#pending;
    pending.begin(expected);
    if (held !== null) pending.hold(size, held);
    let answered = false;
    return (bytes, status, byteCount) => {
      if (answered) return;
      answered = true;
      pending.end(expected);
      if (held !== null) pending.release(size, held);
      answer.bytes = bytes;
      answer.status = status;
      answer.byteCount = byteCount;
      this.#answer(answer);
    };
  }

  waitForGroups(uid: number, message: Uint8Array): void {
    const { waitingForGroups: held } = this.#memory;
    const size = message.length;
    const pending = this.#pending;
    pending.begin(0);
    pending.hold(size, held);
    this.#groups?.wait(uid, () => {
      pending.end(0);
      pending.release(size, held);
      if (this.#closed) return;
      this.#output.begin();
      if (!this.#handle(new XdrReader(message))) return;
      this.#output.flush();
      this.#resume();
    });
  }

  #answer(answer: Answer): void {
    if (this.#closed || this.#isGivenUp()) return;
    this.#answers.push(answer);
    if (this.#answersScheduled) return;
    // A group's answers come one after the other: they are sent together.
    this.#answersScheduled = true;
    process.nextTick(() => this.#sendAnswers());
  }

  /** An exception there leaves replies half written: this connection ends, and its client asks again by another. */
  #sendAnswers(): void {
    try {
      this.#flushAnswers();
    } catch (error) {
      this.#onBug(error);
      this.destroy();
    }
  }

  #flushAnswers(): void {
    this.#answersScheduled = false;
    if (this.#closed) return;
    const answers = this.#answers;
    this.#answers = [];
    this.#output.begin();
    const now = performance.now();
    for (const answer of answers) {
      const { bytes, status, byteCount } = answer;
      this.#figures.answeredLater(answer, bytes !== null, status, byteCount, now);
      this.#output.write(answer);
    }
    this.#output.flush();
    this.#memory.poller.handled(answers.length);
    this.#resume();
  }
}
