/** A call of the witness is answered in bounded time: what is not answered by then is unknown, whatever becomes of it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LeaseWriteOutcome } from '../../pair/types.ts';
import { readWithin, writeWithin } from './witness.ts';

const MS = 100;
const CONFLICT = { kind: 'conflict' } as const;
const UNKNOWN = { kind: 'unknown' } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a call that is not answered is unknown when its time is over, not before, and its transport is told', async () => {
  for (const within of [readWithin, writeWithin]) {
    const late = vi.fn();
    const outcomes: unknown[] = [];
    void within(MS, new Promise<never>(() => {}), late).then((outcome) => outcomes.push(outcome));
    await vi.advanceTimersByTimeAsync(MS - 1);
    expect([outcomes, late.mock.calls.length]).toEqual([[], 0]);
    await vi.advanceTimersByTimeAsync(2);
    expect([outcomes, late.mock.calls.length]).toEqual([[UNKNOWN], 1]);
  }
});

test('an answer in time is the outcome; nobody is told that it is late, and no timer is left', async () => {
  const late = vi.fn();
  expect(await writeWithin(MS, Promise.resolve(CONFLICT), late)).toBe(CONFLICT);
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(2 * MS);
  expect(late).not.toHaveBeenCalled();
});

test('of a process that was held up, an answer that waits unread when the time is over counts', async () => {
  const late = vi.fn();
  const { promise, resolve } = Promise.withResolvers<LeaseWriteOutcome>();
  const call = writeWithin(MS, promise, late);
  // The timer has struck, and the turn of the event loop that reads sockets comes next.
  vi.advanceTimersToNextTimer();
  resolve(CONFLICT);
  expect(await call).toBe(CONFLICT);
  await vi.advanceTimersByTimeAsync(1);
  expect(late).not.toHaveBeenCalled();
});
