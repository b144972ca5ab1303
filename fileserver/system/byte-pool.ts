/**
 * Short pieces of memory, cut one after the other from larger ones. An ArrayBuffer of its own for each costs an allocation
 * outside of the engine's heap and has to be found and freed one by one when it is garbage. That is more than what is done with
 * it.
 */

// A slab lives as long as any of its pieces. So what lives long and what does not come from different pools.

const SLAB_SIZE = 64 * 1024;
/** Longer pieces get memory of their own: they would waste the rest of a slab. */
const PIECE_SIZE_MAX = 4096;

export class BytePool {
  #slab: ArrayBuffer;
  #used: number;

  constructor() {
    this.#slab = new ArrayBuffer(0);
    this.#used = 0;
  }

  /** Zeros, and nobody else's; begins at a multiple of 8. */
  take(size: number): Uint8Array<ArrayBuffer> {
    if (size > PIECE_SIZE_MAX) return new Uint8Array(size);
    if (this.#used + size > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(SLAB_SIZE);
      this.#used = 0;
    }
    const piece = new Uint8Array(this.#slab, this.#used, size);
    this.#used += (size + 7) & ~7;
    return piece;
  }

  /** A copy of bytes[start .. end). */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
    const piece = this.take(end - start);
    piece.set(bytes.subarray(start, end));
    return piece;
  }
}
