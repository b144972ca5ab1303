/**
 * The calls of one client: kept until they are answered, and sent in their order by the connection that is adopted, now and
 * again. A long call is sent while it arrives.
 */
import type { NativeBuffer } from '../../../native/native-buffer.ts';
import { admits, afterAnswer, afterFruitless, OPEN_WINDOW, type ResendWindow } from '../../resend-window.ts';
import type { CallSlabs, Slab } from './call-slabs.ts';
import { send, WOULD_BLOCK } from './system-calls.ts';

const NOT_SENT = Number.POSITIVE_INFINITY;
/** Calls that are sent stay in the list of those to be sent up to this number, if there are always more to send. */
const SENT_KEPT_MAX = 1000;

export class KeptCall {
  /** As a signed number: a map of larger ones is slower. */
  readonly key: number;
  /** Size of the whole record, with its mark. Bytes. */
  readonly size: number;
  /** Its first `headSize` bytes; the rest is in `body`. */
  slab: Slab;
  start: number;
  readonly headSize: number;
  readonly body: NativeBuffer | null;
  /** How much of it has arrived. */
  received: number;
  /** Its reply may be passed on before it is whole. */
  readonly isRead: boolean;
  /** One of the proxy's own. */
  readonly isOwn: boolean;
  /** When it came. */
  begunAtMs = 0;
  /** When its first byte was given to the present connection. */
  sentAtMs = NOT_SENT;

  constructor(
    key: number,
    size: number,
    slab: Slab,
    start: number,
    headSize: number,
    body: NativeBuffer | null,
    isRead: boolean,
    isOwn: boolean,
  ) {
    this.key = key;
    this.size = size;
    this.slab = slab;
    this.start = start;
    this.headSize = headSize;
    this.body = body;
    this.received = headSize;
    this.isRead = isRead;
    this.isOwn = isOwn;
  }

  get isWhole(): boolean {
    return this.received === this.size;
  }

  /** Its first bytes, with the record mark. */
  head(): Uint8Array {
    return this.slab.bytes.subarray(this.start, this.start + this.headSize);
  }
}

/** Result of sendSome(): a negative errno is the end of the connection. */
export const SENT_ALL = 0;
export const NO_ROOM = 1;

export class KeptCalls {
  readonly #slabs: CallSlabs;
  /** In the order in which they came. */
  readonly #calls = new Map<number, KeptCall>();
  /** Calls to be sent, from `at` on; `offset` bytes of the first are sent. */
  #toSend: KeptCall[] = [];
  #at = 0;
  #offset = 0;
  /** While it waits for its reply nothing else is sent. */
  #alone: KeptCall | null = null;
  #window: ResendWindow = OPEN_WINDOW;
  #inFlight = 0;
  #inFlightCount = 0;
  /** Bytes. */
  size = 0;
  /** Bytes given to connections so far. */
  sentSize = 0;

  readonly #clock: { readonly now: number };

  constructor(slabs: CallSlabs, clock: { readonly now: number }) {
    this.#slabs = slabs;
    this.#clock = clock;
  }

  get count(): number {
    return this.#calls.size;
  }

  get(key: number): KeptCall | undefined {
    return this.#calls.get(key);
  }

  get oldest(): KeptCall | undefined {
    return this.#calls.values().next().value;
  }

  /** The only one on the connection. Null: there are more, or none. */
  get lone(): KeptCall | null {
    const { oldest } = this;
    return this.#inFlightCount !== 1 || oldest === undefined || oldest.sentAtMs === NOT_SENT ? null : oldest;
  }

  /** There is more to send than has been sent. */
  get isBehind(): boolean {
    return this.#at < this.#toSend.length;
  }

  /** Its memory belongs to it from here on. */
  add(call: KeptCall): void {
    call.begunAtMs = this.#clock.now;
    this.#calls.set(call.key, call);
    this.size += call.size;
    this.#slabs.keep(call.slab, call.headSize);
    if (this.#at > SENT_KEPT_MAX) this.#forgetSent();
    this.#toSend.push(call);
  }

  /** Has all of it been given to the connection? */
  isSent(call: KeptCall): boolean {
    return call.isWhole && (this.#at === this.#toSend.length || !this.#toSend.includes(call, this.#at));
  }

  /** Before all calls that have not begun to be sent. */
  addOwn(calls: readonly KeptCall[]): void {
    this.#toSend.splice(this.#offset === 0 ? this.#at : this.#at + 1, 0, ...calls);
  }

  /** The call is answered. */
  take(call: KeptCall, now: number): void {
    this.#forget(call);
    if (call === this.#alone) this.#alone = null;
    if (this.#window !== OPEN_WINDOW) this.#window = afterAnswer(this.#window, call.size, now);
  }

  /** The call is not answered. */
  drop(call: KeptCall): void {
    this.#forget(call);
    const at = this.#toSend.indexOf(call, this.#at);
    if (at >= 0) this.#toSend.splice(at, 1);
  }

  /** The connection has ended. */
  detach(): void {
    for (const call of this.#calls.values()) call.sentAtMs = NOT_SENT;
    this.#toSend = [];
    this.#at = 0;
    this.#offset = 0;
  }

  /**
   * On a new connection: all of them are to be sent, behind `own`. `first`: the reply to this one had begun; it comes before the
   * others, and alone.
   */
  restart(own: readonly KeptCall[], first: KeptCall | null): void {
    this.#inFlight = 0;
    this.#inFlightCount = 0;
    this.#alone = first;
    const calls = [...this.#calls.values()];
    this.#toSend =
      first === null ? [...own, ...calls] : [...own, first, ...calls.filter((each) => each !== first)];
    this.#at = 0;
    this.#offset = 0;
  }

  /** The calls on the connection have not been answered: fewer bytes at a time from now on. */
  narrow(now: number): void {
    this.#window = afterFruitless(this.#window, this.#inFlight, now);
  }

  /** Sends what there is, as far as socket and window have room. */
  sendSome(fd: number, now: number): number {
    const toSend = this.#toSend;
    while (this.#at < toSend.length) {
      const call = toSend[this.#at]!;
      if (!this.#begin(call, now)) return SENT_ALL;
      const offset = this.#offset;
      let address: number;
      let size: number;
      if (offset < call.headSize) {
        address = call.slab.address + call.start + offset;
        size = call.headSize - offset + (call.body === null ? this.#sizeBehind(call, now) : 0);
      } else {
        address = call.body!.address + offset - call.headSize;
        size = call.received - offset;
        if (size === 0) return SENT_ALL;
      }
      const sent = send(fd, address, size);
      if (sent < 0) return sent === WOULD_BLOCK ? NO_ROOM : sent;
      this.sentSize += sent;
      this.#advance(sent);
      if (sent < size) return NO_ROOM;
    }
    if (toSend.length > 0) {
      toSend.length = 0;
      this.#at = 0;
    }
    return SENT_ALL;
  }

  /** Out of slabs that are nearly empty. */
  move(): void {
    for (const call of this.#calls.values()) {
      const { slab, headSize } = call;
      if (!this.#slabs.isNearlyEmpty(slab)) continue;
      const to = this.#slabs.withRoom(headSize);
      to.bytes.set(call.head(), to.used);
      call.slab = to;
      call.start = to.used;
      to.used += headSize;
      this.#slabs.keep(to, headSize);
      this.#slabs.release(slab, headSize);
    }
  }

  /** Gives all memory back. */
  clear(): void {
    for (const call of [...this.#calls.values()]) this.#forget(call);
    this.#toSend = [];
    this.#at = 0;
  }

  #forgetSent(): void {
    this.#toSend.splice(0, this.#at);
    this.#at = 0;
  }

  #forget(call: KeptCall): void {
    this.#calls.delete(call.key);
    this.size -= call.size;
    if (call.sentAtMs !== NOT_SENT) {
      this.#inFlight -= call.size;
      this.#inFlightCount -= 1;
    }
    this.#slabs.release(call.slab, call.headSize);
    if (call.body !== null) this.#slabs.releaseBody(call.body);
  }

  /** False: the window does not admit it yet. */
  #begin(call: KeptCall, now: number): boolean {
    if (call.sentAtMs !== NOT_SENT || call.isOwn) return true;
    if (this.#alone !== null && call !== this.#alone) return false;
    if (this.#window !== OPEN_WINDOW && !admits(this.#window, this.#inFlight, call.size)) return false;
    call.sentAtMs = now;
    this.#inFlight += call.size;
    this.#inFlightCount += 1;
    return true;
  }

  /** Bytes of the calls that lie right behind this one in memory, and may be sent with it. */
  #sizeBehind(call: KeptCall, now: number): number {
    const toSend = this.#toSend;
    let size = 0;
    let end = call.start + call.headSize;
    for (let i = this.#at + 1; i < toSend.length; i++) {
      const next = toSend[i]!;
      if (next.slab !== call.slab || next.start !== end || !this.#begin(next, now)) break;
      size += next.headSize;
      end += next.headSize;
      if (next.body !== null) break;
    }
    return size;
  }

  #advance(sent: number): void {
    while (sent > 0) {
      const call = this.#toSend[this.#at]!;
      const left = (this.#offset < call.headSize ? call.headSize : call.received) - this.#offset;
      const step = Math.min(sent, left);
      this.#offset += step;
      sent -= step;
      if (this.#offset < call.size) continue;
      this.#at += 1;
      this.#offset = 0;
    }
  }
}
