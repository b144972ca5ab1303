/**
 * The way of a call from the thread that holds its connection to the thread that changes its volume, and of the
 * reply back. Calls of one turn of the event loop travel together (call-batch.ts).
 */
import { performance } from 'node:perf_hooks';
import { BATCH_SIZE, BatchReader, BatchWriter, entrySize, wrapEntry } from '../rpc/call-batch.ts';
import type { Route } from '../rpc/dispatcher.ts';
import type { ForwardingConnection } from '../rpc/forwarding-connection.ts';
import type { LongRecords } from '../rpc/long-records.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import { NO_CALL } from '../storage/handles/forgotten-object.ts';
import { nextTurn } from '../system/turns.ts';
import type { CallsMessage, Channel, RepliesMessage } from './thread-messages.ts';

/** Memory for one batch. */
interface Memory {
  readonly number: number;
  readonly shared: SharedArrayBuffer;
  /** The receiver has it. */
  known: boolean;
}

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
    connection: ForwardingConnection,
    bytes: Uint8Array,
    start: number,
    end: number,
    reply: ReplyListener,
  ): void {
    this.forwarder.forward(this, connection, bytes, start, end, reply);
  }
}

/** A volume whose removed objects give back their space. */
export interface FreedSpace {
  /** Calls back when they have, or take too long to wait for it; at once if there are none. */
  whenFreed(done: () => void): void;
}

/** Objects that a thread has open and that others remove. */
export interface OpenObjects {
  /**
   * Closes the object, which may have lost its last name, as forgotten-object.ts has it at bytes[start .. end). Returns its
   * volume, if that is open here.
   */
  forget(bytes: Uint8Array, start: number, end: number): FreedSpace | null;
}

interface Outstanding {
  readonly route: VolumeRoute;
  readonly reply: ReplyListener;
  /** performance.now() */
  sinceMs: number;
  /** It waits for other calls, in a thread that is at work. */
  queued: boolean;
}

class SpareMemory {
  readonly #list: Memory[];
  /** The fewest that lay here since the last trim(). */
  #unused: number;

  constructor() {
    this.#list = [];
    this.#unused = 0;
  }

  take(): Memory | null {
    const memory = this.#list.pop() ?? null;
    this.#unused = Math.min(this.#unused, this.#list.length);
    return memory;
  }

  give(memory: Memory): void {
    this.#list.push(memory);
  }

  trim(): Memory[] {
    const trimmed = this.#list.splice(0, this.#unused);
    this.#unused = this.#list.length;
    return trimmed;
  }
}

export class CallForwarder {
  readonly #session: number;
  readonly #channel: Channel;
  readonly #objects: OpenObjects;
  readonly #outstanding: Map<number, Outstanding>;
  #nextNumber: number;
  /** The last word of the receiver. performance.now() */
  #heardMs: number;
  #batch: BatchWriter | null;
  #batchMemory: Memory | null;
  #scheduled: boolean;
  readonly #known: Set<number>;
  #callers: ForwardingConnection[];
  #gone: number[];
  readonly #memories: Map<number, Memory>;
  #memoryCount: number;
  #dropped: number[];
  readonly #spare: SpareMemory;
  readonly #longRecords: LongRecords;
  /** Memory of long records that the receiver knows. */
  readonly #longMemories: Map<SharedArrayBuffer, Memory>;

  constructor(session: number, channel: Channel, longRecords: LongRecords, objects: OpenObjects) {
    this.#longRecords = longRecords;
    this.#longMemories = new Map();
    this.#session = session;
    this.#channel = channel;
    this.#objects = objects;
    this.#outstanding = new Map();
    this.#nextNumber = 1;
    this.#heardMs = 0;
    this.#batch = null;
    this.#batchMemory = null;
    this.#memories = new Map();
    this.#memoryCount = 0;
    this.#dropped = [];
    this.#scheduled = false;
    this.#known = new Set();
    this.#callers = [];
    this.#gone = [];
    this.#spare = new SpareMemory();
  }

  /** The call bytes[start .. end) of a connection; copied before this returns, or in memory that goes with it. */
  forward(
    route: VolumeRoute,
    connection: ForwardingConnection,
    bytes: Uint8Array,
    start: number,
    end: number,
    reply: ReplyListener,
  ): void {
    const { id } = connection;
    if (!this.#known.has(id)) {
      this.#known.add(id);
      const { host, port, place, clientKey } = connection;
      this.#callers.push({ id, host, port, place, clientKey });
    }
    const number = this.#nextNumber;
    this.#nextNumber = number === 0xffffffff ? 1 : number + 1;
    this.#outstanding.set(number, { route, reply, sinceMs: performance.now(), queued: false });
    const size = end - start;
    const passedOn = this.#longRecords.passOn(bytes, start);
    if (passedOn !== null) {
      this.#post();
      const memory = this.#longMemory(passedOn);
      this.#send(memory, wrapEntry(passedOn, number, id, size));
      return;
    }
    this.#begin(size).add(number, id, bytes, start, end);
  }

  connectionEnded(connection: number): void {
    if (!this.#known.delete(connection)) return;
    this.#gone.push(connection);
    // Perhaps its calls: then the receiver should know now.
    if (this.#outstanding.size > 0) this.#begin(0);
  }

  /** A batch with room for an entry; it is sent in this turn. */
  #begin(size: number): BatchWriter {
    if (this.#batch !== null && !this.#batch.hasRoom(size)) this.#post();
    if (this.#batch === null) {
      this.#batchMemory = this.#takeMemory(entrySize(size));
      this.#batch = new BatchWriter(this.#batchMemory.shared);
    }
    if (!this.#scheduled) {
      // The batch waits for all sockets that have something to read in this turn of the loop.
      this.#scheduled = true;
      nextTurn(() => {
        this.#scheduled = false;
        this.#post();
      });
    }
    return this.#batch;
  }

  /** Calls without an answer, also of connections that have ended. */
  get outstandingCount(): number {
    return this.#outstanding.size;
  }

  /**
   * The volume of the call that has been silent longest, and since when (performance.now()); null: none waits. A call that waits for
   * others counts from the last word of the thread that executes those.
   */
  get longestWaiting(): { readonly volume: string; readonly sinceMs: number } | null {
    let longest: { readonly volume: string; readonly sinceMs: number } | null = null;
    for (const { route, sinceMs: since, queued } of this.#outstanding.values()) {
      const sinceMs = queued ? this.#heardMs : since;
      if (longest === null || sinceMs < longest.sinceMs) longest = { volume: route.volume, sinceMs };
    }
    return longest;
  }

  #takeMemory(size: number): Memory {
    if (size > BATCH_SIZE) return this.#longMemory(this.#longRecords.takeMemory());
    return this.#spare.take() ?? this.#newMemory(new SharedArrayBuffer(BATCH_SIZE));
  }

  #newMemory(shared: SharedArrayBuffer): Memory {
    this.#memoryCount += 1;
    const memory: Memory = { number: this.#memoryCount, shared, known: false };
    this.#memories.set(memory.number, memory);
    return memory;
  }

  #longMemory(shared: SharedArrayBuffer): Memory {
    let memory = this.#longMemories.get(shared);
    if (memory === undefined) {
      memory = this.#newMemory(shared);
      this.#longMemories.set(shared, memory);
    }
    return memory;
  }

  #post(): void {
    const batch = this.#batch;
    const batchMemory = this.#batchMemory;
    if (batch === null || batchMemory === null) return;
    this.#batch = null;
    this.#batchMemory = null;
    this.#send(batchMemory, batch.position);
  }

  #send(batchMemory: Memory, size: number): void {
    const session = this.#session;
    const callers = this.#callers;
    const gone = this.#gone;
    const dropped = this.#dropped;
    this.#callers = [];
    this.#gone = [];
    this.#dropped = [];
    const { number, shared, known } = batchMemory;
    batchMemory.known = true;
    const message: CallsMessage = {
      kind: 'calls',
      session,
      batch: number,
      memory: known ? null : shared,
      size,
      callers,
      gone,
      dropped,
    };
    this.#channel.postMessage(message);
  }

  receive(message: RepliesMessage): void {
    if (message.session !== this.#session) return;
    for (const number of message.spent) this.#keep(number);
    this.#heard(message);
    const entries = new BatchReader(message.batch, message.size);
    let more = entries.next();
    const freed = new Set<FreedSpace>();
    // They come before the answers of those who removed them.
    for (; more && entries.number === NO_CALL; more = entries.next()) {
      const volume = this.#objects.forget(entries.bytes, entries.start, entries.end);
      if (volume !== null) freed.add(volume);
    }
    if (freed.size === 0) this.#answer(entries, more);
    else whenAllFreed(freed, () => this.#answer(entries, more));
  }

  #heard({ queued, begun }: RepliesMessage): void {
    this.#heardMs = performance.now();
    for (const number of queued ?? []) this.#move(number, true);
    for (const number of begun ?? []) this.#move(number, false);
  }

  #move(number: number, queued: boolean): void {
    const call = this.#outstanding.get(number);
    if (call === undefined) return;
    call.queued = queued;
    call.sinceMs = this.#heardMs;
  }

  #answer(entries: BatchReader, more: boolean): void {
    while (more) {
      const waiting = this.#outstanding.get(entries.number);
      this.#outstanding.delete(entries.number);
      waiting?.reply(entries.bytes.subarray(entries.start, entries.end), entries.tag, entries.count);
      more = entries.next();
    }
  }

  /** Gives back memory that nobody has used since the last call; the receiver hears of it with the next batch. */
  trim(): void {
    for (const memory of this.#spare.trim()) this.#drop(memory);
  }

  /** It was given up by all connections. */
  dropLong(shared: SharedArrayBuffer): void {
    const memory = this.#longMemories.get(shared);
    if (memory === undefined) return;
    this.#longMemories.delete(shared);
    this.#drop(memory);
  }

  #drop({ number }: Memory): void {
    this.#memories.delete(number);
    this.#dropped.push(number);
  }

  #keep(number: number): void {
    const memory = this.#memories.get(number);
    if (memory === undefined) return;
    if (memory.shared.byteLength === BATCH_SIZE) this.#spare.give(memory);
    else this.#longRecords.keep(memory.shared);
  }
}

function whenAllFreed(volumes: ReadonlySet<FreedSpace>, done: () => void): void {
  let waiting = volumes.size;
  const freed = (): void => {
    waiting -= 1;
    if (waiting === 0) done();
  };
  for (const volume of volumes) volume.whenFreed(freed);
}
