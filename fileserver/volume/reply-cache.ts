/**
 * The duplicate request cache in memory: what was answered to which request, and which are being executed.
 *
 * A request's key is a hash of its whole call: XID, procedure, credential and arguments. Not the address it came
 * from: that changes when a client comes by way of the partner, which is when it matters. Two clients that happen
 * to use the same XID have different credentials (AUTH_SYS names the machine) or ask for different things.
 *
 * Bounded in entries, bytes and time; the oldest answers go first. A client resends only what it has not been answered,
 * so what matters is younger than a failover; the bound is some thousand times what clients have outstanding. The time is
 * that of one owner: an outage, however long, does not age answers, since clients could not ask again during it.
 */
import { bootMs } from '../system/boottime.ts';
import type { StoredAnswers } from './stored-answers.ts';

/**
 * Called with the answer: the procedure's results, to be put behind a reply header with the request's XID. null: there are
 * none, because the server made a mistake; the reply is SYSTEM_ERR (RFC 5531 §9). A second call does nothing.
 */
export type AnswerListener = (results: Uint8Array | null) => void;

type Entry =
  | { readonly state: 'running'; readonly listeners: AnswerListener[] }
  | { readonly state: 'done'; readonly results: Uint8Array; readonly answeredAtMs: number };

/** `execute`: nobody has seen it. `joined`: it is being executed. Either way the listener will be called. */
export type Admission = 'execute' | 'joined';

export interface ReplyCacheLimits {
  readonly answersMax: number;
  /** Of the answers' results. */
  readonly bytesMax: number;
  /** Ms. Longer than the longest pause between two attempts of a client (Linux: ten minutes). */
  readonly ageMaxMs: number;
}

export const REPLY_CACHE_LIMITS: ReplyCacheLimits = {
  answersMax: 8192,
  bytesMax: 2 * 1024 * 1024,
  ageMaxMs: 15 * 60_000,
};

export class ReplyCache {
  private readonly limits: ReplyCacheLimits;
  private readonly now: () => number;
  /** Answers of owners before this one, older than all others; null: none are left. */
  private stored: StoredAnswers | null;
  private storedAtMs: number;
  private readonly entries: Map<string, Entry>;
  /** Keys of answers in the order in which they were given, from `oldest` on. */
  private order: string[];
  private oldest: number;
  private bytes: number;

  /** now: ms, never going back. */
  constructor(limits: ReplyCacheLimits = REPLY_CACHE_LIMITS, now: () => number = bootMs) {
    this.limits = limits;
    this.now = now;
    this.stored = null;
    this.storedAtMs = 0;
    this.entries = new Map();
    this.order = [];
    this.oldest = 0;
    this.bytes = 0;
  }

  /** What was answered; null: the request has not been seen. `running`: it is being executed, and admit() joins it. */
  find(key: string): Uint8Array | 'running' | null {
    const entry = this.entries.get(key);
    if (entry === undefined) return this.stored?.results(key) ?? null;
    return entry.state === 'done' ? entry.results : 'running';
  }

  /** For a request that has no answer yet. */
  admit(key: string, listener: AnswerListener): Admission {
    const entry = this.entries.get(key);
    if (entry?.state === 'running') {
      entry.listeners.push(listener);
      return 'joined';
    }
    if (entry !== undefined || this.stored?.has(key) === true)
      throw new Error('a request that has its answer must not be executed again');
    this.entries.set(key, { state: 'running', listeners: [listener] });
    return 'execute';
  }

  /** The request has its answer: returns who waits for it. */
  complete(key: string, results: Uint8Array): readonly AnswerListener[] {
    const entry = this.entries.get(key);
    const listeners = entry?.state === 'running' ? entry.listeners : [];
    this.stored?.delete(key);
    if (entry?.state !== 'done') {
      this.order.push(key);
      this.bytes += results.length;
    }
    const now = this.now();
    const answeredAtMs = entry?.state === 'done' ? entry.answeredAtMs : now;
    this.entries.set(key, { state: 'done', results, answeredAtMs });
    this.evict(now);
    return listeners;
  }

  /** The request gets no answer, and counts as one that never came: returns who waits for it. */
  abandon(key: string): readonly AnswerListener[] {
    const entry = this.entries.get(key);
    if (entry?.state !== 'running') return [];
    this.entries.delete(key);
    return entry.listeners;
  }

  /** Answers that an owner before gave; of this one's life none has passed yet. They are the cache's from now on. */
  restore(answers: StoredAnswers): void {
    if (this.stored !== null || this.entries.size > 0)
      throw new Error('answers of an owner before come first, and once');
    this.stored = answers;
    this.storedAtMs = this.now();
    this.evict(this.storedAtMs);
  }

  /** Answers kept, oldest first. */
  *answers(): Iterable<{ readonly key: string; readonly results: Uint8Array }> {
    if (this.stored !== null) yield* this.stored.entries();
    for (let i = this.oldest; i < this.order.length; i++) {
      const key = this.order[i]!;
      const entry = this.entries.get(key);
      if (entry?.state === 'done') yield { key, results: entry.results };
    }
  }

  get answerCount(): number {
    return (this.stored?.count ?? 0) + this.order.length - this.oldest;
  }

  private get tooMany(): boolean {
    const bytes = this.bytes + (this.stored?.resultsSize ?? 0);
    return this.answerCount > this.limits.answersMax || bytes > this.limits.bytesMax;
  }

  private evictStored(deadline: number): void {
    const { stored } = this;
    if (stored === null) return;
    while (stored.count > 0 && (this.tooMany || this.storedAtMs < deadline)) stored.deleteOldest();
    if (stored.count === 0) this.stored = null;
  }

  /** Those that are too old or too many: with each new answer, and once a second, so that memory is given back. */
  evict(now: number = this.now()): void {
    const deadline = now - this.limits.ageMaxMs;
    this.evictStored(deadline);
    while (this.oldest < this.order.length) {
      const key = this.order[this.oldest]!;
      const entry = this.entries.get(key);
      const { tooMany } = this;
      if (!tooMany && (entry?.state !== 'done' || entry.answeredAtMs >= deadline)) break;
      this.oldest += 1;
      if (entry?.state === 'done') this.bytes -= entry.results.length;
      this.entries.delete(key);
    }
    if (this.oldest > 4096 && this.oldest * 2 > this.order.length) {
      this.order = this.order.slice(this.oldest);
      this.oldest = 0;
    }
  }
}
