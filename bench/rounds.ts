/** Rounds, in which servers take turns, and what is said of their figures. */

/** Who goes first changes from round to round. */
export function inTurn<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed();
}

/** Of an even number the upper one of the middle: a figure that was measured. */
export function median(rounds: readonly number[]): number {
  return rounds.toSorted((a, b) => a - b)[Math.floor(rounds.length / 2)]!;
}
