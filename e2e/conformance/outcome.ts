/** What a run of pjdfstest said, test by test. */

export type Verdict = 'ok' | 'FAILED' | 'skipped';

export interface TestOutcome {
  readonly verdict: Verdict;
  /** What it said when it failed. */
  readonly detail: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal
const COLOURS = /\x1b\[[0-9;]*m/g;

/** By name, in the order of the run. */
export function outcomesOf(output: string): Map<string, TestOutcome> {
  const outcomes = new Map<string, TestOutcome>();
  let last = '';
  for (const line of output.replaceAll('\r', '').replace(COLOURS, '').split('\n')) {
    const found = /^([a-z_0-9]+(?:::[a-zA-Z_0-9]+)+)\s+(ok|FAILED|skipped)$/.exec(line);
    if (found !== null) {
      last = found[1]!;
      outcomes.set(last, { verdict: found[2] as Verdict, detail: '' });
    } else if (line.startsWith('\t') && last !== '' && outcomes.get(last)!.detail === '') {
      outcomes.set(last, { ...outcomes.get(last)!, detail: line.trim() });
    }
  }
  return outcomes;
}

export interface Difference {
  readonly name: string;
  readonly local: Verdict;
  readonly mounted: TestOutcome;
}

/** Tests that succeed on the local file system and do not in the mount. */
export function differences(
  local: ReadonlyMap<string, TestOutcome>,
  mounted: ReadonlyMap<string, TestOutcome>,
): Difference[] {
  const found: Difference[] = [];
  for (const [name, outcome] of mounted) {
    const here = local.get(name);
    if (here?.verdict === 'ok' && outcome.verdict !== 'ok') {
      found.push({ name, local: here.verdict, mounted: outcome });
    }
  }
  return found;
}

/** How many tests had each verdict. */
export function countsOf(outcomes: ReadonlyMap<string, TestOutcome>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdict } of outcomes.values()) counts[verdict] = (counts[verdict] ?? 0) + 1;
  return counts;
}
