/** Waits until an assertion of Vitest holds; the last failure is the error. */
import { vi } from 'vitest';

/** Runs `check` until it does not throw any more. */
export function assertEventually<T>(check: () => T | Promise<T>, intervalMs = 5): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: intervalMs });
}
