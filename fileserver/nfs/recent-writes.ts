/**
 * WRITEs that were executed a moment ago, or are being executed: a copy of one of them is answered, and never executed again.
 * It comes when a client has lost a connection with an answer on it, or has given one up in which the first copy still lies
 * unread: executed then, it would write over what somebody was told since to be there.
 *
 * A call that looks the same need not be a copy: there are clients that count XIDs from the same number each time they start, and
 * of the data only the first bytes are looked at. To take such a call for a copy would lose it. So it is one only if it comes from the
 * same client (ClientKey), and
 *
 *   by the connection of the one that was executed, or by an older one: nobody begins anew there
 *   by a newer one from the same port of the same host: the client has connected again
 *   with a stamp in its credential that only this run of the client has
 *
 * Any other is executed. If it was a copy all the same, then of a WRITE that its client waits for to this moment: who else writes
 * to that place meanwhile has no order with it.
 *
 * In memory, for one owner's time. The copies that lie with an owner before never count: its connections ended with its right.
 * What was executed by it, and is sent again to this one, is executed again (docs/safety.md).
 *
 * A WRITE is known by its XID and a sum of its call up to the first bytes of the data, as in Linux' server, and what is kept of
 * its results is what a client acts on: status, count, how stable it is, the verifier. So a WRITE costs no allocation here, and
 * all of it fits into one MiB. Sums begin with a secret: nobody can make a call that is taken for somebody else's.
 */
import { randomBytes } from 'node:crypto';
import { NFS3_OK, NFS3ERR_JUKEBOX } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { AnswerListener } from '../volume/reply-cache.ts';
import type { Sender } from './origin.ts';

/** WRITEs kept: a set of XIDs that have the same hash, and so many of each. The oldest of a set makes room. */
const SETS = 4096;
const WAYS = 4;
/** Bytes of the data that are looked at. */
const DATA_SIZE = 256;
/** Of WRITE3resok: count, committed, verf. */
const KEPT_SIZE = 16;
/** Spreads XIDs over the sets, however a client counts: Linux' on the wire have the quickest byte first. 2^32 / golden ratio. */
const SPREAD = 0x9e3779b1;

/** Words of a record; the rest of the line is not used. */
const XID = 0;
const SUM = 1;
const STATE = 2;
/** Of the connection that it came by (Origin). */
const NUMBER = 3;
const ADDRESS = 4;
const HOST = 5;
const STATUS = 6;
const KEPT = 7;
/** Whose it is (ClientKey). */
const CLIENT = 11;
const CLIENT_WORDS = 4;
const WORDS = 16;

const EMPTY = 0;
const RUNNING = 1;
const DONE = 2;

/** A WRITE that has come. */
export interface Arrived {
  readonly xid: number;
  /** Of sumOf(). */
  readonly sum: number;
  readonly caller: Sender;
}

export class RecentWrites {
  private readonly secret: number;
  /** A record for each, as long as a line of the processor's cache: a WRITE fetches one or two of them from memory. */
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  /** Which of a set makes room next. */
  private readonly turns: Uint8Array;
  /** Copies of those that are running, by place. */
  private readonly joined: Map<number, AnswerListener[]>;

  constructor() {
    this.secret = randomBytes(4).readUInt32LE();
    this.words = new Int32Array(SETS * WAYS * WORDS);
    this.bytes = new Uint8Array(this.words.buffer);
    this.turns = new Uint8Array(SETS);
    this.joined = new Map();
  }

  /** Of the WRITE that begins at `start` in the reader's buffer and whose data begins at `data`. */
  sumOf(r: XdrReader, start: number, data: number): number {
    return r.sum(start, Math.min(data + DATA_SIZE, r.end), this.secret);
  }

  /** Where what it is a copy of is kept; -1: it is a new one. */
  find(arrived: Arrived): number {
    const { caller } = arrived;
    for (let at = firstOf(arrived), i = 0; i < WAYS; i++, at += WORDS) {
      if (this.looksLike(at, arrived) && this.isCopy(at, caller)) return at;
    }
    return -1;
  }

  private looksLike(at: number, { xid, sum }: Arrived): boolean {
    const { words } = this;
    return words[at + XID] === (xid | 0) && words[at + SUM] === (sum | 0) && words[at + STATE] !== EMPTY;
  }

  private isCopy(at: number, { origin, hasOwnStamp, clientKey }: Arrived['caller']): boolean {
    const { words } = this;
    for (let i = 0; i < CLIENT_WORDS; i++) if (words[at + CLIENT + i] !== clientKey.words[i]) return false;
    if (hasOwnStamp || words[at + ADDRESS] === origin.address) return true;
    return words[at + HOST] === origin.host && origin.number <= words[at + NUMBER]!;
  }

  /** Where it itself is kept; -1: nowhere. */
  private placeOf(arrived: Arrived): number {
    const { number } = arrived.caller.origin;
    for (let at = firstOf(arrived), i = 0; i < WAYS; i++, at += WORDS) {
      if (this.looksLike(at, arrived) && this.words[at + NUMBER] === number) return at;
    }
    return -1;
  }

  /** What find() has not found is being executed, and ended() or forget() follows. */
  begin(arrived: Arrived): void {
    this.keep(arrived, RUNNING);
  }

  /** What find() said is running: the listener is told with the first copy. */
  join(at: number, listener: AnswerListener): void {
    const listeners = this.joined.get(at);
    if (listeners === undefined) this.joined.set(at, [listener]);
    else listeners.push(listener);
  }

  isRunning(at: number): boolean {
    return this.words[at + STATE] === RUNNING;
  }

  /** What find() has not found was executed at once: its results are bytes[start .. end), and are about to be answered. */
  executed(arrived: Arrived, bytes: Uint8Array, start: number, end: number): void {
    const status = wordAt(bytes, start);
    // Sent again, as it asks its client to do, it is executed.
    if (status === NFS3ERR_JUKEBOX) return;
    this.remember(this.keep(arrived, DONE), status, bytes, end);
  }

  /** The same of what has begun. Returns who has joined it, and is to be told too. */
  ended(arrived: Arrived, bytes: Uint8Array): readonly AnswerListener[] {
    const status = wordAt(bytes, 0);
    if (status === NFS3ERR_JUKEBOX) return this.forget(arrived);
    const at = this.placeOf(arrived);
    this.remember(at, status, bytes, bytes.length);
    return this.joinedAt(at);
  }

  /** What has begun was not executed: it counts as one that never came. Returns who has joined it. */
  forget(arrived: Arrived): readonly AnswerListener[] {
    const at = this.placeOf(arrived);
    if (at >= 0) this.words[at + STATE] = EMPTY;
    return this.joinedAt(at);
  }

  private joinedAt(at: number): readonly AnswerListener[] {
    const listeners = this.joined.get(at);
    if (listeners === undefined) return NOBODY;
    this.joined.delete(at);
    return listeners;
  }

  private remember(at: number, status: number, bytes: Uint8Array, end: number): void {
    if (at < 0) return;
    this.words[at + STATE] = DONE;
    this.words[at + STATUS] = status;
    if (status !== NFS3_OK) return;
    const from = end - KEPT_SIZE;
    const to = (at + KEPT) * Int32Array.BYTES_PER_ELEMENT;
    for (let i = 0; i < KEPT_SIZE; i++) this.bytes[to + i] = bytes[from + i]!;
  }

  /** The status of what find() said is done. */
  statusAt(at: number): number {
    return this.words[at + STATUS]!;
  }

  /** Behind status and attributes: the rest of WRITE3resok. */
  encodeKept(w: XdrWriter, at: number): void {
    const start = (at + KEPT) * Int32Array.BYTES_PER_ELEMENT;
    w.opaqueFixed(this.bytes.subarray(start, start + KEPT_SIZE));
  }

  /** In the place of the oldest of its set. -1: nowhere, as all of that are running. */
  private keep(arrived: Arrived, state: number): number {
    const { words } = this;
    const at = this.oldestOf(arrived);
    if (at < 0) return at;
    const { origin, clientKey } = arrived.caller;
    words[at + XID] = arrived.xid;
    words[at + SUM] = arrived.sum;
    words[at + STATE] = state;
    words[at + NUMBER] = origin.number;
    words[at + ADDRESS] = origin.address;
    words[at + HOST] = origin.host;
    for (let i = 0; i < CLIENT_WORDS; i++) words[at + CLIENT + i] = clientKey.words[i]!;
    return at;
  }

  /** What is running stays: copies may wait for it. */
  private oldestOf(arrived: Arrived): number {
    const first = firstOf(arrived);
    const set = first / (WAYS * WORDS);
    for (let i = 0; i < WAYS; i++) {
      const turn = this.turns[set]!;
      const at = first + turn * WORDS;
      this.turns[set] = (turn + 1) % WAYS;
      if (this.words[at + STATE] !== RUNNING) return at;
    }
    return -1;
  }
}

const NOBODY: readonly AnswerListener[] = [];

/** The first place of its set. */
function firstOf({ xid }: Arrived): number {
  return (Math.imul(xid, SPREAD) >>> 20) * WAYS * WORDS;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
