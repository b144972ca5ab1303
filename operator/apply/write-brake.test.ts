import { expect, test } from 'vitest';
import { WriteBrake } from './write-brake.ts';

test('an object is written 20 times at once, then once in 10 s', () => {
  let now = 0;
  const brake = new WriteBrake(() => now);
  const waits = Array.from({ length: 21 }, () => brake.take('storage/home', 'Lease storage/home.a'));
  expect(waits.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 0));
  expect(waits[20]).toBe(10_000);
  now = 9_999;
  expect(brake.take('storage/home', 'Lease storage/home.a')).toBeGreaterThan(0);
  now = 10_000;
  expect(brake.take('storage/home', 'Lease storage/home.a')).toBe(0);
  expect(brake.take('storage/home', 'Lease storage/home.a')).toBeGreaterThan(0);
});

test('other objects are written meanwhile', () => {
  const brake = new WriteBrake(() => 0);
  for (let i = 0; i < 30; i++) brake.take('storage/home', 'Service storage/a');
  expect(brake.take('storage/home', 'Service storage/b')).toBe(0);
});

test('an object counts as contested until it has been left alone for long enough, and for its own pair alone', () => {
  let now = 0;
  const brake = new WriteBrake(() => now);
  for (let i = 0; i < 20; i++) brake.take('storage/home', 'Service storage/a');
  expect(brake.contested('storage/home')).toBe(null);
  brake.take('storage/home', 'Service storage/a');
  expect(brake.contested('storage/home')).toEqual({
    objects: ['Service storage/a'],
    calmInMs: 100_000,
  });
  expect(brake.contested('storage/other')).toBe(null);
  now = 99_999;
  expect(brake.contested('storage/home')).not.toBe(null);
  now = 100_000;
  expect(brake.contested('storage/home')).toBe(null);
});
