/** A bound for what is under way at once, in bytes and in number; who has to wait is served in order. */

export class Budget {
  readonly #sizeMax: number;
  readonly #countMax: number;
  #size = 0;
  #count = 0;
  readonly #queue: { readonly size: number; readonly start: () => void }[] = [];

  constructor(limits: { readonly sizeMax: number; readonly countMax: number }) {
    this.#sizeMax = limits.sizeMax;
    this.#countMax = limits.countMax;
  }

  /** Resolves when there is room. What is larger than the bound has it for itself. Returns what gives the room back. */
  async take(size: number): Promise<() => void> {
    const claimed = Math.min(size, this.#sizeMax);
    if (this.#queue.length > 0 || !this.#fits(claimed))
      await new Promise<void>((start) => this.#queue.push({ size: claimed, start }));
    else this.#claim(claimed);
    return () => {
      this.#size -= claimed;
      this.#count -= 1;
      this.#startNext();
    };
  }

  #fits(size: number): boolean {
    return this.#count < this.#countMax && this.#size + size <= this.#sizeMax;
  }

  #claim(size: number): void {
    this.#size += size;
    this.#count += 1;
  }

  #startNext(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#fits(next.size); next = this.#queue[0]) {
      this.#queue.shift();
      this.#claim(next.size);
      next.start();
    }
  }
}
