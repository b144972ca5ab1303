/** The calls without a reply: kept to be sent again, in their order, as many at a time as the window admits. */
import { admits, afterAnswer, afterFruitless, OPEN_WINDOW, type ResendWindow } from './resend-window.ts';

export interface UnansweredCall {
  readonly xid: number;
  /** The complete record with its mark in parts, exactly as it is sent, now and again. */
  readonly parts: readonly Uint8Array[];
  readonly size: number;
  /** When the caller sent it, whatever connection there was; on performance.now(). */
  readonly begunAtMs: number;
  /** When it was handed to the present connection; Infinity while it waits for one, or for room. */
  sentAtMs: number;
  /** How much that connection had been given by then, this call included. Bytes. */
  sentUpTo: number;
}

export class UnansweredCalls {
  /** In the order in which they were sent first. */
  readonly #calls = new Map<number, UnansweredCall>();
  #size = 0;
  #window: ResendWindow = OPEN_WINDOW;
  /** Bytes of those on the adopted connection. */
  #inFlight = 0;
  #inFlightCount = 0;
  /** Calls that wait for the window, in order, from unsent[unsentAt] on; some may be forgotten. */
  #unsent: UnansweredCall[] = [];
  #unsentAt = 0;

  get count(): number {
    return this.#calls.size;
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  has(xid: number): boolean {
    return this.#calls.has(xid);
  }

  get(xid: number): UnansweredCall | undefined {
    return this.#calls.get(xid);
  }

  /** The first that was sent; undefined: there is none. */
  get oldest(): UnansweredCall | undefined {
    return this.#calls.values().next().value;
  }

  /** The only one on the connection; null: there are more, or none. */
  get loneInFlight(): UnansweredCall | null {
    const { oldest } = this;
    if (this.#inFlightCount !== 1 || oldest === undefined) return null;
    return oldest.sentAtMs === Number.POSITIVE_INFINITY ? null : oldest;
  }

  add(xid: number, parts: readonly Uint8Array[]): UnansweredCall {
    if (this.#calls.has(xid)) throw new Error(`XID ${xid} is outstanding already`);
    let size = 0;
    for (const part of parts) size += part.length;
    const begunAtMs = performance.now();
    const sentAtMs = Number.POSITIVE_INFINITY;
    const call: UnansweredCall = { xid, parts, size, begunAtMs, sentAtMs, sentUpTo: 0 };
    this.#calls.set(xid, call);
    this.#size += size;
    return call;
  }

  /** Removes it; null: there is none. */
  take(xid: number): UnansweredCall | null {
    const call = this.#calls.get(xid);
    if (!call) return null;
    this.#calls.delete(xid);
    this.#size -= call.size;
    if (call.sentAtMs !== Number.POSITIVE_INFINITY) {
      this.#inFlight -= call.size;
      this.#inFlightCount -= 1;
    }
    return call;
  }

  clear(): void {
    this.#calls.clear();
    this.#size = 0;
    this.#unsent = [];
    this.#unsentAt = 0;
  }

  /** True: a new call goes out at once. False: it waits, behind those that wait already. */
  admit(call: UnansweredCall): boolean {
    if (this.#unsent.length === 0 && admits(this.#window, this.#inFlight, call.size)) return true;
    this.#unsent.push(call);
    return false;
  }

  /** The next of those that wait, if the window admits it; null: nothing to send now. */
  nextToSend(): UnansweredCall | null {
    const unsent = this.#unsent;
    while (this.#unsentAt < unsent.length) {
      const call = unsent[this.#unsentAt]!;
      const isForgotten = this.#calls.get(call.xid) !== call;
      if (!isForgotten && !admits(this.#window, this.#inFlight, call.size)) return null;
      this.#unsentAt += 1;
      if (!isForgotten) return call;
    }
    if (unsent.length > 0) this.#unsent = [];
    this.#unsentAt = 0;
    return null;
  }

  /** It was given to the connection, which has `queued` bytes now. */
  sent(call: UnansweredCall, now: number, queued: number): void {
    call.sentAtMs = now;
    call.sentUpTo = queued;
    this.#inFlight += call.size;
    this.#inFlightCount += 1;
  }

  /** After the reply to this one: the window may admit more. */
  answered(call: UnansweredCall, now: number): void {
    this.#window = afterAnswer(this.#window, call.size, now);
  }

  /** The calls on the connection were not answered: fewer bytes at a time from now on. */
  narrow(now: number): void {
    this.#window = afterFruitless(this.#window, this.#inFlight, now);
  }

  /** The connection has ended: none of them is on its way. */
  detach(): void {
    for (const call of this.#calls.values()) call.sentAtMs = Number.POSITIVE_INFINITY;
  }

  /** All of them wait for a new connection. */
  restart(): void {
    this.#inFlight = 0;
    this.#inFlightCount = 0;
    this.#unsent = [...this.#calls.values()];
    this.#unsentAt = 0;
  }
}
