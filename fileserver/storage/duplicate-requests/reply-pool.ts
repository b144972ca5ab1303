/**
 * Answers of the duplicate request cache, by the client that got them. When there are too many the client with the most loses its
 * oldest. So no client's answers go for another one's calls as long as it has no more than its share. Pure.
 */
export class CachedReply {
  readonly key: string;
  /** Whose: a number for each client's address. */
  readonly client: number;
  readonly results: Uint8Array;
  readonly answeredAtMs: number;
  /** In the line of its client. */
  older: CachedReply | null = null;
  newer: CachedReply | null = null;

  constructor(key: string, client: number, results: Uint8Array, answeredAtMs: number) {
    this.key = key;
    this.client = client;
    this.results = results;
    this.answeredAtMs = answeredAtMs;
  }
}

interface Line {
  oldest: CachedReply | null;
  newest: CachedReply | null;
  count: number;
}

/** Recorded replies, each in the line of its client, oldest first. */
export class ReplyPool {
  readonly #lines = new Map<number, Line>();
  /** Has its share of all answers at least; see largestLine(). */
  #largest: Line | null = null;
  count = 0;
  /** Size of the answers' results. Bytes. */
  bytes = 0;

  add(answer: CachedReply): void {
    let line = this.#lines.get(answer.client);
    if (line === undefined) {
      line = { oldest: null, newest: null, count: 0 };
      this.#lines.set(answer.client, line);
    }
    answer.older = line.newest;
    if (line.newest === null) line.oldest = answer;
    else line.newest.newer = answer;
    line.newest = answer;
    line.count += 1;
    this.count += 1;
    this.bytes += answer.results.length;
    if (this.#largest === null || line.count > this.#largest.count) this.#largest = line;
  }

  remove(answer: CachedReply): void {
    const line = this.#lines.get(answer.client)!;
    if (answer.older === null) line.oldest = answer.newer;
    else answer.older.newer = answer.newer;
    if (answer.newer === null) line.newest = answer.older;
    else answer.newer.older = answer.older;
    answer.older = null;
    answer.newer = null;
    line.count -= 1;
    this.count -= 1;
    this.bytes -= answer.results.length;
    if (line.count > 0) return;
    this.#lines.delete(answer.client);
    if (this.#largest === line) this.#largest = null;
  }

  /** How many the client with the most has, or about so many; never less than that client's share of all. */
  get largestCount(): number {
    return this.#largestLine()?.count ?? 0;
  }

  /** The oldest of the client with the most. null: there are none. */
  victim(): CachedReply | null {
    return this.#largestLine()?.oldest ?? null;
  }

  /** Looks for it again only when it has no more than its share: then many others have got new answers since. */
  #largestLine(): Line | null {
    const largest = this.#largest;
    if (largest !== null && largest.count * this.#lines.size >= this.count) return largest;
    this.#largest = null;
    for (const line of this.#lines.values())
      if (this.#largest === null || line.count > this.#largest.count) this.#largest = line;
    return this.#largest;
  }

  /** Answers given before that, ms. */
  olderThan(deadlineMs: number): CachedReply[] {
    const found: CachedReply[] = [];
    for (const { oldest } of this.#lines.values())
      for (let one = oldest; one !== null && one.answeredAtMs < deadlineMs; one = one.newer) found.push(one);
    return found;
  }
}
