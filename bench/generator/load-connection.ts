/**
 * One connection that keeps `depth` calls in flight. Everything that arrives in one piece is decoded, the calls that take the
 * place of the answered ones are packed into one buffer, and written at once.
 */

import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { RecordParser } from '../../protocol/record.ts';
import { decodeReplyHeader, ReplyHeader } from '../../protocol/rpc.ts';
import type { XdrReader } from '../../protocol/xdr.ts';
import { XdrWriter } from '../../protocol/xdr.ts';

const REPLY_SIZE_MAX = 2 * 1024 * 1024;
/** Large enough for several long replies, so that the number of system calls does not depend on Node's default. */
const RECEIVE_BUFFER_SIZE = 1024 * 1024;
const SEND_BUFFER_SIZE = 64 * 1024;

/** What a connection asks of the work it carries. Slots are 0..depth-1; each has one call in flight. */
export interface Load {
  /** Packs the slot's next call, record mark included. Returns payload to be sent right after it, or null. */
  encode(w: XdrWriter, xid: number, slot: number): Uint8Array | null;
  /** The slot's call succeeded; `r` stands at its results. true: an operation is complete (it may be several calls). */
  decode(r: XdrReader, slot: number): boolean;
}

/** Told of each completed operation: when its (last) call was packed. performance.now(), milliseconds. */
export type OnOperation = (startedAtMs: number) => void;

export class LoadConnection {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #load: Load;
  readonly #depth: number;
  readonly #onOperation: OnOperation;
  readonly #onFailure: (error: Error) => void;
  readonly #parser = new RecordParser(REPLY_SIZE_MAX);
  readonly #header = new ReplyHeader();
  readonly #w = new XdrWriter(SEND_BUFFER_SIZE);
  /** Calls made by each slot. A call's xid is count * depth + slot. */
  readonly #counts: Uint32Array;
  readonly #startedAtMs: Float64Array;
  #inFlight = 0;
  #stopping = false;

  constructor(
    host: string,
    port: number,
    depth: number,
    load: Load,
    onOperation: OnOperation,
    onFailure: (error: Error) => void,
  ) {
    this.#load = load;
    this.#depth = depth;
    this.#onOperation = onOperation;
    this.#onFailure = onFailure;
    this.#counts = new Uint32Array(depth);
    this.#startedAtMs = new Float64Array(depth);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const buffer = new Uint8Array(RECEIVE_BUFFER_SIZE);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (size: number) => {
          this.#receive(buffer, size);
          return true;
        },
      },
    });
    this.#socket.on('connect', () => this.#start());
    this.#socket.on('error', onFailure);
    this.#socket.on('close', () => {
      if (this.#inFlight > 0) onFailure(new Error('the server closed the connection'));
      resolve();
    });
  }

  /** Makes no more calls; closes when the last one is answered. */
  stop(): void {
    this.#stopping = true;
    if (this.#inFlight === 0) this.#socket.destroy();
  }

  #start(): void {
    for (let slot = 0; slot < this.#depth; slot++) this.#call(slot);
    this.#flush();
  }

  #call(slot: number): void {
    this.#startedAtMs[slot] = performance.now();
    const xid = (this.#counts[slot]! * this.#depth + slot) >>> 0;
    const payload = this.#load.encode(this.#w, xid, slot);
    this.#inFlight += 1;
    if (payload === null) return;
    this.#flush();
    this.#socket.write(payload);
  }

  #flush(): void {
    if (this.#w.position === 0) return;
    this.#socket.write(this.#w.written());
    // With nothing queued the kernel has taken all of it, and the buffer is ours again.
    if (this.#socket.writableLength === 0) this.#w.reset();
    else this.#w.renew(SEND_BUFFER_SIZE);
  }

  #receive(buffer: Uint8Array, size: number): void {
    try {
      this.#parser.push(buffer, size);
      while (this.#parser.next()) this.#answered(this.#parser.record);
      this.#flush();
      if (this.#stopping && this.#inFlight === 0) this.#socket.destroy();
    } catch (error) {
      this.#inFlight = 0;
      this.#socket.destroy();
      this.#onFailure(error as Error);
    }
  }

  #answered(r: XdrReader): void {
    decodeReplyHeader(r, this.#header);
    const slot = this.#header.xid % this.#depth;
    const expected = (this.#counts[slot]! * this.#depth + slot) >>> 0;
    if (this.#header.xid !== expected)
      throw new Error(`reply to xid ${this.#header.xid}, expected ${expected}`);
    if (this.#header.kind !== 'success') throw new Error(`the call was refused: ${this.#header.kind}`);
    this.#inFlight -= 1;
    this.#counts[slot]! += 1;
    if (this.#load.decode(r, slot)) this.#onOperation(this.#startedAtMs[slot]!);
    if (!this.#stopping) this.#call(slot);
  }
}
