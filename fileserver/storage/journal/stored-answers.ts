/**
 * Answers that an owner before gave, as they lie in the journal: their records' payloads one behind the other in one buffer,
 * found by key. Views are made of those that are asked for: thousands of objects that stay would be moved about by the garbage
 * collector while clients wait for the takeover to end.
 */
import { RESULTS_AT, resultsSizeIn } from './journal-payloads.ts';
import { KEY_SIZE } from './journal-records.ts';

// A version before did not record whose an answer was: such a one is the answer to that call of every client.

export class StoredAnswers {
  readonly #bytes: Buffer;
  /** Where each payload begins, by key. */
  readonly #starts = new Map<string, number>();
  /** Keys in the order in which they were answered, from `oldest` on; see isAt(). */
  readonly #order: string[] = [];
  /** Where the payload of each of them began. */
  readonly #orderStarts: number[] = [];
  #oldest = 0;
  #end = 0;
  /** Number of those without a client. */
  #anybodys = 0;
  /** Size of the results of all that are there. Bytes. */
  resultsSize = 0;

  /** capacity: bytes of all payloads that will be added. */
  constructor(capacity: number) {
    this.#bytes = Buffer.alloc(capacity);
  }

  get count(): number {
    return this.#starts.size;
  }

  /** Copies the payload that lies at `start` to `end` of `from`. Of the same key it is the youngest, and counts alone. */
  add(key: string, from: Buffer, start: number, end: number): void {
    this.delete(key);
    this.#order.push(key);
    this.#orderStarts.push(this.#end);
    from.copy(this.#bytes, this.#end, start, end);
    this.#starts.set(key, this.#end);
    if (key.length === KEY_SIZE) this.#anybodys += 1;
    this.resultsSize += resultsSizeIn(this.#bytes, this.#end, this.#end + (end - start));
    this.#end += end - start;
  }

  has(key: string): boolean {
    return this.#startOf(key) !== undefined;
  }

  #startOf(key: string): number | undefined {
    const start = this.#starts.get(key);
    return start === undefined && this.#anybodys > 0 ? this.#starts.get(key.slice(0, KEY_SIZE)) : start;
  }

  /** A view of the procedure's results; null if it is not there. */
  results(key: string): Uint8Array | null {
    const start = this.#startOf(key);
    return start === undefined ? null : this.#resultsAt(start);
  }

  /** Oldest first. */
  *entries(): Iterable<{ readonly key: string; readonly results: Uint8Array }> {
    for (let i = this.#oldest; i < this.#order.length; i++) {
      const key = this.#order[i]!;
      if (this.#isAt(i)) yield { key, results: this.results(key)! };
    }
  }

  delete(key: string): void {
    const start = this.#starts.get(key);
    if (start === undefined) return;
    this.resultsSize -= this.#sizeAt(start);
    this.#starts.delete(key);
    if (key.length === KEY_SIZE) this.#anybodys -= 1;
  }

  deleteOldest(): void {
    while (this.#oldest < this.#order.length) {
      const at = this.#oldest++;
      if (!this.#isAt(at)) continue;
      this.delete(this.#order[at]!);
      return;
    }
  }

  /** Is this place in the order that of an answer, and not of one that has gone or come again since? */
  #isAt(place: number): boolean {
    return this.#starts.get(this.#order[place]!) === this.#orderStarts[place];
  }

  #sizeAt(start: number): number {
    return resultsSizeIn(this.#bytes, start, this.#end);
  }

  #resultsAt(start: number): Uint8Array {
    const { buffer, byteOffset } = this.#bytes;
    return new Uint8Array(buffer, byteOffset + start + RESULTS_AT, this.#sizeAt(start));
  }
}
