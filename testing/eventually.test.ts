import { expect, test } from 'vitest';
import { eventually } from './eventually.ts';

test('returns what the condition found, also after several looks', async () => {
  let looks = 0;
  expect(await eventually('three looks', 5_000, () => (++looks === 3 ? 'found' : undefined))).toBe('found');
});

test('says what it waited for and what it saw instead', async () => {
  const waiting = eventually(
    'the sun rises',
    1,
    () => false,
    () => 'darkness',
  );
  await expect(waiting).rejects.toThrow('waited 1 ms for: the sun rises; instead: darkness');
});

test('a condition that throws ends the wait at once', async () => {
  const broken = eventually('anything', 60_000, () => {
    throw new Error('cannot happen any more');
  });
  await expect(broken).rejects.toThrow('cannot happen any more');
});
