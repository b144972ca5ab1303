/**
 * Exports in memory that threads share. It is written once and never changed; an export is parsed when it is asked for, and passing
 * all of them to a thread costs nothing. Ten thousand exports would otherwise be copied to each thread while clients wait for a takeover.
 */
import type { ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';

// A header of HEADER_WORDS words. Then WORDS words an export, in ascending order of their numbers: number, beginning and end of its
// text. Then the texts: one JSON object an export, and one that counts how many exports name each client.

const HEADER_WORDS = 3;
const WORDS = 3;
/** Numbers have 32 bits, and an index beside one still fits into the 53 bits of a double. */
const EXPORTS_MAX = 2 ** 21;

export class PackedExports {
  readonly memory: SharedArrayBuffer;
  readonly count: number;
  readonly #words: Uint32Array;
  readonly #text: Buffer;

  /** memory: of pack(). */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Uint32Array(memory, 0, memory.byteLength >> 2);
    this.#text = Buffer.from(memory);
    this.count = this.#words[0]!;
  }

  /** No two of them have the same number in file handles. */
  static pack(exports: readonly ExportSpec[]): PackedExports {
    if (exports.length > EXPORTS_MAX) throw new RangeError(`${exports.length} exports of one disk set`);
    const order = Float64Array.from(exports, ({ path }, index) => exportIdOf(path) * EXPORTS_MAX + index);
    const texts = [...exports, countClients(exports)].map((one) => Buffer.from(JSON.stringify(one)));
    const textAt = (HEADER_WORDS + exports.length * WORDS) * 4;
    const size = texts.reduce((sum, { length }) => sum + length, textAt);
    // A whole number of words.
    const memory = new SharedArrayBuffer((size + 3) & ~3);
    const words = new Uint32Array(memory);
    const into = Buffer.from(memory);
    const ends: number[] = [];
    let at = textAt;
    for (const text of texts) {
      at += text.copy(into, at);
      ends.push(at);
    }
    const startOf = (index: number): number => (index === 0 ? textAt : ends[index - 1]!);
    words.set([exports.length, startOf(exports.length), at]);
    for (const [place, entry] of order.sort().entries()) {
      const index = entry % EXPORTS_MAX;
      words.set(
        [Math.floor(entry / EXPORTS_MAX), startOf(index), ends[index]!],
        HEADER_WORDS + place * WORDS,
      );
    }
    return new PackedExports(memory);
  }

  /** How many exports name each client. */
  get clients(): Readonly<Record<string, number>> {
    return this.#parse(this.#words[1]!, this.#words[2]!) as Record<string, number>;
  }

  /** By number in file handles; null: there is none. */
  get(id: number): ExportSpec | null {
    const at = this.#find(id);
    return at < 0 ? null : (this.#parse(this.#words[at + 1]!, this.#words[at + 2]!) as ExportSpec);
  }

  has(id: number): boolean {
    return this.#find(id) >= 0;
  }

  /** Numbers, ascending. */
  *ids(): IterableIterator<number> {
    for (let index = 0; index < this.count; index++) yield this.#words[HEADER_WORDS + index * WORDS]!;
  }

  #parse(start: number, end: number): unknown {
    return JSON.parse(this.#text.toString('utf8', start, end));
  }

  /** Index of the export's words; -1: there is none. */
  #find(id: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = HEADER_WORDS + middle * WORDS;
      const found = this.#words[at]!;
      if (found === id) return at;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

export function countClients(exports: Iterable<ExportSpec>): Record<string, number> {
  // Without a prototype: a client may have any name.
  const counts = Object.create(null) as Record<string, number>;
  for (const { clients } of exports) for (const client of clients) counts[client] = (counts[client] ?? 0) + 1;
  return counts;
}
