/** The pace of the client's attempts: when the next one is due, how long one may take, and how patient the client is. */
import type { Attempt, AttemptsOptions, AttemptsState } from './attempts-state.ts';
import type { PortRole } from './transport-address.ts';

export function patienceAfter(
  state: AttemptsState,
  progress: boolean,
  now: number,
  options: AttemptsOptions,
): number {
  if (state.mode === 'suspect') {
    const limit = progress ? options.patienceMsMax / 2 : options.patienceMsMax;
    return Math.max(state.patienceMs, Math.min(state.patienceMs * 2, limit));
  }
  return progress && isCalm(state, now, options) ? options.patienceMs : state.patienceMs;
}

export function isCalm(state: AttemptsState, now: number, options: AttemptsOptions): boolean {
  return now - state.sinceMs >= options.calmMs;
}

/** When an attempt that has just been answered may be adopted, unless something else happens before. */
export function adoptionTime(
  state: AttemptsState,
  role: PortRole,
  proven: boolean,
  now: number,
  options: AttemptsOptions,
): number {
  if (state.adopted?.role === role) return now + state.samePortPatienceMs;
  const waits = !proven && role === 'secondary' && !state.primaryDenied;
  return waits ? state.sinceMs + options.unprovenWaitMs : now;
}

/**
 * An open connection that does not answer belongs to a stopped server, to one under load, or to a machine that is gone.
 * More of the same would only pile up, so the pause grows with the time that has passed.
 */
export function askPause(
  state: AttemptsState,
  role: PortRole,
  now: number,
  options: AttemptsOptions,
): number {
  const oldest = state.attempts.find((each) => each.role === role && each.phase === 'asking');
  if (oldest === undefined) return 0;
  // Beside a connection that is only slow there is no hurry: nothing wins here soon.
  const least = state.adopted?.role === role ? options.attemptMsMax : options.attemptMsMax / 4;
  return Math.max(least, Math.min((now - oldest.startedMs) / 2, options.askPauseMsMax));
}

export function intervalLimit(state: AttemptsState, now: number, options: AttemptsOptions): number {
  return now - state.hurrySinceMs < options.searchWindowMs ? options.intervalMsMax : options.backOffMsMax;
}

export function expiry(state: AttemptsState, attempt: Attempt, options: AttemptsOptions): number {
  if (attempt.phase !== 'connecting') return Number.POSITIVE_INFINITY;
  return attempt.startedMs + Math.max(options.attemptMsMax, (attempt.startedMs - state.sinceMs) / 4);
}

export function schedule(first: number, options: AttemptsOptions): Pick<AttemptsState, 'due' | 'interval'> {
  return {
    due: { primary: first, secondary: first },
    interval: { primary: options.intervalMs, secondary: options.intervalMs },
  };
}

/**
 * A server that accepts, answers NULL and then closes on the first real call would be dialled in a tight loop.
 * One fruitless connection is normal (a port that closes as we come); from the second on the pause doubles.
 */
export function fruitlessPause(fruitless: number, options: AttemptsOptions): number {
  if (fruitless < 2) return 0;
  return Math.min(options.intervalMs * 2 ** (fruitless - 2), options.backOffMsMax);
}

/** 0.8..1.2, different for each client and attempt, the same in every run with one seed. */
export function spread(id: number, options: AttemptsOptions): number {
  let hash = Math.imul(options.seed ^ id, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return 0.8 + ((hash >>> 8) / 0x1000000) * 0.4;
}
