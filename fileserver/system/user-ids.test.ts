import { describe, expect, test } from 'vitest';
import { isIn, parseIdMap } from './user-ids.ts';

describe('the map of a user namespace', () => {
  test('the first namespace has every id but -1', () => {
    const ranges = parseIdMap('         0          0 4294967295\n');
    expect([0, 1, 65_534, 0xfffffffe].map((id) => isIn(ranges, id))).toEqual([true, true, true, true]);
    expect(isIn(ranges, 0xffffffff)).toBe(false);
  });

  test('a pod with hostUsers: false has 0 to 65,535', () => {
    const ranges = parseIdMap('         0 2147352576      65536\n');
    expect([0, 65_535, 65_536, 0xfffffffe, 0xffffffff].map((id) => isIn(ranges, id))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  test('several ranges, with ids between them that are none', () => {
    const ranges = parseIdMap('0 1000 1\n1 100000 999\n5000 7000 2\n');
    expect(ranges).toEqual([
      { first: 0, end: 1 },
      { first: 1, end: 1000 },
      { first: 5000, end: 5002 },
    ]);
    expect([999, 1000, 4999, 5001, 5002].map((id) => isIn(ranges, id))).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('a namespace without a map has none', () => {
    expect(parseIdMap('')).toEqual([]);
    expect(isIn([], 0)).toBe(false);
  });
});
