/**
 * WRITEs that were executed a moment ago, or are being executed: a copy of one of them is answered, and never executed again.
 * It comes when a client has lost a connection with an answer on it, or has given one up in which the first copy still lies
 * unread: executed then, it would write over what somebody was told since to be there.
 *
 * A call that looks the same need not be a copy: there are clients that count XIDs from the same number each time they start, and
 * of the data only the first bytes are looked at. To take such a call for a copy would lose it. So it is one only if it comes
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
 * all of it fits into 600 KiB. Sums begin with a secret: nobody can make a call that is taken for somebody else's.
 */
import { randomBytes } from 'node:crypto';
import { NFS3_OK, NFS3ERR_JUKEBOX } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { AnswerListener } from '../volume/reply-cache.ts';
import type { Caller } from './call.ts';

/** WRITEs kept: a set of XIDs that have the same hash, and so many of each. The oldest of a set makes room. */
const SETS = 4096;
const WAYS = 4;
/** Bytes of the data that are looked at. */
const DATA_SIZE = 256;
/** Of WRITE3resok: count, committed, verf. */
const KEPT_SIZE = 16;
/** Spreads XIDs over the sets, however a client counts: Linux' on the wire have the quickest byte first. 2^32 / golden ratio. */
const SPREAD = 0x9e3779b1;

const EMPTY = 0;
const RUNNING = 1;
const DONE = 2;

/** A WRITE that has come. */
export interface Arrived {
  readonly xid: number;
  /** Of sumOf(). */
  readonly sum: number;
  readonly caller: Pick<Caller, 'origin' | 'hasOwnStamp'>;
}

export class RecentWrites {
  private readonly secret: number;
  private readonly xids: Uint32Array;
  private readonly sums: Uint32Array;
  /** Of the connection that each came by. */
  private readonly numbers: Float64Array;
  private readonly addresses: Int32Array;
  private readonly hosts: string[];
  private readonly states: Uint8Array;
  private readonly statuses: Uint32Array;
  private readonly kept: Uint8Array;
  /** Which of a set makes room next. */
  private readonly turns: Uint8Array;
  /** Copies of those that are running, by place. */
  private readonly joined: Map<number, AnswerListener[]>;

  constructor() {
    this.secret = randomBytes(4).readUInt32LE();
    this.xids = new Uint32Array(SETS * WAYS);
    this.sums = new Uint32Array(SETS * WAYS);
    this.numbers = new Float64Array(SETS * WAYS);
    this.addresses = new Int32Array(SETS * WAYS);
    this.hosts = new Array<string>(SETS * WAYS).fill('');
    this.states = new Uint8Array(SETS * WAYS);
    this.statuses = new Uint32Array(SETS * WAYS);
    this.kept = new Uint8Array(SETS * WAYS * KEPT_SIZE);
    this.turns = new Uint8Array(SETS);
    this.joined = new Map();
  }

  /** Of the WRITE that begins at `start` in the reader's buffer and whose data begins at `data`. */
  sumOf(r: XdrReader, start: number, data: number): number {
    return r.sum(start, Math.min(data + DATA_SIZE, r.end), this.secret);
  }

  /** Where what it is a copy of is kept; -1: it is a new one. */
  find({ xid, sum, caller }: Arrived): number {
    const first = setOf(xid) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      if (
        this.xids[at] === xid &&
        this.sums[at] === sum &&
        this.states[at] !== EMPTY &&
        this.isCopy(at, caller)
      )
        return at;
    }
    return -1;
  }

  private isCopy(at: number, { origin, hasOwnStamp }: Arrived['caller']): boolean {
    if (hasOwnStamp) return true;
    return (
      origin.host === this.hosts[at] &&
      (origin.number <= this.numbers[at]! || origin.address === this.addresses[at])
    );
  }

  /** Where it itself is kept; -1: nowhere. */
  private placeOf({ xid, sum, caller }: Arrived): number {
    const first = setOf(xid) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      const same = this.xids[at] === xid && this.sums[at] === sum && this.states[at] !== EMPTY;
      if (same && this.numbers[at] === caller.origin.number) return at;
    }
    return -1;
  }

  /** It is being executed, and ended() or forget() follows. */
  begin(arrived: Arrived): void {
    this.place(arrived, RUNNING);
  }

  /** What find() said is running: the listener is told with the first copy. */
  join(at: number, listener: AnswerListener): void {
    const listeners = this.joined.get(at);
    if (listeners === undefined) this.joined.set(at, [listener]);
    else listeners.push(listener);
  }

  isRunning(at: number): boolean {
    return this.states[at] === RUNNING;
  }

  /** Its results are bytes[start .. end), and are about to be answered. */
  ended(arrived: Arrived, bytes: Uint8Array, start: number, end: number): void {
    const status = wordAt(bytes, start);
    // Sent again, as it asks its client to do, it is executed.
    if (status === NFS3ERR_JUKEBOX) {
      this.forget(arrived);
      return;
    }
    const at = this.place(arrived, DONE);
    if (at < 0) return;
    this.statuses[at] = status;
    if (status !== NFS3_OK) return;
    const from = end - KEPT_SIZE;
    const to = at * KEPT_SIZE;
    for (let i = 0; i < KEPT_SIZE; i++) this.kept[to + i] = bytes[from + i]!;
  }

  /** It was not executed: it counts as one that never came. */
  forget(arrived: Arrived): void {
    const at = this.placeOf(arrived);
    if (at >= 0) this.states[at] = EMPTY;
  }

  /** Who has joined it, once. After ended() or forget(). */
  waiting({ xid, sum, caller }: Arrived): readonly AnswerListener[] {
    if (this.joined.size === 0) return NOBODY;
    const first = setOf(xid) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      const listeners = this.joined.get(at);
      const same =
        this.xids[at] === xid && this.sums[at] === sum && this.numbers[at] === caller.origin.number;
      if (listeners === undefined || !same) continue;
      this.joined.delete(at);
      return listeners;
    }
    return NOBODY;
  }

  /** The status of what find() said is done. */
  statusAt(at: number): number {
    return this.statuses[at]!;
  }

  /** Behind status and attributes: the rest of WRITE3resok. */
  encodeKept(w: XdrWriter, at: number): void {
    w.opaqueFixed(this.kept.subarray(at * KEPT_SIZE, (at + 1) * KEPT_SIZE));
  }

  /** Where it is kept from now on; -1: nowhere, as all of its set are running. */
  private place(arrived: Arrived, state: number): number {
    let at = this.placeOf(arrived);
    if (at < 0) {
      const { xid, sum, caller } = arrived;
      at = this.oldestOf(setOf(xid));
      if (at < 0) return at;
      this.xids[at] = xid;
      this.sums[at] = sum;
      this.numbers[at] = caller.origin.number;
      this.addresses[at] = caller.origin.address;
      this.hosts[at] = caller.origin.host;
    }
    this.states[at] = state;
    return at;
  }

  /** What is running stays: copies may wait for it. */
  private oldestOf(set: number): number {
    for (let i = 0; i < WAYS; i++) {
      const turn = this.turns[set]!;
      const at = set * WAYS + turn;
      this.turns[set] = (turn + 1) % WAYS;
      if (this.states[at] !== RUNNING) return at;
    }
    return -1;
  }
}

const NOBODY: readonly AnswerListener[] = [];

function setOf(xid: number): number {
  return Math.imul(xid, SPREAD) >>> 20;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
