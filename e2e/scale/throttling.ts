/** An API server that has too much to do says so, and when to ask again: the tests' own requests are not what is measured. */
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../../kubernetes/api-error.ts';

/** `ask` until it is neither refused for lack of time nor fails otherwise. */
export async function whenNotThrottled<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || error.retryAfterMs === undefined) throw error;
      await delay(error.retryAfterMs);
    }
  }
}
