import { expect, test } from 'vitest';
import { DeepClimbs, FREE_LEVELS, LEVELS_PER_SECOND } from './deep-climbs.ts';

test('climbs of usual depth are free, however many there are', () => {
  const climbs = new DeepClimbs();
  for (let i = 0; i < 10_000; i++) climbs.climbed(FREE_LEVELS, 5);
  expect(climbs.mayGoOn(5)).toBe(true);
});

test('a deep climb is paid off before the next one', () => {
  const climbs = new DeepClimbs();
  expect(climbs.mayGoOn(1000)).toBe(true);
  climbs.climbed(FREE_LEVELS + 2 * LEVELS_PER_SECOND, 1000);
  expect(climbs.mayGoOn(1000)).toBe(false);
  expect(climbs.mayGoOn(2999)).toBe(false);
  expect(climbs.mayGoOn(3000)).toBe(true);
});

test('all deep climbs of a second together take no more than was paid off', () => {
  const climbs = new DeepClimbs();
  const depth = 5000;
  let levels = 0;
  for (let nowMs = 0; nowMs < 10_000; nowMs++) {
    if (!climbs.mayGoOn(nowMs)) continue;
    climbs.climbed(depth, nowMs);
    levels += depth - FREE_LEVELS;
  }
  expect(levels).toBeLessThanOrEqual(10 * LEVELS_PER_SECOND + depth);
  expect(levels).toBeGreaterThan(9 * LEVELS_PER_SECOND);
});
