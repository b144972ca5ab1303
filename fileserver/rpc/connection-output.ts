/** Output of one connection: replies are written into the slabs of its thread, and handed to its socket in one go. */

import type { Socket } from 'node:net';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import {
  ACCEPTED_HEADER_SIZE,
  accept_stat,
  encodeAcceptedError,
  encodeSuccessHeader,
} from '../../protocol/rpc.ts';
import type { XdrWriter } from '../../protocol/xdr.ts';
import type { CallFigures } from './call-figures.ts';
import type { OutputSlabs, Slab } from './output-slabs.ts';
import { UntakenReplies } from './untaken-replies.ts';

/** Bytes before the results of a procedure: record mark and accepted header. */
const ANSWER_HEADER_SIZE = 4 + ACCEPTED_HEADER_SIZE;

export interface OutputHooks {
  /** R2: immediately before bytes of replies are handed to the socket. */
  readonly mayServe: () => boolean;
  /** The lease is gone: the port is to be fenced. */
  readonly onLeaseExpired: () => void;
  readonly onWritten: () => void;
}

/** A reply that came after its call was handled. */
export interface LateReply {
  /** Transaction id of the call. */
  readonly xid: number;
  /** `bytes` is the whole record; otherwise the results alone. */
  readonly whole: boolean;
  /** null: there is none, and the reply is SYSTEM_ERR. */
  readonly bytes: Uint8Array | null;
}

export class ConnectionOutput {
  readonly #socket: Socket;
  readonly #slabs: OutputSlabs;
  readonly #figures: CallFigures;
  readonly #hooks: OutputHooks;
  readonly #untaken: UntakenReplies;
  /** Slab and place where bytes begin that are not handed to the socket yet. */
  #slab: Slab;
  #unsent: number;
  #closed: boolean;

  constructor(socket: Socket, slabs: OutputSlabs, figures: CallFigures, hooks: OutputHooks) {
    this.#socket = socket;
    this.#slabs = slabs;
    this.#figures = figures;
    this.#hooks = hooks;
    this.#untaken = new UntakenReplies();
    this.#slab = slabs.withRoom(0);
    this.#unsent = this.#slab.w.position;
    this.#closed = false;
  }

  /** Writer of the next reply, after begin() and makeRoom(). */
  get w(): XdrWriter {
    return this.#slab.w;
  }

  /** The slab is everybody's: from here to flush() it is this connection's alone, in one go. */
  begin(): void {
    this.#slab = this.#slabs.withRoom(0);
    this.#unsent = this.#slab.w.position;
  }

  /** For a reply of so many bytes. */
  makeRoom(size: number): void {
    const slabs = this.#slabs;
    if (slabs.hasRoom(size)) return;
    this.flush();
    this.#slab = slabs.withRoom(size);
    this.#unsent = this.#slab.w.position;
  }

  /** Hands everything written since begin() to the socket (R2: if it may still be answered). */
  flush(): void {
    const slab = this.#slab;
    const unsent = this.#unsent;
    const { position } = slab.w;
    if (position === unsent) return;
    this.#unsent = position;
    if (this.#closed) return;
    if (!this.#hooks.mayServe()) {
      this.#hooks.onLeaseExpired();
      return;
    }
    this.#figures.sent();
    slab.inFlight += 1;
    this.#socket.write(slab.w.bytes.subarray(unsent, position), slab.taken);
    this.#hooks.onWritten();
  }

  /** Between begin() and flush(). */
  write({ xid, whole, bytes }: LateReply): void {
    const size = bytes?.length ?? 0;
    this.makeRoom(size + ANSWER_HEADER_SIZE);
    const { w } = this.#slab;
    w.ensure(size + ANSWER_HEADER_SIZE);
    const start = w.position;
    const bare = !whole || bytes === null;
    if (bare) beginRecord(w);
    if (bytes === null) encodeAcceptedError(w, xid, accept_stat.SYSTEM_ERR);
    else {
      if (bare) encodeSuccessHeader(w, xid);
      w.bytes.set(bytes, w.position);
      w.position += size;
    }
    if (bare) endRecord(w, start);
  }

  /** Nothing more is handed to the socket. */
  close(): void {
    this.#closed = true;
  }

  /** Bytes of replies that the client has not taken yet. */
  get waitingSize(): number {
    return this.#socket.writableLength + this.#slab.w.position - this.#unsent;
  }

  /** All connections of the thread together have so much waiting that this one writes nothing more. */
  get isFull(): boolean {
    const slabs = this.#slabs;
    return slabs.isFull || (slabs.isShort && this.#socket.writableLength > 0);
  }

  /** Asked once a second: has the client left its replies for so long that the connection has to end? */
  isLeft(): boolean {
    const socket = this.#socket;
    const waiting = socket.writableLength;
    // Node's own count shrinks only with each complete write; libuv's with every byte.
    const { _handle } = socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } };
    const open = _handle?.writeQueueSize ?? waiting;
    return this.#untaken.isOverdue(waiting, socket.bytesWritten - waiting, open, this.#slabs.isShort);
  }
}
