import { expect, test } from 'vitest';
import { ratioOfPlaces } from './places.ts';

test('what a place gives to one server in one run and to the other in the next does not count', () => {
  const [first, second] = [0.91, 1 / 0.91].map((median) => ({ median, least: median, greatest: median }));
  const { median, least, greatest } = ratioOfPlaces(first!, second!);
  expect(median).toBeCloseTo(1, 6);
  expect([least, greatest]).toEqual([0.91, 1 / 0.91]);
});

test('a server that is faster in both places is', () => {
  const ratio = { median: 1.1, least: 1, greatest: 1.2 };
  expect(ratioOfPlaces(ratio, ratio).median).toBeCloseTo(1.1, 6);
});
