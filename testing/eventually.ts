/**
 * Waits for a condition. Set-up and tests never sleep for a time that somebody guessed: they name what they wait for and how long
 * it may take at most. That limit only decides when a test is red, so it is generous: on a busy machine everything takes ten times
 * as long.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** Pause between two looks, ms: short at first, longer for what takes long and costs a process or a request each look. */
const PAUSE_MS_MIN = 1;
const PAUSE_MS_MAX = 20;

export class NeverHappened extends Error {
  override name = 'NeverHappened';
}

/**
 * Looks until the condition holds and returns what it found.
 *
 * @param event what is waited for, as a statement ("dockerd answers")
 * @param msMax longest wait; a condition that throws ends it at once
 * @param look anything but false, null and undefined counts as "it holds"
 * @param seen describes the state for the error, called when time is up
 */
export async function eventually<T>(
  event: string,
  msMax: number,
  look: () => T | Promise<T>,
  seen?: () => string | Promise<string>,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + msMax;
  for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 1.5)) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found;
    if (performance.now() >= deadline) {
      const state = seen ? `; instead: ${await seen()}` : '';
      throw new NeverHappened(`waited ${msMax} ms for: ${event}${state}`);
    }
    await delay(pauseMs);
  }
}
