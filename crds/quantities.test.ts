import { expect, test } from 'vitest';
import { durationMs } from './quantities.ts';

test.each([
  ['500ms', 500],
  ['2s', 2000],
  ['1m30s', 90_000],
  ['1h1m1s1ms', 3_661_001],
])('%s is %d ms', (text, ms) => expect(durationMs(text)).toBe(ms));

test.each(['', '2', 's', '2 s', '1.5s', '-1s'])('%j is no duration', (text) =>
  expect(durationMs(text)).toBeNaN(),
);
