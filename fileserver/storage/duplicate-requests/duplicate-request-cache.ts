/** The duplicate request cache in memory: what was answered to which request, and which are being executed. */
import { bootMs } from '../../system/boottime.ts';
import { statusOfResults } from '../journal/journal-payloads.ts';
import type { StoredAnswers } from '../journal/stored-answers.ts';
import type { ReplyListener } from './reply-listener.ts';
import { CachedReply, ReplyPool } from './reply-pool.ts';

// A request's key is a hash of its whole call (XID, procedure, credential and arguments) and whose it is: what the client has
// said by its connection, else its address (callers/client-key.ts). So a client that knows what another one has sent or is about
// to send, to the byte, gets only its own answers, and its call is not taken for the other's.
//
// Bounded in entries, bytes and time; the oldest answers go first. A client resends only what it has not been answered,
// so what matters is younger than a failover; the bound is some thousand times what clients have outstanding. The time is
// that of one owner: an outage, however long, does not age answers, since clients could not ask again during it.
//
// Nobody's answers go because of others: where there are too many, the client with the most loses its oldest (reply-pool.ts).
// Answers that say that nothing was done have bounds of their own, an eighth of the others'. To do such a call again is no harm
// of the same kind, and it costs nothing to make thousands of them fail.

class Running {
  readonly client: number;
  readonly listeners: ReplyListener[];

  constructor(client: number, listener: ReplyListener) {
    this.client = client;
    this.listeners = [listener];
  }
}

/** `execute`: nobody has seen it. `joined`: it is being executed. Either way the listener will be called. */
export type Admission = 'execute' | 'joined';

export interface DuplicateRequestCacheLimits {
  readonly answersMax: number;
  /** Limit for the size of the answers' results. Bytes. */
  readonly bytesMax: number;
  /** Ms. Longer than the longest pause between two attempts of a client (Linux: ten minutes). */
  readonly ageMaxMs: number;
}

export const DUPLICATE_REQUEST_CACHE_LIMITS: DuplicateRequestCacheLimits = {
  answersMax: 8192,
  bytesMax: 2 * 1024 * 1024,
  ageMaxMs: 15 * 60_000,
};

/** Failures have this part of each bound, beside the others. */
const FAILURES_PART = 8;
/** A client that is not known. */
export const NOBODY = 0;

export class DuplicateRequestCache {
  readonly #limits: DuplicateRequestCacheLimits;
  readonly #now: () => number;
  /** Answers of owners before this one, older than all others; null: none are left. */
  #stored: StoredAnswers | null = null;
  #storedAtMs = 0;
  /** In the order of their admission; what is running and what is done in one, so that a request is looked up once. */
  readonly #entries = new Map<string, Running | CachedReply>();
  readonly #successes = new ReplyPool();
  readonly #failures = new ReplyPool();

  /** now: ms, never going back. */
  constructor(
    limits: DuplicateRequestCacheLimits = DUPLICATE_REQUEST_CACHE_LIMITS,
    now: () => number = bootMs,
  ) {
    this.#limits = limits;
    this.#now = now;
  }

  /** The reply; null: the request has not been seen. `running`: it is being executed, and admit() joins it. */
  find(key: string): Uint8Array | 'running' | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#stored?.results(key) ?? null;
    return entry instanceof CachedReply ? entry.results : 'running';
  }

  /** For a request that has no answer yet. client: a number for its address. */
  admit(key: string, listener: ReplyListener, client: number = NOBODY): Admission {
    const entry = this.#entries.get(key);
    if (entry instanceof Running) {
      entry.listeners.push(listener);
      return 'joined';
    }
    if (entry !== undefined || this.#stored?.has(key) === true)
      throw new Error('a request that has its answer must not be executed again');
    this.#entries.set(key, new Running(client, listener));
    return 'execute';
  }

  /** The request has its answer: returns who waits for it. */
  complete(key: string, results: Uint8Array): readonly ReplyListener[] {
    const entry = this.#entries.get(key);
    this.#stored?.delete(key);
    if (entry instanceof CachedReply) this.#poolOf(entry.results).remove(entry);
    const answeredAtMs = entry instanceof CachedReply ? entry.answeredAtMs : this.#now();
    const answer = new CachedReply(key, entry?.client ?? NOBODY, results, answeredAtMs);
    this.#entries.set(key, answer);
    this.#poolOf(results).add(answer);
    this.#evictTooMany();
    return entry instanceof Running ? entry.listeners : [];
  }

  /** The request gets no answer, and counts as one that never came: returns who waits for it. */
  abandon(key: string): readonly ReplyListener[] {
    const entry = this.#entries.get(key);
    if (!(entry instanceof Running)) return [];
    this.#entries.delete(key);
    return entry.listeners;
  }

  /** Answers that an owner before gave; of this one's life none has passed yet. They are the cache's from now on. */
  restore(answers: StoredAnswers): void {
    if (this.#entries.size > 0) throw new Error('answers of an owner before come first');
    this.#stored = answers;
    this.#storedAtMs = this.#now();
    this.evict(this.#storedAtMs);
  }

  /** Answers kept, oldest first: those of owners before, then this one's in the order of their requests. */
  *replies(): Iterable<{ readonly key: string; readonly results: Uint8Array }> {
    if (this.#stored !== null) yield* this.#stored.entries();
    for (const entry of this.#entries.values()) if (entry instanceof CachedReply) yield entry;
  }

  get replyCount(): number {
    return (this.#stored?.count ?? 0) + this.#successes.count + this.#failures.count;
  }

  #poolOf(results: Uint8Array): ReplyPool {
    return statusOfResults(results) === 0 ? this.#successes : this.#failures;
  }

  #remove(answer: CachedReply): void {
    this.#entries.delete(answer.key);
    this.#poolOf(answer.results).remove(answer);
  }

  #evictTooMany(): void {
    const { answersMax, bytesMax } = this.#limits;
    const successes = this.#successes;
    const failures = this.#failures;
    while (failures.count > answersMax / FAILURES_PART || failures.bytes > bytesMax / FAILURES_PART)
      this.#remove(failures.victim()!);
    while (
      successes.count + (this.#stored?.count ?? 0) > answersMax ||
      successes.bytes + (this.#stored?.resultsSize ?? 0) > bytesMax
    ) {
      // Nothing is known of the clients of an owner before: together they count as one.
      if (this.#stored !== null && this.#stored.count >= successes.largestCount) this.#dropStored();
      else this.#remove(successes.victim()!);
    }
  }

  #dropStored(): void {
    this.#stored?.deleteOldest();
    if (this.#stored?.count === 0) this.#stored = null;
  }

  /** Those that are too old or too many; once a second, so that memory is given back. */
  evict(now: number = this.#now()): void {
    const deadline = now - this.#limits.ageMaxMs;
    if (this.#storedAtMs < deadline) this.#stored = null;
    for (const pool of [this.#successes, this.#failures])
      for (const answer of pool.olderThan(deadline)) this.#remove(answer);
    this.#evictTooMany();
  }
}
