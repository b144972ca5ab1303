/**
 * Executes the calls that connection threads forward to a volume's thread, with the same dispatcher and procedures
 * that a connection uses. Replies of one turn travel together.
 */
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { accept_stat, encodeAcceptedError, encodeSuccessHeader } from '../../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import { afterThisCallback } from '../system/turns.ts';
import type { FileIdentity } from '../volume/file-identity.ts';
import type { AnswerListener } from '../volume/reply-cache.ts';
import type { Volume } from '../volume/volume.ts';
import { BatchReader, BatchWriter, entrySize } from './call-batch.ts';
import { ConnectionCaller } from './caller.ts';
import type { ConnectionOrder, Place } from './connection-order.ts';
import { Dispatcher, type LateAnswers, type Programs } from './dispatcher.ts';
import { encodeForgotten, NO_CALL } from './forgotten-object.ts';
import type { CallsMessage, Channel, ForwardingConnection, RepliesMessage } from './thread-messages.ts';

const REPLY_SIZE = 4096;
/** After which a thread is told of removed objects, if it has no replies to send. ms */
const FORGET_MS = 5;
/** Memory of calls that may wait to be given back with the next replies. */
const SPENT_MAX = 8;

/** One connection, as its calls are executed here. */
class RemoteConnection implements LateAnswers {
  readonly id: number;
  readonly host: string;
  readonly place: Place;
  readonly caller: ConnectionCaller;
  readonly dispatcher: Dispatcher;
  /** Of the call that is being handled. */
  number: number;
  readonly peer: CallingThread;
  private readonly groups: GroupDirectory | null;
  private readonly handle: (connection: RemoteConnection, number: number, message: XdrReader) => boolean;
  private readonly execute: ExecutorHooks['execute'];

  constructor(
    { id, host, place }: ForwardingConnection,
    programs: Programs,
    peer: CallingThread,
    r: XdrReader,
    handle: RemoteConnection['handle'],
    execute: ExecutorHooks['execute'],
  ) {
    this.id = id;
    this.host = host;
    this.place = place;
    this.caller = new ConnectionCaller(host, place, programs.groups);
    this.groups = programs.groups;
    this.handle = handle;
    this.execute = execute;
    this.dispatcher = new Dispatcher(programs, this.caller, r, peer.writer, this);
    this.number = 0;
    this.peer = peer;
  }

  answerLater(xid: number): AnswerListener {
    const { number, peer } = this;
    peer.waits();
    let answered = false;
    return (results) => {
      if (answered) return;
      answered = true;
      peer.answer(number, xid, results);
    };
  }

  waitForGroups(uid: number, message: Uint8Array): void {
    const { number } = this;
    const handle = (): void => {
      this.handle(this, number, new XdrReader(message));
      this.peer.schedule();
    };
    this.groups?.wait(uid, () => this.execute(handle));
  }

  announced(): void {
    throw new Error('a client says where it is to the thread of its connection');
  }

  answerElsewhere(): AnswerListener {
    throw new Error('a call that was forwarded is executed where it arrives');
  }
}

/** Calls and replies of one connection thread. */
class CallingThread {
  readonly connections: Map<number, RemoteConnection>;
  private readonly session: number;
  private readonly channel: Channel;
  private readonly w: XdrWriter;
  /** Numbers and ends of the replies in `w`. */
  private replies: { readonly number: number; readonly start: number; readonly end: number }[];
  private answers: { readonly number: number; readonly xid: number; readonly results: Uint8Array | null }[];
  private spent: number[];
  /** Calls whose answers are still to come. */
  private unanswered: number;
  /** What the caller's batches lie in. */
  readonly memories: Map<number, SharedArrayBuffer>;
  /** Objects that may have lost their last name, one behind the other, and where each ends. */
  private readonly gone: XdrWriter;
  private goneEnds: number[];
  private telling: NodeJS.Timeout | null;
  private scheduled: boolean;

  constructor(session: number, channel: Channel) {
    this.connections = new Map();
    this.session = session;
    this.channel = channel;
    this.w = new XdrWriter(64 * 1024);
    this.replies = [];
    this.answers = [];
    this.spent = [];
    this.unanswered = 0;
    this.memories = new Map();
    this.gone = new XdrWriter(4096);
    this.goneEnds = [];
    this.telling = null;
    this.scheduled = false;
  }

  get writer(): XdrWriter {
    return this.w;
  }

  wrote(number: number, start: number): void {
    this.replies.push({ number, start, end: this.w.position });
  }

  /** The answer of a call comes later, with a message of its own. */
  waits(): void {
    this.unanswered += 1;
  }

  /** Later, in post(): a call may be answered while it is being handled, and then the writer is in use. */
  answer(number: number, xid: number, results: Uint8Array | null): void {
    this.unanswered -= 1;
    this.answers.push({ number, xid, results });
    this.schedule();
  }

  private writeAnswers(): void {
    const { answers, w } = this;
    this.answers = [];
    for (const { number, xid, results } of answers) {
      const start = beginRecord(w);
      if (results === null) encodeAcceptedError(w, xid, accept_stat.SYSTEM_ERR);
      else {
        encodeSuccessHeader(w, xid);
        w.ensure(results.length);
        w.bytes.set(results, w.position);
        w.position += results.length;
      }
      endRecord(w, start);
      this.wrote(number, start);
    }
  }

  /** Goes with the next replies; a message of its own would wake the other thread for nothing. */
  spend(memory: number): void {
    this.spent.push(memory);
    if (this.unanswered === 0 || this.spent.length >= SPENT_MAX) this.schedule();
  }

  forget(volume: Volume, identity: FileIdentity): void {
    const { gone } = this;
    encodeForgotten(gone, volume.uuid, identity);
    this.goneEnds.push(gone.position);
    // With the replies to those who removed it; a thread that has none is woken for many at once.
    this.telling ??= setTimeout(() => this.schedule(), FORGET_MS);
  }

  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    afterThisCallback(() => this.post());
  }

  private post(): void {
    this.scheduled = false;
    if (this.telling !== null) clearTimeout(this.telling);
    this.telling = null;
    this.writeAnswers();
    const { replies, spent, gone, goneEnds, session, w } = this;
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
    for (const { number, start, end } of replies) out.add(number, 0, w.bytes, start, end);
    this.replies = [];
    this.spent = [];
    this.goneEnds = [];
    gone.reset();
    w.reset();
    const message: RepliesMessage = {
      kind: 'replies',
      session,
      batch,
      size,
      spent,
    };
    this.channel.postMessage(message);
  }
}

export interface ExecutorHooks {
  /** No right to serve any more. */
  readonly onRefused: () => void;
  /** Executes a call that had to wait, now or, while nothing may change, later. */
  readonly execute: (work: () => void) => void;
}

export class CallExecutor {
  private readonly session: number;
  private readonly programs: Programs;
  private readonly order: ConnectionOrder;
  private readonly hooks: ExecutorHooks;
  private readonly threads: Map<Channel, CallingThread>;
  private readonly r: XdrReader;

  constructor(
    session: number,
    programs: Programs,
    channels: readonly Channel[],
    order: ConnectionOrder,
    hooks: ExecutorHooks,
  ) {
    this.session = session;
    this.order = order;
    this.programs = programs;
    this.hooks = hooks;
    this.threads = new Map(channels.map((channel) => [channel, new CallingThread(session, channel)]));
    this.r = new XdrReader();
  }

  /** Executes what has come from a connection thread. */
  take(channel: Channel, message: CallsMessage): void {
    if (message.session !== this.session) return;
    const thread = this.threads.get(channel)!;
    const { connections } = thread;
    for (const caller of message.callers) {
      const { programs, r, handle, hooks } = this;
      connections.set(caller.id, new RemoteConnection(caller, programs, thread, r, handle, hooks.execute));
    }
    if (message.memory !== null) thread.memories.set(message.batch, message.memory);
    for (const number of message.dropped) thread.memories.delete(number);
    const calls = new BatchReader(thread.memories.get(message.batch)!, message.size);
    while (calls.next()) {
      const connection = connections.get(calls.connection);
      if (connection === undefined) throw new Error('a call of a connection that was not announced');
      this.r.reset(calls.bytes, calls.start, calls.end);
      if (!this.handle(connection, calls.number, this.r)) return;
    }
    for (const id of message.gone) connections.delete(id);
    thread.spend(message.batch);
  }

  /** One call. false: no right to serve any more. */
  private readonly handle = (connection: RemoteConnection, number: number, message: XdrReader): boolean => {
    const { writer } = connection.peer;
    connection.number = number;
    writer.ensure(REPLY_SIZE);
    const start = writer.position;
    if (!this.order.isCurrent(connection.place)) {
      // Not executed. An answer without bytes: its thread ends the connection.
      connection.peer.wrote(number, start);
      return true;
    }
    const outcome = connection.dispatcher.handle(message, writer);
    if (outcome === 'refused') {
      this.hooks.onRefused();
      return false;
    }
    if (outcome === 'answered') connection.peer.wrote(number, start);
    return true;
  };

  /** In every connection thread. */
  forget(volume: Volume, identity: FileIdentity): void {
    for (const thread of this.threads.values()) thread.forget(volume, identity);
  }

  forgetCallers(): void {
    for (const { connections } of this.threads.values()) {
      for (const { caller } of connections.values()) caller.forget();
    }
  }
}
