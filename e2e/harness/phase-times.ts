/** How long each phase of many changes of owner took, in numbers that say more than the worst of them. */
import type { Transition } from './pair.ts';

export class PhaseTimes {
  readonly #tookMs = new Map<string, number[]>();

  /** As the record of the disk set told it; undefined: it told nothing. */
  add(transition: Transition | undefined): void {
    for (const { name, durationMilliseconds } of transition?.phases ?? []) {
      const times = this.#tookMs.get(name) ?? [];
      this.#tookMs.set(name, [...times, durationMilliseconds]);
    }
  }

  /** `claim 21 (60), verify 12 (33)`: median and longest of each phase, ms. */
  get summary(): string {
    return [...this.#tookMs]
      .map(([name, times]) => `${name} ${Math.round(median(times))} (${Math.round(Math.max(...times))})`)
      .join(', ');
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
