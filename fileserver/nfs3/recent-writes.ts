/**
 * WRITEs that were executed a moment ago, or are being executed: a copy of one of them is answered, and never executed again. It
 * comes when a client has lost a connection with an answer on it, or has given one up in which the first copy still lies unread.
 * Executed then, it would write over what somebody was told since to be there.
 */
import { randomBytes } from 'node:crypto';
import { NFS3_OK, NFS3ERR_JUKEBOX } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Sender } from '../callers/origin.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';

// A call that looks the same need not be a copy. There are clients that count XIDs from the same number each time they start, and
// of the data only the first bytes are looked at. To take such a call for a copy would lose it. So it is one only if it comes
// from the same client (ClientKey), and
//
//   by the connection of the one that was executed, or by an older one: nobody starts over there
//   by a newer one from the same port of the same host: the client has connected again
//   with a stamp in its credential that only this run of the client has
//
// Any other is executed. If it was a copy all the same, then of a WRITE that its client waits for to this moment: who else writes
// to that place meanwhile has no order with it.
//
// In memory, for one owner's time. The copies that lie with an owner before never count: its connections ended with its right.
// A WRITE that it has executed and that is sent again to this one is executed again (docs/safety-writes.md).
//
// A WRITE is known by its XID and a sum of its call up to the first bytes of the data, as in Linux' server. What is kept of its
// results is what a client acts on: status, count, how stable it is, the verifier. So a WRITE costs no allocation here, and all
// of it takes 1.25 MiB. Sums begin with a secret: nobody can make a call that is taken for somebody else's.

/** WRITEs kept: sets of XIDs, a power of two, and so many of each set. The oldest of a set makes room. */
const SETS = 4096;
const WAYS = 4;
/** Bytes of the data that are looked at. */
const DATA_SIZE = 256;
/** Of WRITE3resok: count, committed, verf. */
const KEPT_SIZE = 16;
/** 2^32 / golden ratio. */
const SPREAD = 0x9e3779b1;

/** Words of a mark. Those of a set fill one line of the processor's cache: mostly no more is read from memory for a WRITE. */
const XID = 0;
const SUM = 1;
const OUTCOME = 2;
/** Number of the connection that it came by (Origin). */
const NUMBER = 3;
const MARK_WORDS = 4;

/** Words of the record that belongs to a mark, in a line of its own: more of the connection, and what is kept of the results. */
const ADDRESS = 0;
const HOST = 1;
const KEPT = 2;
/** Whose it is (ClientKey). */
const CLIENT = 6;
const CLIENT_WORDS = 4;
const RECORD_WORDS = 16;

/** Outcomes; from DONE on it is executed, and what is above DONE is its status. */
const EMPTY = 0;
const RUNNING = 1;
const DONE = 2;

/** A WRITE that has come. Both numbers have 32 bits, whether they count as signed or not. */
export interface Arrived {
  readonly xid: number;
  /** Result of sumOf(). */
  readonly sum: number;
  readonly caller: Sender;
}

export class RecentWrites {
  readonly #secret: number;
  readonly #marks: Int32Array;
  readonly #records: Int32Array;
  readonly #recordBytes: Uint8Array;
  /** Which of a set makes room next. */
  readonly #turns: Uint8Array;
  /** Copies of those that are running, by place. */
  readonly #joined = new Map<number, ReplyListener[]>();

  constructor() {
    this.#secret = randomBytes(4).readUInt32LE();
    this.#marks = new Int32Array(SETS * WAYS * MARK_WORDS);
    this.#records = new Int32Array(SETS * WAYS * RECORD_WORDS);
    this.#recordBytes = new Uint8Array(this.#records.buffer);
    this.#turns = new Uint8Array(SETS);
  }

  /** Checksum of the WRITE that begins at `start` in the reader's buffer and whose data begins at `data`. */
  sumOf(r: XdrReader, start: number, data: number): number {
    return r.sum(start, Math.min(data + DATA_SIZE, r.end), this.#secret);
  }

  /** Place of the original of a copy; -1: it is a new WRITE. */
  find(arrived: Arrived): number {
    const { caller } = arrived;
    for (let at = firstOf(arrived), i = 0; i < WAYS; i++, at++) {
      if (this.#looksLike(at, arrived) && this.#isCopy(at, caller)) return at;
    }
    return -1;
  }

  #looksLike(at: number, { xid, sum }: Arrived): boolean {
    const marks = this.#marks;
    const mark = at * MARK_WORDS;
    return marks[mark + XID] === (xid | 0) && marks[mark + SUM] === (sum | 0) && this.#outcome(at) !== EMPTY;
  }

  #outcome(at: number): number {
    return this.#marks[at * MARK_WORDS + OUTCOME]!;
  }

  #isCopy(at: number, { origin, hasOwnStamp, clientKey }: Arrived['caller']): boolean {
    const records = this.#records;
    const record = at * RECORD_WORDS;
    for (let i = 0; i < CLIENT_WORDS; i++)
      if (records[record + CLIENT + i] !== clientKey.words[i]) return false;
    if (hasOwnStamp || records[record + ADDRESS] === origin.address) return true;
    return records[record + HOST] === origin.host && origin.number <= this.#marks[at * MARK_WORDS + NUMBER]!;
  }

  /** Place of the WRITE itself; -1: it is not kept. */
  #placeOf(arrived: Arrived): number {
    const { number } = arrived.caller.origin;
    for (let at = firstOf(arrived), i = 0; i < WAYS; i++, at++) {
      if (this.#looksLike(at, arrived) && this.#marks[at * MARK_WORDS + NUMBER] === number) return at;
    }
    return -1;
  }

  /** A WRITE that find() has not found is being executed, and ended() or forget() follows. */
  begin(arrived: Arrived): void {
    this.#keep(arrived, RUNNING);
  }

  /** A copy of a WRITE that is running, as find() said: the listener is told with the first copy. */
  join(at: number, listener: ReplyListener): void {
    const listeners = this.#joined.get(at);
    if (listeners === undefined) this.#joined.set(at, [listener]);
    else listeners.push(listener);
  }

  isRunning(at: number): boolean {
    return this.#outcome(at) === RUNNING;
  }

  /** A WRITE that find() has not found was executed at once: its results end at bytes[end), and are about to be answered. */
  executed(arrived: Arrived, status: number, bytes: Uint8Array, end: number): void {
    // Sent again, as it asks its client to do, it is executed.
    if (status === NFS3ERR_JUKEBOX) return;
    this.#remember(this.#keep(arrived, DONE), status, bytes, end);
  }

  /** The same of what has begun. Returns who has joined it, and is to be told too. */
  ended(arrived: Arrived, status: number, bytes: Uint8Array): readonly ReplyListener[] {
    if (status === NFS3ERR_JUKEBOX) return this.forget(arrived);
    const at = this.#placeOf(arrived);
    this.#remember(at, status, bytes, bytes.length);
    return this.#joinedAt(at);
  }

  /** A WRITE that has begun was not executed: it counts as one that never came. Returns who has joined it. */
  forget(arrived: Arrived): readonly ReplyListener[] {
    const at = this.#placeOf(arrived);
    if (at >= 0) this.#marks[at * MARK_WORDS + OUTCOME] = EMPTY;
    return this.#joinedAt(at);
  }

  #joinedAt(at: number): readonly ReplyListener[] {
    const listeners = this.#joined.get(at);
    if (listeners === undefined) return NOBODY;
    this.#joined.delete(at);
    return listeners;
  }

  #remember(at: number, status: number, bytes: Uint8Array, end: number): void {
    if (at < 0) return;
    this.#marks[at * MARK_WORDS + OUTCOME] = DONE + status;
    if (status !== NFS3_OK) return;
    const from = end - KEPT_SIZE;
    const to = keptAt(at);
    for (let i = 0; i < KEPT_SIZE; i++) this.#recordBytes[to + i] = bytes[from + i]!;
  }

  /** The status of what find() said is done. */
  statusAt(at: number): number {
    return this.#outcome(at) - DONE;
  }

  /** Encodes the rest of WRITE3resok, behind status and attributes. */
  encodeKept(w: XdrWriter, at: number): void {
    const start = keptAt(at);
    w.opaqueFixed(this.#recordBytes.subarray(start, start + KEPT_SIZE));
  }

  /** In the place of the oldest of its set. -1: nowhere, as all of that are running. */
  #keep(arrived: Arrived, outcome: number): number {
    const marks = this.#marks;
    const records = this.#records;
    const at = this.#oldestOf(arrived);
    if (at < 0) return at;
    const { origin, clientKey } = arrived.caller;
    const mark = at * MARK_WORDS;
    marks[mark + XID] = arrived.xid;
    marks[mark + SUM] = arrived.sum;
    marks[mark + OUTCOME] = outcome;
    marks[mark + NUMBER] = origin.number;
    const record = at * RECORD_WORDS;
    records[record + ADDRESS] = origin.address;
    records[record + HOST] = origin.host;
    for (let i = 0; i < CLIENT_WORDS; i++) records[record + CLIENT + i] = clientKey.words[i]!;
    return at;
  }

  /** Running WRITEs stay: copies may wait for them. */
  #oldestOf(arrived: Arrived): number {
    const first = firstOf(arrived);
    const set = first / WAYS;
    for (let i = 0; i < WAYS; i++) {
      const turn = this.#turns[set]!;
      this.#turns[set] = (turn + 1) % WAYS;
      if (this.#outcome(first + turn) !== RUNNING) return first + turn;
    }
    return -1;
  }
}

const NOBODY: readonly ReplyListener[] = [];

/**
 * The first place of its set. Sets of 32 XIDs in a row lie together: what a WRITE needs from memory lies beside that of the one before,
 * and the processor does not wait for it. Rows are spread, so that other ways to count find all sets too (that of Linux' on the wire
 * has the quickest byte first).
 */
function firstOf({ xid }: Arrived): number {
  return ((Math.imul(xid >>> 5, SPREAD) >>> 20) ^ (xid & 31)) * WAYS;
}

/** Offset of a WRITE's results in the records' bytes. */
function keptAt(at: number): number {
  return (at * RECORD_WORDS + KEPT) * Int32Array.BYTES_PER_ELEMENT;
}
