/** How long clients waited for their next acknowledgement: behind an answer of the server that goes on, as the director logged it. */

/** Beginning of the line that the director writes when a server answers it, after a search. */
const ANSWERS = ' answers, after ';

/** When a server that goes on has answered the director. Ms of the wall clock. */
export function answersIn(log: readonly string[]): number[] {
  return log.flatMap((line) => (line.includes(ANSWERS) ? [Date.parse(line.split(' ', 1)[0]!)] : []));
}

/** How long after this moment the next line was acknowledged; 0: none was. All in one unit. */
export function waitAfter(acks: readonly number[], moment: number): number {
  const next = acks.find((time) => time > moment);
  return next === undefined ? 0 : next - moment;
}

export interface Spread {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** Null: there are no values. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
