import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../kubernetes/api-error.ts';
import { WorkQueue } from './work-queue.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A queue whose work the test ends by hand. */
function startQueue(concurrency = 4) {
  const running = new Map<string, PromiseWithResolvers<number | null>>();
  const started: string[] = [];
  const failures: string[] = [];
  const queue = new WorkQueue({
    work: (key) => {
      started.push(key);
      const work = Promise.withResolvers<number | null>();
      running.set(key, work);
      return work.promise;
    },
    onFailure: (key, error, retryInMs) => failures.push(`${key} ${String(error)} ${retryInMs}`),
    concurrency,
    retryMsMin: 100,
    retryMsMax: 400,
    random: () => 1,
  });
  const finish = async (key: string, waitMs: number | null = null): Promise<void> => {
    running.get(key)!.resolve(waitMs);
    await vi.advanceTimersByTimeAsync(0);
  };
  const fail = async (key: string, why: unknown = 'broken'): Promise<void> => {
    running.get(key)!.reject(why);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { queue, started, failures, finish, fail };
}

describe('a key', () => {
  test('that is added while it is worked on is worked on once more afterwards, never twice at a time', async () => {
    const { queue, started, finish } = startQueue();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    expect(started).toEqual(['a']);
    await finish('a');
    expect(started).toEqual(['a', 'a']);
    await finish('a');
    expect(started).toEqual(['a', 'a']);
  });

  test('comes back after the time that its work asked for', async () => {
    const { queue, started, finish } = startQueue();
    queue.add('a');
    await finish('a', 5000);
    await vi.advanceTimersByTimeAsync(4999);
    expect(started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(started).toEqual(['a', 'a']);
  });

  test('that fails waits longer each time, up to the limit, and starts over after a success', async () => {
    const { queue, failures, fail, finish } = startQueue();
    queue.add('a');
    for (const waitMs of [100, 200, 400, 400]) {
      await fail('a');
      await vi.advanceTimersByTimeAsync(waitMs);
    }
    await finish('a');
    queue.add('a');
    await fail('a');
    expect(failures.map((one) => one.split(' ')[2])).toEqual(['100', '200', '400', '400', '100']);
  });

  test('whose requests the API throttles is left alone for as long as it asks, whatever changes', async () => {
    const { queue, started, finish, fail } = startQueue();
    queue.add('a');
    // Changed while it was worked on.
    queue.add('a');
    const throttled = {
      outcome: 'refused',
      status: 429,
      reason: 'TooManyRequests',
      message: 'later',
    } as const;
    await fail('a', new ApiError({ ...throttled, retryAfterMs: 3000 }));
    queue.add('a');
    await vi.advanceTimersByTimeAsync(2990);
    expect(started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(10);
    expect(started).toEqual(['a', 'a']);
    await finish('a');
    queue.add('a');
    expect(started).toEqual(['a', 'a', 'a']);
  });

  test('that fails is tried at once when something changes', async () => {
    const { queue, started, fail } = startQueue();
    queue.add('a');
    await fail('a');
    queue.add('a');
    expect(started).toEqual(['a', 'a']);
  });
});

test('works on so many keys at a time and no more', async () => {
  const { queue, started, finish } = startQueue(2);
  for (const key of ['a', 'b', 'c']) queue.add(key);
  expect([started, queue.waiting]).toEqual([['a', 'b'], 1]);
  await finish('a');
  expect(started).toEqual(['a', 'b', 'c']);
});

test('stop waits for what runs and starts nothing more', async () => {
  const { queue, started, finish } = startQueue();
  queue.add('a');
  queue.add('a');
  let stopped = false;
  const stopping = queue.stop().then(() => {
    stopped = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(stopped).toBe(false);
  await finish('a', 1);
  await stopping;
  queue.add('b');
  await vi.advanceTimersByTimeAsync(1000);
  expect(started).toEqual(['a']);
});
