/**
 * WRITEs that were executed a moment ago, or are being executed: a copy of one of them is answered, and never executed again.
 * It comes when a client has lost a connection with an answer on it, or has given one up in which the first copy still lies
 * unread: executed then, it would write over what somebody was told since to be there.
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

export class RecentWrites {
  private readonly secret: number;
  private readonly xids: Uint32Array;
  private readonly sums: Uint32Array;
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

  /** Where it is kept; -1: it is a new one. */
  find(xid: number, sum: number): number {
    const first = setOf(xid) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      if (this.xids[at] === xid && this.sums[at] === sum && this.states[at] !== EMPTY) return at;
    }
    return -1;
  }

  /** It is being executed, and ended() or forget() follows. */
  begin(xid: number, sum: number): void {
    this.place(xid, sum, RUNNING);
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
  ended(xid: number, sum: number, bytes: Uint8Array, start: number, end: number): void {
    const status = wordAt(bytes, start);
    // Sent again, as it asks its client to do, it is executed.
    if (status === NFS3ERR_JUKEBOX) {
      this.forget(xid, sum);
      return;
    }
    const at = this.place(xid, sum, DONE);
    if (at < 0) return;
    this.statuses[at] = status;
    if (status !== NFS3_OK) return;
    const from = end - KEPT_SIZE;
    const to = at * KEPT_SIZE;
    for (let i = 0; i < KEPT_SIZE; i++) this.kept[to + i] = bytes[from + i]!;
  }

  /** It was not executed: it counts as one that never came. */
  forget(xid: number, sum: number): void {
    const at = this.find(xid, sum);
    if (at >= 0) this.states[at] = EMPTY;
  }

  /** Who has joined it, once. After ended() or forget(). */
  waiting(xid: number, sum: number): readonly AnswerListener[] {
    if (this.joined.size === 0) return NOBODY;
    const first = setOf(xid) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      const listeners = this.joined.get(at);
      if (listeners === undefined || this.xids[at] !== xid || this.sums[at] !== sum) continue;
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
  private place(xid: number, sum: number, state: number): number {
    let at = this.find(xid, sum);
    if (at < 0) {
      at = this.oldestOf(setOf(xid));
      if (at < 0) return at;
      this.xids[at] = xid;
      this.sums[at] = sum;
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
