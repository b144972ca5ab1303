/** Random numbers that a seed repeats, for tests and simulations: mulberry32, 32 bits of state, enough to tell a million seeds apart. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
    // Neighbouring seeds start with similar states; a few rounds tear them apart.
    for (let round = 0; round < 4; round++) this.word();
  }

  /** A whole number, 0 <= x < 2^32. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number, 0 <= x < limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.word());
  }

  /** Mostly short, sometimes long: the shape of real delays. Median about `typical`, at most `max`. */
  delay(typical: number, max: number): number {
    const long = this.chance(0.05) ? this.between(1, max / typical) : this.between(0.2, 2);
    return Math.min(max, typical * long);
  }
}
