/** A set whose members may have been added more than once: each is in it until it has been removed as often. */
export class CountedKeys {
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#counts.size;
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  add(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** Throws Error if the key is not in the set. */
  remove(key: string): void {
    const count = this.#counts.get(key);
    if (count === undefined) throw new Error(`${key} is removed more often than it was added`);
    if (count === 1) this.#counts.delete(key);
    else this.#counts.set(key, count - 1);
  }
}
