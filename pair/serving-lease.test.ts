import { expect, test } from 'vitest';
import { leaseUntil, SLEW_MAX, silenceMs, switchFiresAt } from './serving-lease.ts';

// The holder's clock is slewed to run slow, the claimer's to run fast: both times in real ms since the last confirmation.
test.each([
  ['the defaults', 2000, 500],
  ['the least guard of a FilerPair', 10_000, 1000],
  ['the least guard of a configuration file', 10_000, 500],
  ['the longest guard', 2000, 2000],
  ['short times', 300, 50],
])('with %s a holder is over, stopped or not, when its silence lets another claim', (_, leaseMs, guardMs) => {
  const timing = { leaseMs, guardMs, heartbeatMs: 100 };
  const claimAt = silenceMs(timing) / (1 + SLEW_MAX);
  expect(leaseUntil(0, timing) / (1 - SLEW_MAX)).toBeLessThan(claimAt);
  expect(switchFiresAt(leaseUntil(0, timing), timing) / (1 - SLEW_MAX)).toBeLessThanOrEqual(claimAt);
  expect(silenceMs(timing)).toBeGreaterThanOrEqual(leaseMs + guardMs);
});
