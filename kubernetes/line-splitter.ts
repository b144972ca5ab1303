/**
 * Cuts a watch's byte stream into lines. Chunks may end anywhere, also inside a character of several bytes, so lines are joined
 * as bytes and decoded whole.
 */

export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

export class LineSplitter {
  #pieces: Buffer[] = [];
  #size = 0;
  readonly #sizeMax: number;

  /** @param sizeMax bytes of one line; more throws {@link LineTooLong} before it is kept. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Whether an incomplete line is waiting for its end. */
  get pending(): boolean {
    return this.#size > 0;
  }

  /** The complete, non-empty lines that `chunk` finishes. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      const piece = chunk.subarray(start, end < 0 ? chunk.length : end);
      if (this.#size + piece.length > this.#sizeMax)
        throw new LineTooLong(`a line of more than ${this.#sizeMax} bytes in a watch`);
      if (end < 0) {
        if (piece.length > 0) {
          this.#pieces.push(Buffer.from(piece));
          this.#size += piece.length;
        }
        return lines;
      }
      const line = this.#pieces.length === 0 ? piece : Buffer.concat([...this.#pieces, piece]);
      this.#pieces = [];
      this.#size = 0;
      if (line.length > 0) lines.push(line.toString('utf8'));
      start = end + 1;
    }
  }
}
