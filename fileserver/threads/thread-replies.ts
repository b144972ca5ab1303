/**
 * Replies of a volume's thread to one connection thread. Those of one turn travel together, with the objects that may have lost
 * their last name and with the calls that wait for their turn.
 */
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { accept_stat, encodeAcceptedError, encodeSuccessHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { FAILED_INTERNALLY } from '../metrics/data-metrics.ts';
import { BatchWriter, entrySize } from '../rpc/call-batch.ts';
import type { FileIdentity } from '../storage/handles/file-identity.ts';
import { encodeForgotten, NO_CALL } from '../storage/handles/forgotten-object.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { afterThisCallback } from '../system/turns.ts';
import type { Channel, RepliesMessage } from './thread-messages.ts';

/** After which a thread is told of removed objects, if it has no replies to send. ms */
const FORGET_MS = 5;
/** Memory of calls that may wait to be given back with the next replies. */
const SPENT_MAX = 8;

interface WrittenReply {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  readonly status: number;
  readonly byteCount: number;
}

interface LateReply {
  readonly number: number;
  readonly xid: number;
  readonly results: Uint8Array | null;
  readonly status: number;
  readonly byteCount: number;
}

export class ThreadReplies {
  readonly #session: number;
  readonly #channel: Channel;
  /** Replies are written here, one behind the other. */
  readonly writer: XdrWriter;
  /** The replies in `writer`. */
  #replies: WrittenReply[];
  #answers: LateReply[];
  #spent: number[];
  /** Numbers of calls that wait for their turn, and of those that have had it and are answered later, since the last message. */
  #queued: number[];
  #begun: number[];
  /** Calls whose answers are still to come. */
  #unanswered: number;
  /** Objects that may have lost their last name, one behind the other, and where each ends. */
  readonly #gone: XdrWriter;
  #goneEnds: number[];
  #telling: NodeJS.Timeout | null;
  #scheduled: boolean;

  constructor(session: number, channel: Channel) {
    this.#session = session;
    this.#channel = channel;
    this.writer = new XdrWriter(64 * 1024);
    this.#replies = [];
    this.#answers = [];
    this.#spent = [];
    this.#queued = [];
    this.#begun = [];
    this.#unanswered = 0;
    this.#gone = new XdrWriter(4096);
    this.#goneEnds = [];
    this.#telling = null;
    this.#scheduled = false;
  }

  /** Replies that wait to be sent. */
  get replyCount(): number {
    return this.#replies.length;
  }

  wrote(number: number, start: number, status: number, byteCount: number): void {
    this.#replies.push({ number, start, end: this.writer.position, status, byteCount });
  }

  /** The answer of a call comes later, with a message of its own. */
  waits(): void {
    this.#unanswered += 1;
  }

  /** Later, in post(): a call may be answered while it is being handled, and then the writer is in use. */
  answer(late: LateReply): void {
    this.#unanswered -= 1;
    this.#answers.push(late);
    this.schedule();
  }

  #writeAnswers(): void {
    const answers = this.#answers;
    const w = this.writer;
    this.#answers = [];
    for (const { number, xid, results, status, byteCount } of answers) {
      const start = beginRecord(w);
      if (results === null) encodeAcceptedError(w, xid, accept_stat.SYSTEM_ERR);
      else {
        encodeSuccessHeader(w, xid);
        w.ensure(results.length);
        w.bytes.set(results, w.position);
        w.position += results.length;
      }
      endRecord(w, start);
      this.wrote(number, start, results === null ? FAILED_INTERNALLY : status, byteCount);
    }
  }

  /** Goes with the next replies; a message of its own would wake the other thread for nothing. */
  spend(memory: number): void {
    this.#spent.push(memory);
    if (this.#unanswered === 0 || this.#spent.length >= SPENT_MAX) this.schedule();
  }

  queue(number: number): void {
    this.#queued.push(number);
    this.schedule();
  }

  begin(number: number): void {
    this.#begun.push(number);
    this.schedule();
  }

  forget(volume: Volume, identity: FileIdentity): void {
    const gone = this.#gone;
    encodeForgotten(gone, volume.uuid, identity);
    this.#goneEnds.push(gone.position);
    // It goes with the replies to the clients that removed the object; a thread that has none is woken for many at once.
    this.#telling ??= setTimeout(() => this.schedule(), FORGET_MS);
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    afterThisCallback(() => this.#post());
  }

  #post(): void {
    this.#scheduled = false;
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#telling = null;
    this.#writeAnswers();
    const replies = this.#replies;
    const spent = this.#spent;
    const queued = this.#queued;
    const begun = this.#begun;
    const gone = this.#gone;
    const goneEnds = this.#goneEnds;
    const session = this.#session;
    const w = this.writer;
    let size = 0;
    let from = 0;
    for (const end of goneEnds) {
      size += entrySize(end - from);
      from = end;
    }
    for (const { start, end } of replies) size += entrySize(end - start);
    const batch = new ArrayBuffer(size);
    const out = new BatchWriter(batch);
    from = 0;
    for (const end of goneEnds) {
      out.add(NO_CALL, 0, gone.bytes, from, end);
      from = end;
    }
    for (const { number, start, end, status, byteCount } of replies)
      out.add(number, status, w.bytes, start, end, byteCount);
    this.#replies = [];
    this.#spent = [];
    this.#queued = [];
    this.#begun = [];
    this.#goneEnds = [];
    gone.reset();
    w.reset();
    const message: RepliesMessage = {
      kind: 'replies',
      session,
      batch,
      size,
      spent,
      ...(queued.length + begun.length === 0 ? {} : { queued, begun }),
    };
    this.#channel.postMessage(message);
  }
}
