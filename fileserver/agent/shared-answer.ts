/**
 * An answer that anybody may ask for, any number of times, and that costs something: it is worked out for one at a time, and
 * counts for a while.
 */
export class SharedAnswer<T> {
  readonly #work: () => Promise<T>;
  readonly #goodForMs: number;
  #answer: Promise<T> | null = null;
  /** When `answer` was settled, ms on performance.now(); null: it is not. */
  #settledAt: number | null = null;

  constructor(work: () => Promise<T>, goodForMs: number) {
    this.#work = work;
    this.#goodForMs = goodForMs;
  }

  /** `goodForMs` old at most. Rejects as the work does; what failed is not kept. */
  get(): Promise<T> {
    const old = this.#settledAt !== null && performance.now() - this.#settledAt >= this.#goodForMs;
    if (this.#answer === null || old) {
      this.#settledAt = null;
      this.#answer = this.#work().then(
        (value) => {
          this.#settledAt = performance.now();
          return value;
        },
        (error: unknown) => {
          this.#answer = null;
          throw error;
        },
      );
    }
    return this.#answer;
  }
}
