import { expect, test } from 'vitest';
import { pressureIn, processorPressure } from './processor-pressure.ts';

test('is the part of the last ten seconds in which something waited', () => {
  const text =
    'some avg10=48.76 avg60=54.07 avg300=74.18 total=25630228184\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n';
  expect(pressureIn(text)).toBeCloseTo(0.4876);
  expect(pressureIn('')).toBe(null);
  const now = processorPressure();
  if (now !== null) expect(now >= 0 && now <= 1).toBe(true);
});
