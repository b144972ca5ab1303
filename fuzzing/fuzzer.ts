/**
 * The search: changes inputs of a corpus, and keeps those that make something run that never ran before. Coverage is asked for
 * once a batch, since asking costs as much as hundreds of inputs; only a batch with news is gone through one by one.
 */
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { Coverage } from './coverage.ts';
import { mutated } from './mutation.ts';
import type { Target } from './target.ts';

const BATCH = 128;

/** An input that broke a target. */
export class Finding extends Error {
  readonly input: Uint8Array;

  constructor(input: Uint8Array, cause: unknown) {
    super(`${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`, { cause });
    this.input = input;
  }
}

export class Fuzzer {
  /** Inputs that were run. */
  runs = 0;
  /** Those that made something new run, the given ones included. */
  readonly corpus: Uint8Array[] = [];
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #random: SeededRandom;
  readonly #about: (input: Uint8Array) => void;

  /** `about` is told of each input before it runs: who waits for it in vain knows which one it was. */
  constructor(target: Target, coverage: Coverage, random: SeededRandom, about: (input: Uint8Array) => void) {
    this.#target = target;
    this.#coverage = coverage;
    this.#random = random;
    this.#about = about;
  }

  /** Runs these and keeps those that reach something new. Throws Finding. */
  async begin(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) await this.#keepIfNew(input);
    if (this.corpus.length === 0) this.corpus.push(...inputs.slice(0, 1));
  }

  /** Searches until `isOver`. Throws Finding. */
  async search(isOver: () => boolean): Promise<void> {
    const { corpus } = this;
    const target = this.#target;
    const random = this.#random;
    while (!isOver()) {
      const batch = Array.from({ length: BATCH }, () => {
        // Half of the time one of the youngest: there the search goes on.
        const from = random.chance(1 / 2) ? Math.max(0, corpus.length - 16) : 0;
        const input = corpus[from + random.below(corpus.length - from)]!;
        return mutated(input, corpus, target.words, random);
      });
      for (const input of batch) {
        await this.#run(input);
        if (isOver()) break;
      }
      if (!this.#coverage.take(false)) continue;
      const before = corpus.length;
      for (const input of batch) await this.#keepIfNew(input);
      // What does not come again when its input is run alone depends on something else, such as time.
      if (corpus.length > before) continue;
      for (const input of batch) await this.#run(input);
      this.#coverage.take(true);
    }
  }

  async #keepIfNew(input: Uint8Array): Promise<void> {
    await this.#run(input);
    if (this.#coverage.take(true)) this.corpus.push(input);
  }

  async #run(input: Uint8Array): Promise<void> {
    this.#about(input);
    this.runs++;
    try {
      const promise = this.#target.run(input);
      if (promise !== undefined) await promise;
    } catch (error) {
      throw new Finding(input, error);
    }
  }
}
