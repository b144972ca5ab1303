import { describe, expect, test } from 'vitest';
import { BrokenRule } from './process.ts';
import { type RunOptions, runSeed } from './run.ts';

/** The first seed that shows a violation, or null within the budget. */
function firstViolation(options: RunOptions, seedsMax: number): string | null {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violations } = runSeed(seed, options);
    if (violations.length > 0) return `seed ${seed}: ${violations[0]}`;
  }
  return null;
}

describe('the simulation', () => {
  test('is deterministic: one seed, one run', () => {
    const first = runSeed(17, { keepTrace: true });
    expect(first.trace.length).toBeGreaterThan(10);
    expect(runSeed(17, { keepTrace: true })).toEqual(first);
  });

  test('really moves disk sets, and strikes with pauses that only the dead man switch ends', () => {
    let claims = 0;
    let killed = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const outcome = runSeed(seed);
      claims += outcome.claims;
      killed += outcome.killedBySwitch;
    }
    expect(claims).toBeGreaterThan(100);
    expect(killed).toBeGreaterThan(10);
  });
});

// A checker that finds nothing proves nothing until it has found what is there. Each variant breaks one rule.
describe('the simulation catches', () => {
  const cases: readonly [BrokenRule, RunOptions['faults'], number][] = [
    [BrokenRule.WithoutDeadMansSwitch, 'all', 500],
    [BrokenRule.WithoutCompareAndSwap, 'all', 500],
    [BrokenRule.ClaimWithoutWaiting, 'all', 100],
    [BrokenRule.ConfirmationDatedByReceipt, 'network', 8000],
    [BrokenRule.AcceptAnyAcknowledgement, 'all', 12000],
  ];
  test.each(cases)('%s', { timeout: 120_000 }, (brokenRule, faults, seedsMax) => {
    expect(firstViolation({ brokenRule, faults: faults ?? 'all' }, seedsMax)).toMatch(/wrote|claimed/);
  });
});
