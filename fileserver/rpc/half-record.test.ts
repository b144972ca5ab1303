import { expect, test } from 'vitest';
import { HalfRecord } from './half-record.ts';

/** After how many ticks it is overdue. */
function overdueAfter(look: (half: HalfRecord, tick: number) => boolean): number {
  const half = new HalfRecord();
  for (let tick = 1; tick <= 1000; tick++) if (look(half, tick)) return tick;
  return Number.POSITIVE_INFINITY;
}

test('a client that has stopped in the middle of a call has half a minute', () => {
  expect(overdueAfter((half) => half.isOverdue(false, false))).toBe(31);
});

test('one that sends a byte now and then has five minutes', () => {
  expect(overdueAfter((half) => half.isOverdue(true, false))).toBe(301);
});

test('while others wait for the memory, much less', () => {
  expect(overdueAfter((half) => half.isOverdue(false, true))).toBe(3);
  expect(overdueAfter((half) => half.isOverdue(true, true))).toBe(11);
});

test('each call has its own time', () => {
  const slow = (half: HalfRecord, tick: number): boolean => {
    if (tick % 20 === 0) half.reset();
    return half.isOverdue(tick % 20 === 1, false);
  };
  expect(overdueAfter(slow)).toBe(Number.POSITIVE_INFINITY);
});
