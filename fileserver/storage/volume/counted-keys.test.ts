import { expect, test } from 'vitest';
import { CountedKeys } from './counted-keys.ts';

test('a key is in the set until it has been removed as often as it was added, and never more often', () => {
  const keys = new CountedKeys();
  for (let count = 0; count < 2; count++) keys.add('a');
  keys.remove('a');
  expect([keys.has('a'), keys.size]).toEqual([true, 1]);
  keys.remove('a');
  expect([keys.has('a'), keys.size]).toEqual([false, 0]);
  expect(() => keys.remove('a')).toThrow('a is removed more often than it was added');
});
