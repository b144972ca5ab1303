/**
 * Executes the calls that connection threads forward to a volume's thread, with the same dispatcher and procedures
 * that a connection uses. Replies of one turn travel together.
 *
 * Calls are executed as they come, as long as that takes no longer than SLICE_MS. What is left then waits in a queue where all
 * clients have their turn (turn-queue.ts), and what comes meanwhile waits there too. The threads of the connections are told which
 * calls wait so, and which have begun: waiting in a queue says nothing about the disk. Calls of connections that have ended are not
 * executed any more.
 */
import { performance } from 'node:perf_hooks';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { accept_stat, encodeAcceptedError, encodeSuccessHeader } from '../../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { ConnectionOrder, Place } from '../callers/connection-order.ts';
import type { ClientKey } from '../callers/origin.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import { FAILED_INTERNALLY, REFUSED } from '../metrics/data-metrics.ts';
import { BatchReader, BatchWriter, entrySize } from '../rpc/call-batch.ts';
import { ConnectionCaller } from '../rpc/caller.ts';
import { Dispatcher, type LateReplies, type Services } from '../rpc/dispatcher.ts';
import type { ForwardingConnection } from '../rpc/forwarding-connection.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import type { FileIdentity } from '../storage/handles/file-identity.ts';
import { encodeForgotten, NO_CALL } from '../storage/handles/forgotten-object.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { afterThisCallback, nextTurn } from '../system/turns.ts';
import type { CallsMessage, Channel, RepliesMessage } from './thread-messages.ts';
import { TurnQueue } from './turn-queue.ts';

const REPLY_SIZE = 4096;
/** After which a thread is told of removed objects, if it has no replies to send. ms */
const FORGET_MS = 5;
/** Memory of calls that may wait to be given back with the next replies. */
const SPENT_MAX = 8;
/** What has come is executed without a break for so long; a neighbour who comes now waits no longer. ms */
const SLICE_MS = 10;
/** A thread that had nothing to do for so long has read everything that had come. ms */
const IDLE_MS = 0.2;
/** Between two looks at the clock; a power of two. Those that may take long are looked at one by one. */
const CALLS_BETWEEN_LOOKS = 8;

/** Memory in which calls lie that wait for their turn. */
interface Batch {
  readonly number: number;
  readonly peer: CallingThread;
  /** Of its calls. */
  waiting: number;
}

interface WrittenReply {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  readonly status: number;
  readonly byteCount: number;
}

interface LateReply {
  readonly number: number;
  readonly xid: number;
  readonly results: Uint8Array | null;
  readonly status: number;
  readonly byteCount: number;
}

interface WaitingCall {
  readonly batch: Batch;
  readonly connection: RemoteConnection;
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** One connection, as its calls are executed here. */
class RemoteConnection implements LateReplies {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly place: Place;
  readonly clientKey: ClientKey;
  readonly caller: ConnectionCaller;
  readonly dispatcher: Dispatcher;
  /** Of the call that is being handled. */
  number: number;
  /** Its thread has said that it has ended. */
  hasEnded: boolean;
  readonly peer: CallingThread;
  readonly #groups: GroupDirectory | null;
  readonly #handle: (connection: RemoteConnection, number: number, message: XdrReader) => boolean;
  readonly #execute: ExecutorHooks['execute'];

  constructor(
    { id, host, port, place, clientKey }: ForwardingConnection,
    services: Services,
    peer: CallingThread,
    r: XdrReader,
    handle: (connection: RemoteConnection, number: number, message: XdrReader) => boolean,
    execute: ExecutorHooks['execute'],
  ) {
    this.id = id;
    this.host = host;
    this.port = port;
    this.place = place;
    this.clientKey = clientKey;
    this.caller = new ConnectionCaller(host, port, place, services.groups, clientKey);
    this.#groups = services.groups;
    this.#handle = handle;
    this.#execute = execute;
    this.dispatcher = new Dispatcher(services, this.caller, r, peer.writer, this);
    this.number = 0;
    this.hasEnded = false;
    this.peer = peer;
  }

  answerLater(xid: number): ReplyListener {
    const { number, peer } = this;
    peer.waits();
    let answered = false;
    return (results, status, byteCount) => {
      if (answered) return;
      answered = true;
      peer.answer({ number, xid, results, status, byteCount });
    };
  }

  waitForGroups(uid: number, message: Uint8Array): void {
    const { number } = this;
    const handle = (): void => {
      this.#handle(this, number, new XdrReader(message));
      this.peer.schedule();
    };
    this.#groups?.wait(uid, () => this.#execute(handle));
  }

  announced(): void {
    throw new Error('a client says where it is to the thread of its connection');
  }

  answerForwarded(): ReplyListener {
    throw new Error('a call that was forwarded is executed where it arrives');
  }
}

/** Calls and replies of one connection thread. */
class CallingThread {
  readonly connections: Map<number, RemoteConnection>;
  readonly #session: number;
  readonly #channel: Channel;
  readonly #w: XdrWriter;
  /** Numbers and ends of the replies in `w`. */
  #replies: WrittenReply[];
  #answers: LateReply[];
  #spent: number[];
  /** Numbers of calls that wait for their turn, and of those that have had it and are answered later, since the last message. */
  #queued: number[];
  #begun: number[];
  /** Calls whose answers are still to come. */
  #unanswered: number;
  /** What the caller's batches lie in. */
  readonly memories: Map<number, SharedArrayBuffer>;
  /** Objects that may have lost their last name, one behind the other, and where each ends. */
  readonly #gone: XdrWriter;
  #goneEnds: number[];
  #telling: NodeJS.Timeout | null;
  #scheduled: boolean;

  constructor(session: number, channel: Channel) {
    this.connections = new Map();
    this.#session = session;
    this.#channel = channel;
    this.#w = new XdrWriter(64 * 1024);
    this.#replies = [];
    this.#answers = [];
    this.#spent = [];
    this.#queued = [];
    this.#begun = [];
    this.#unanswered = 0;
    this.memories = new Map();
    this.#gone = new XdrWriter(4096);
    this.#goneEnds = [];
    this.#telling = null;
    this.#scheduled = false;
  }

  get writer(): XdrWriter {
    return this.#w;
  }

  /** Replies that wait to be sent. */
  get replyCount(): number {
    return this.#replies.length;
  }

  wrote(number: number, start: number, status: number, byteCount: number): void {
    this.#replies.push({ number, start, end: this.#w.position, status, byteCount });
  }

  /** The answer of a call comes later, with a message of its own. */
  waits(): void {
    this.#unanswered += 1;
  }

  /** Later, in post(): a call may be answered while it is being handled, and then the writer is in use. */
  answer(late: LateReply): void {
    this.#unanswered -= 1;
    this.#answers.push(late);
    this.schedule();
  }

  #writeAnswers(): void {
    const answers = this.#answers;
    const w = this.#w;
    this.#answers = [];
    for (const { number, xid, results, status, byteCount } of answers) {
      const start = beginRecord(w);
      if (results === null) encodeAcceptedError(w, xid, accept_stat.SYSTEM_ERR);
      else {
        encodeSuccessHeader(w, xid);
        w.ensure(results.length);
        w.bytes.set(results, w.position);
        w.position += results.length;
      }
      endRecord(w, start);
      this.wrote(number, start, results === null ? FAILED_INTERNALLY : status, byteCount);
    }
  }

  /** Goes with the next replies; a message of its own would wake the other thread for nothing. */
  spend(memory: number): void {
    this.#spent.push(memory);
    if (this.#unanswered === 0 || this.#spent.length >= SPENT_MAX) this.schedule();
  }

  queue(number: number): void {
    this.#queued.push(number);
    this.schedule();
  }

  begin(number: number): void {
    this.#begun.push(number);
    this.schedule();
  }

  forget(volume: Volume, identity: FileIdentity): void {
    const gone = this.#gone;
    encodeForgotten(gone, volume.uuid, identity);
    this.#goneEnds.push(gone.position);
    // With the replies to those who removed it; a thread that has none is woken for many at once.
    this.#telling ??= setTimeout(() => this.schedule(), FORGET_MS);
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    afterThisCallback(() => this.#post());
  }

  #post(): void {
    this.#scheduled = false;
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#telling = null;
    this.#writeAnswers();
    const replies = this.#replies;
    const spent = this.#spent;
    const queued = this.#queued;
    const begun = this.#begun;
    const gone = this.#gone;
    const goneEnds = this.#goneEnds;
    const session = this.#session;
    const w = this.#w;
    let size = 0;
    let from = 0;
    for (const end of goneEnds) {
      size += entrySize(end - from);
      from = end;
    }
    for (const { start, end } of replies) size += entrySize(end - start);
    const batch = new ArrayBuffer(size);
    const out = new BatchWriter(batch);
    from = 0;
    for (const end of goneEnds) {
      out.add(NO_CALL, 0, gone.bytes, from, end);
      from = end;
    }
    for (const { number, start, end, status, byteCount } of replies)
      out.add(number, status, w.bytes, start, end, byteCount);
    this.#replies = [];
    this.#spent = [];
    this.#queued = [];
    this.#begun = [];
    this.#goneEnds = [];
    gone.reset();
    w.reset();
    const message: RepliesMessage = {
      kind: 'replies',
      session,
      batch,
      size,
      spent,
      ...(queued.length + begun.length === 0 ? {} : { queued, begun }),
    };
    this.#channel.postMessage(message);
  }
}

export interface ExecutorHooks {
  /** No right to serve any more. */
  readonly onRefused: () => void;
  /** Executes a call that had to wait, now or, while nothing may change, later. */
  readonly execute: (work: () => void) => void;
}

export class CallExecutor {
  readonly #session: number;
  readonly #services: Services;
  readonly #order: ConnectionOrder;
  readonly #hooks: ExecutorHooks;
  readonly #threads: Map<Channel, CallingThread>;
  readonly #r: XdrReader;
  readonly #queue: TurnQueue<RemoteConnection, WaitingCall>;
  #queueScheduled: boolean;
  /** Calls have been executed without a break from then to then. performance.now() */
  #busySince: number;
  #busyUntil: number;

  constructor(
    session: number,
    services: Services,
    channels: readonly Channel[],
    order: ConnectionOrder,
    hooks: ExecutorHooks,
  ) {
    this.#session = session;
    this.#order = order;
    this.#services = services;
    this.#hooks = hooks;
    this.#threads = new Map(channels.map((channel) => [channel, new CallingThread(session, channel)]));
    this.#r = new XdrReader();
    this.#queue = new TurnQueue();
    this.#queueScheduled = false;
    this.#busySince = 0;
    this.#busyUntil = 0;
  }

  /** Executes what has come from a connection thread. */
  take(channel: Channel, message: CallsMessage): void {
    if (message.session !== this.#session) return;
    const thread = this.#threads.get(channel)!;
    const { connections } = thread;
    for (const caller of message.callers) {
      const services = this.#services;
      const r = this.#r;
      const handle = this.#handle;
      const hooks = this.#hooks;
      connections.set(caller.id, new RemoteConnection(caller, services, thread, r, handle, hooks.execute));
    }
    if (message.memory !== null) thread.memories.set(message.batch, message.memory);
    for (const number of message.dropped) thread.memories.delete(number);
    const calls = new BatchReader(thread.memories.get(message.batch)!, message.size);
    const batch: Batch = { number: message.batch, peer: thread, waiting: 0 };
    this.#beginSlice();
    let isOver = this.#queue.size > 0;
    for (let count = 1; calls.next(); count++) {
      const connection = connections.get(calls.tag);
      if (connection === undefined) throw new Error('a call of a connection that was not announced');
      if (isOver) {
        this.#wait(batch, connection, calls);
        continue;
      }
      this.#r.reset(calls.bytes, calls.start, calls.end);
      if (!this.#handle(connection, calls.number, this.#r)) return;
      const look = count % CALLS_BETWEEN_LOOKS === 0 || connection.dispatcher.procedure?.isLong === true;
      isOver = look && this.#isSliceOver();
    }
    this.#busyUntil = performance.now();
    for (const id of message.gone) this.#ended(connections, id);
    if (batch.waiting === 0) thread.spend(message.batch);
  }

  #beginSlice(): void {
    const now = performance.now();
    if (now - this.#busyUntil > IDLE_MS) this.#busySince = now;
  }

  #isSliceOver(): boolean {
    return performance.now() - this.#busySince > SLICE_MS;
  }

  #wait(batch: Batch, connection: RemoteConnection, { number, bytes, start, end }: BatchReader): void {
    batch.waiting += 1;
    batch.peer.queue(number);
    this.#queue.add(connection.host, connection, { batch, connection, number, bytes, start, end });
    this.#scheduleQueue();
  }

  #ended(connections: Map<number, RemoteConnection>, id: number): void {
    const connection = connections.get(id);
    if (connection !== undefined) connection.hasEnded = true;
    connections.delete(id);
  }

  #scheduleQueue(): void {
    if (this.#queueScheduled) return;
    this.#queueScheduled = true;
    // Behind what has come meanwhile. While nothing may change it is kept.
    nextTurn(() =>
      this.#hooks.execute(() => {
        this.#queueScheduled = false;
        this.#executeQueue();
      }),
    );
  }

  /** One slice of what waits. */
  #executeQueue(): void {
    try {
      this.#busySince = performance.now();
      do {
        const call = this.#queue.take();
        if (call === null) break;
        if (!this.#executeWaiting(call)) {
          this.#queue.clear();
          return;
        }
      } while (!this.#isSliceOver());
    } finally {
      this.#busyUntil = performance.now();
      if (this.#queue.size > 0) this.#scheduleQueue();
    }
  }

  #executeWaiting({ batch, connection, number, bytes, start, end }: WaitingCall): boolean {
    const { peer } = connection;
    batch.waiting -= 1;
    this.#r.reset(bytes, start, end);
    const before = peer.replyCount;
    const mayGoOn = this.#handle(connection, number, this.#r);
    if (peer.replyCount === before) peer.begin(number);
    if (batch.waiting === 0) peer.spend(batch.number);
    return mayGoOn;
  }

  /** One call. false: no right to serve any more. */
  readonly #handle = (connection: RemoteConnection, number: number, message: XdrReader): boolean => {
    const { writer } = connection.peer;
    connection.number = number;
    writer.ensure(REPLY_SIZE);
    const start = writer.position;
    if (connection.hasEnded || !this.#order.isCurrent(connection.place)) {
      // Not executed. An answer without bytes: its thread ends the connection.
      connection.peer.wrote(number, start, REFUSED, 0);
      return true;
    }
    const { dispatcher } = connection;
    const outcome = dispatcher.handle(message, writer);
    if (outcome === 'refused') {
      this.#hooks.onRefused();
      return false;
    }
    if (outcome === 'answered') connection.peer.wrote(number, start, dispatcher.status, dispatcher.byteCount);
    return true;
  };

  /** In every connection thread. */
  forget(volume: Volume, identity: FileIdentity): void {
    for (const thread of this.#threads.values()) thread.forget(volume, identity);
  }

  forgetCallers(): void {
    for (const { connections } of this.#threads.values()) {
      for (const { caller } of connections.values()) caller.forget();
    }
  }
}
