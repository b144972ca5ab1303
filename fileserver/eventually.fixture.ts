// Waiting in tests: on a condition, never for a time. The limit only decides when a test is red, so it is generous:
// on a machine that builds other things meanwhile, everything takes ten times as long.

import { vi } from 'vitest';

/** Runs `check` until it does not throw any more. */
export function eventually<T>(check: () => T | Promise<T>, intervalMs = 5): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: intervalMs });
}
