import { expect, test } from 'vitest';
import { UntakenReplies } from './untaken-replies.ts';

const MIB = 1024 * 1024;

/** After how many ticks it is overdue, if each of them has taken so much more of replies of 1 MiB; there is always more. */
function overdueAfter(takenOf: (tick: number) => number, wantedAt: (tick: number) => boolean): number {
  const replies = new UntakenReplies();
  let taken = 0;
  for (let tick = 1; tick <= 500; tick++) {
    taken += takenOf(tick);
    const complete = taken - (taken % MIB);
    if (replies.isOverdue(4 * MIB, complete, MIB - (taken % MIB), wantedAt(tick))) return tick;
  }
  return Number.POSITIVE_INFINITY;
}
const never = (): boolean => false;
const always = (): boolean => true;

test('who takes nothing has a minute, and seconds while others wait for the memory', () => {
  expect(overdueAfter(() => 0, never)).toBe(61);
  expect(overdueAfter(() => 0, always)).toBeLessThanOrEqual(4);
  expect(
    overdueAfter(
      () => 0,
      (tick) => tick > 20,
    ),
  ).toBe(21);
});

test('a client that takes a byte now and then has its time, but not while others wait', () => {
  const slow = (tick: number): number => (tick % 50 === 0 ? 1 : 0);
  expect(overdueAfter(slow, never)).toBe(Number.POSITIVE_INFINITY);
  expect(overdueAfter(() => 1000, never)).toBe(Number.POSITIVE_INFINITY);
  expect(overdueAfter(() => 1000, always)).toBeLessThanOrEqual(4);
});

test('who takes what comes is never ended, by whole replies or by parts of one', () => {
  for (const size of [100_000, MIB, 30 * MIB])
    expect(overdueAfter(() => size, always)).toBe(Number.POSITIVE_INFINITY);
});

test('nothing that waits is nothing to be late with', () => {
  const replies = new UntakenReplies();
  for (let tick = 0; tick < 200; tick++) expect(replies.isOverdue(0, 0, 0, true)).toBe(false);
});
