/**
 * Waiting times between attempts: doubling, with jitter, so that many clients of an API server that comes back do not all
 * arrive in the same millisecond.
 */

export interface BackOff {
  /** The next waiting time in ms. */
  next(): number;
  /** After a success. */
  reset(): void;
}

/** Waits between half and the whole of min, 2 min, 4 min, ... max (ms). */
export function createBackOff(minMs: number, maxMs: number, random: () => number = Math.random): BackOff {
  let limitMs = minMs;
  return {
    next() {
      const waitMs = limitMs / 2 + random() * (limitMs / 2);
      limitMs = Math.min(maxMs, limitMs * 2);
      return waitMs;
    },
    reset() {
      limitMs = minMs;
    },
  };
}

/** Resolves after `ms`, or at once when the signal is aborted; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
