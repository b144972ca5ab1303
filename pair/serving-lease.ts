/** Rules R1 and R2 as arithmetic: how long a holder may serve, and when it has to act to keep the lease. */
import type { PairTiming } from './types.ts';

//   confirmedAt        soloAfter            renewal or acknowledgement      until = confirmedAt + T
//       |------------------|----------------------------|--------------------------|
//       request was sent   no acknowledgement for long   ...keeps the lease          lease has expired
//
// The date of a confirmation is when its request was *sent*. The answer may have been on its way for any time, and it only says
// that the Lease named us (or that the acknowledger stood by us) some time after sending.

/** The end (exclusive) of the lease that a confirmation requested at `sentAt` gives. */
export function leaseUntil(sentAt: number, timing: PairTiming): number {
  return sentAt + timing.leaseMs;
}

/**
 * When the dead man's switch fires (R10), ms. A live process has half of the guard to close the data path; the other half is
 * left to what the kernel has begun already.
 */
export function switchFiresAt(until: number, timing: PairTiming): number {
  return until + timing.guardMs / 2;
}

/**
 * By how much CLOCK_BOOTTIME may run fast or slow, as a part of 1: what chronyd's default `maxslewrate` (83333.333 ppm) makes of
 * it while a wall clock is corrected by slewing. Two servers may be corrected in opposite directions.
 */
export const SLEW_MAX = 1 / 12;

/**
 * Silence that rule R3 waits for: no server whose last heartbeat is older than this has a lease left. The clock that measures it may
 * run as fast, and the one on which the holder's lease and its dead man's switch run as slow, as SLEW_MAX allows.
 */
export function silenceMs(timing: PairTiming): number {
  const whateverTheClocks = (switchFiresAt(timing.leaseMs, timing) * (1 + SLEW_MAX)) / (1 - SLEW_MAX);
  return Math.max(timing.leaseMs + timing.guardMs, Math.ceil(whateverTheClocks));
}

/** A paired holder without acknowledgements for this long goes solo: early enough to ask the API twice. */
export function soloAfterMs(timing: PairTiming): number {
  return timing.leaseMs * 0.4;
}

/** A solo holder renews this often. */
export function renewEveryMs(timing: PairTiming): number {
  return timing.leaseMs / 3;
}

/** After a write or read that failed, the next try waits this long. */
export function retryAfterMs(timing: PairTiming): number {
  return timing.leaseMs / 20;
}

/** A partner is named acknowledger after it has been heard steadily for this long. */
export function steadyAfterMs(timing: PairTiming): number {
  return timing.heartbeatMs * 3;
}
