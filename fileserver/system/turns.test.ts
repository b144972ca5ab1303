import { afterEach, expect, test, vi } from 'vitest';
import { afterThisCallback, inBackground, nextTurn, repeat, reportErrorsTo } from './turns.ts';

let reported: unknown[] = [];
reportErrorsTo((error) => reported.push(error));
afterEach(() => {
  reported = [];
});

const fault = new Error('a fault');
const failing = (): never => {
  throw fault;
};

test('what throws in a later turn, after a callback, or as a promise that nobody awaits is told, and no more', async () => {
  nextTurn(failing);
  afterThisCallback(failing);
  inBackground(Promise.reject(fault));
  await expect.poll(() => reported).toEqual([fault, fault, fault]);
});

test('what is repeated goes on after it has thrown', async () => {
  const timer = repeat(failing, 1);
  await expect.poll(() => reported.length).toBeGreaterThan(2);
  clearInterval(timer);
});

test('work that has not ended is not begun again', async () => {
  let begun = 0;
  let end = (): void => {};
  const work = (): Promise<void> => {
    begun += 1;
    return new Promise((resolve) => {
      end = resolve;
    });
  };
  vi.useFakeTimers();
  try {
    const timer = repeat(work, 10);
    await vi.advanceTimersByTimeAsync(100);
    expect(begun).toBe(1);
    end();
    await vi.advanceTimersByTimeAsync(100);
    expect(begun).toBe(2);
    clearInterval(timer);
  } finally {
    vi.useRealTimers();
  }
});
