/** When the window of calls sent again grows beyond what was too much, and when it is gone. */
import { expect, test } from 'vitest';
import { afterAnswer, afterFruitless, OPEN_WINDOW, type ResendWindow } from './resend-window.ts';

const MIB = 1024 * 1024;
const NOW = 50_000;
const maxAfter = (window: ResendWindow, now: number) => afterAnswer(window, MIB, now).sizeMax / MIB;

test('its limit doubles ten seconds after the last replacement, and ten seconds after each doubling', () => {
  const window = afterFruitless(OPEN_WINDOW, 8 * MIB, NOW);
  expect([maxAfter(window, NOW + 9_999), maxAfter(window, NOW + 10_000)]).toEqual([4, 8]);
  const doubled = afterAnswer(window, MIB, NOW + 12_000);
  expect([maxAfter(doubled, NOW + 21_999), maxAfter(doubled, NOW + 22_000)]).toEqual([8, 16]);
});

test('there is none any more once it would exceed 32 MiB', () => {
  const window = afterFruitless(OPEN_WINDOW, 32 * MIB, NOW);
  const largest = afterAnswer(window, MIB, NOW + 10_000);
  expect(largest.sizeMax).toBe(32 * MIB);
  expect(afterAnswer(largest, MIB, NOW + 20_000)).toBe(OPEN_WINDOW);
});

test('it is never less than a few small calls', () => {
  expect(afterFruitless(OPEN_WINDOW, 1000, NOW)).toEqual({ size: 0, sizeMax: 64 * 1024, sinceMs: NOW });
});
