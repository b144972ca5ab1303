/**
 * The way of a call from the thread that holds its connection to the thread that changes its volume, and of the
 * reply back. Calls of one turn of the event loop travel together (call-batch.ts).
 */
import type { AnswerListener } from '../volume/reply-cache.ts';
import { BATCH_SIZE, BatchReader, BatchWriter, entrySize, LONG_BATCH_SIZE } from './call-batch.ts';
import type { Route } from './dispatcher.ts';
import type { CallsMessage, Channel, ForgottenObject, RepliesMessage } from './thread-messages.ts';

/** Buffers that are kept for the next batch. */
const KEPT_MAX = 16;

/** The way to the thread of one volume, with what waits for that volume. */
export class VolumeRoute implements Route {
  readonly volume: string;
  readonly forwarder: CallForwarder;
  heldSize: number;

  constructor(volume: string, forwarder: CallForwarder) {
    this.volume = volume;
    this.forwarder = forwarder;
    this.heldSize = 0;
  }

  forward(
    connection: number,
    host: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    answer: AnswerListener,
  ): void {
    this.forwarder.forward(this, connection, host, bytes, start, end, answer);
  }
}

interface Outstanding {
  readonly route: VolumeRoute;
  readonly answer: AnswerListener;
  /** performance.now() */
  readonly sinceMs: number;
}

export class CallForwarder {
  private readonly session: number;
  private readonly channel: Channel;
  private readonly onForgotten: (objects: readonly ForgottenObject[]) => void;
  private readonly outstanding: Map<number, Outstanding>;
  private nextNumber: number;
  private batch: BatchWriter | null;
  private scheduled: boolean;
  private readonly known: Set<number>;
  private callers: (readonly [id: number, host: string])[];
  private gone: number[];
  private readonly spare: ArrayBuffer[];
  private readonly spareLong: ArrayBuffer[];

  constructor(session: number, channel: Channel, onForgotten: (objects: readonly ForgottenObject[]) => void) {
    this.session = session;
    this.channel = channel;
    this.onForgotten = onForgotten;
    this.outstanding = new Map();
    this.nextNumber = 1;
    this.batch = null;
    this.scheduled = false;
    this.known = new Set();
    this.callers = [];
    this.gone = [];
    this.spare = [];
    this.spareLong = [];
  }

  /** The call bytes[start .. end) of a connection; copied before this returns. */
  forward(
    route: VolumeRoute,
    connection: number,
    host: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    answer: AnswerListener,
  ): void {
    if (!this.known.has(connection)) {
      this.known.add(connection);
      this.callers.push([connection, host]);
    }
    const number = this.nextNumber;
    this.nextNumber = number === 0xffffffff ? 1 : number + 1;
    this.outstanding.set(number, { route, answer, sinceMs: performance.now() });
    const size = end - start;
    if (this.batch !== null && !this.batch.hasRoom(size)) this.post();
    this.batch ??= new BatchWriter(this.takeBuffer(entrySize(size)));
    this.batch.add(number, connection, bytes, start, end);
    if (this.scheduled) return;
    // Behind all sockets that have something to read in this turn of the loop.
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.post();
    });
  }

  connectionEnded(connection: number): void {
    if (this.known.delete(connection)) this.gone.push(connection);
  }

  /** The volume of the call that has waited longest, and since when (performance.now()); null: none waits. */
  get longestWaiting(): { readonly volume: string; readonly sinceMs: number } | null {
    for (const { route, sinceMs } of this.outstanding.values()) return { volume: route.volume, sinceMs };
    return null;
  }

  private takeBuffer(size: number): ArrayBuffer {
    if (size <= BATCH_SIZE) return this.spare.pop() ?? new ArrayBuffer(BATCH_SIZE);
    return this.spareLong.pop() ?? new ArrayBuffer(Math.max(size, LONG_BATCH_SIZE));
  }

  private post(): void {
    const { batch, session, callers, gone } = this;
    if (batch === null) return;
    this.batch = null;
    this.callers = [];
    this.gone = [];
    const { buffer, position: size } = batch;
    const message: CallsMessage = { kind: 'calls', session, batch: buffer, size, callers, gone };
    this.channel.postMessage(message, [buffer]);
  }

  receive(message: RepliesMessage): void {
    for (const buffer of message.spent) this.keep(buffer);
    if (message.session !== this.session) return;
    if (message.forgotten.length > 0) this.onForgotten(message.forgotten);
    const entries = new BatchReader(message.batch, message.size);
    while (entries.next()) {
      const waiting = this.outstanding.get(entries.number);
      this.outstanding.delete(entries.number);
      waiting?.answer(entries.bytes.subarray(entries.start, entries.end));
    }
  }

  /** Gives back the memory of buffers that nobody needs at the moment. */
  trim(): void {
    this.spare.length >>= 1;
    this.spareLong.length >>= 1;
  }

  private keep(buffer: ArrayBuffer): void {
    const list = buffer.byteLength === BATCH_SIZE ? this.spare : this.spareLong;
    if (list.length < KEPT_MAX) list.push(buffer);
  }
}
