/**
 * Executes the calls that connection threads forward to a volume's thread, with the same dispatcher and procedures that a
 * connection uses. Replies: thread-replies.ts.
 */
import { performance } from 'node:perf_hooks';
import { XdrReader } from '../../protocol/xdr.ts';
import type { ConnectionOrder } from '../callers/connection-order.ts';
import { REFUSED } from '../metrics/data-metrics.ts';
import { BatchReader } from '../rpc/call-batch.ts';
import type { Services } from '../rpc/dispatcher.ts';
import type { FileIdentity } from '../storage/handles/file-identity.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { nextTurn } from '../system/turns.ts';
import { type ExecuteLater, ForwardedConnection } from './forwarded-connection.ts';
import type { CallsMessage, Channel } from './thread-messages.ts';
import { ThreadReplies } from './thread-replies.ts';
import { TurnQueue } from './turn-queue.ts';

// Calls are executed as they come, as long as that takes no longer than SLICE_MS. What is left then waits in a queue where all
// clients have their turn (turn-queue.ts), and what comes meanwhile waits there too. The threads of the connections are told which
// calls wait so, and which have begun: waiting in a queue says nothing about the disk. Calls of connections that have ended are not
// executed any more.

const REPLY_SIZE = 4096;
/** Calls that have come are executed without a break for so long; a neighbour who comes now waits no longer. ms */
const SLICE_MS = 10;
/** A thread that had nothing to do for so long has read everything that had come. ms */
const IDLE_MS = 0.2;
/** Between two looks at the clock; a power of two. Those that may take long are looked at one by one. */
const CALLS_BETWEEN_LOOKS = 8;

/** A connection thread. */
interface CallingThread {
  /** Its connections of this disk set. */
  readonly connections: Map<number, ForwardedConnection>;
  /** Memory in which its batches of calls lie. */
  readonly memories: Map<number, SharedArrayBuffer>;
  readonly replies: ThreadReplies;
}

/** Memory in which calls lie that wait for their turn. */
interface Batch {
  readonly number: number;
  readonly replies: ThreadReplies;
  /** Number of its waiting calls. */
  waiting: number;
}

interface WaitingCall {
  readonly batch: Batch;
  readonly connection: ForwardedConnection;
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

export interface ExecutorHooks {
  /** The lease has expired. */
  readonly onRefused: () => void;
  readonly execute: ExecuteLater;
}

export class CallExecutor {
  readonly #session: number;
  readonly #services: Services;
  readonly #order: ConnectionOrder;
  readonly #hooks: ExecutorHooks;
  readonly #threads: Map<Channel, CallingThread>;
  readonly #r: XdrReader;
  readonly #queue: TurnQueue<ForwardedConnection, WaitingCall>;
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
    this.#threads = new Map(
      channels.map((channel) => {
        const replies = new ThreadReplies(session, channel);
        return [channel, { connections: new Map(), memories: new Map(), replies }];
      }),
    );
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
    const { connections, memories, replies } = thread;
    for (const caller of message.callers) {
      const { execute } = this.#hooks;
      const connection = new ForwardedConnection(
        caller,
        this.#services,
        replies,
        this.#r,
        this.#handle,
        execute,
      );
      connections.set(caller.id, connection);
    }
    if (message.memory !== null) memories.set(message.batch, message.memory);
    for (const number of message.dropped) memories.delete(number);
    const calls = new BatchReader(memories.get(message.batch)!, message.size);
    const batch: Batch = { number: message.batch, replies, waiting: 0 };
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
    if (batch.waiting === 0) replies.spend(message.batch);
  }

  #beginSlice(): void {
    const now = performance.now();
    if (now - this.#busyUntil > IDLE_MS) this.#busySince = now;
  }

  #isSliceOver(): boolean {
    return performance.now() - this.#busySince > SLICE_MS;
  }

  #wait(batch: Batch, connection: ForwardedConnection, { number, bytes, start, end }: BatchReader): void {
    batch.waiting += 1;
    batch.replies.queue(number);
    this.#queue.add(connection.host, connection, { batch, connection, number, bytes, start, end });
    this.#scheduleQueue();
  }

  #ended(connections: Map<number, ForwardedConnection>, id: number): void {
    const connection = connections.get(id);
    if (connection !== undefined) connection.hasEnded = true;
    connections.delete(id);
  }

  #scheduleQueue(): void {
    if (this.#queueScheduled) return;
    this.#queueScheduled = true;
    // It comes behind what has arrived meanwhile. While nothing may change it is kept.
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
    const { replies } = connection;
    batch.waiting -= 1;
    this.#r.reset(bytes, start, end);
    const before = replies.replyCount;
    const mayGoOn = this.#handle(connection, number, this.#r);
    if (replies.replyCount === before) replies.begin(number);
    if (batch.waiting === 0) replies.spend(batch.number);
    return mayGoOn;
  }

  /** One call. false: no right to serve any more. */
  readonly #handle = (connection: ForwardedConnection, number: number, message: XdrReader): boolean => {
    const { replies } = connection;
    const { writer } = replies;
    connection.number = number;
    writer.ensure(REPLY_SIZE);
    const start = writer.position;
    if (connection.hasEnded || !this.#order.isCurrent(connection.place)) {
      // Not executed. An answer without bytes: its thread ends the connection.
      replies.wrote(number, start, REFUSED, 0);
      return true;
    }
    const { dispatcher } = connection;
    const outcome = dispatcher.handle(message, writer);
    if (outcome === 'refused') {
      this.#hooks.onRefused();
      return false;
    }
    if (outcome === 'answered') replies.wrote(number, start, dispatcher.status, dispatcher.byteCount);
    return true;
  };

  /** In every connection thread. */
  forget(volume: Volume, identity: FileIdentity): void {
    for (const { replies } of this.#threads.values()) replies.forget(volume, identity);
  }

  forgetCallers(): void {
    for (const { connections } of this.#threads.values()) {
      for (const { caller } of connections.values()) caller.forget();
    }
  }
}
