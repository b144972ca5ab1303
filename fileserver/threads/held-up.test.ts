import { expect, test } from 'vitest';
import { HeldUp } from './held-up.ts';

const EVERY_MS = 250;

test('of a thread that turns every wait counts as a whole', () => {
  const heldUp = new HeldUp(EVERY_MS, 0);
  for (let now = EVERY_MS; now <= 10_000; now += EVERY_MS) heldUp.look(now + 20);
  expect(heldUp.turnedMs(1000, 10_020)).toBe(9020);
});

test('a call that waited while the thread did not turn has waited for the thread, not for a disk', () => {
  const heldUp = new HeldUp(EVERY_MS, 0);
  heldUp.look(EVERY_MS);
  // A call is passed on at 300; then one call of somebody else takes 21 s.
  heldUp.look(21_300);
  expect(heldUp.turnedMs(300, 21_300)).toBeLessThan(1000);
  // Begun in the middle of it, or after it.
  expect(heldUp.turnedMs(20_000, 21_300)).toBe(0);
  expect(heldUp.turnedMs(21_300, 22_300)).toBe(1000);
});

test('what a disk holds while the thread turns goes on counting', () => {
  const heldUp = new HeldUp(EVERY_MS, 0);
  for (let now = EVERY_MS; now <= 2000; now += EVERY_MS) heldUp.look(now);
  heldUp.look(5000);
  for (let now = 5250; now <= 8000; now += EVERY_MS) heldUp.look(now);
  expect(heldUp.turnedMs(500, 8000)).toBe(7500 - 2750);
});
