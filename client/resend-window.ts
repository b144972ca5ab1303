/** How much may be on its way to a server that did not finish what it was sent before. */

// A stalled connection is replaced, and its unanswered calls are sent again. If all of it went out at once, a slow link
// or a slow disk would be given the same work again and again, and finish none of it. So after a replacement that answered
// nothing the calls go out one at a time. Each answer lets more of them go, as a congestion window does (RFC 5681 slow start), up
// to half of what was too much. Calls that wait stay in their order.
//
// Pure: sizes and times go in, a new window comes out.

export interface ResendWindow {
  /** Bytes of calls that may be unanswered on the connection; Infinity: no limit. One call may always be. */
  readonly size: number;
  /** It grows up to this, which doubles after a quiet time. */
  readonly sizeMax: number;
  /** The last replacement or doubling. */
  readonly sinceMs: number;
}

export const OPEN_WINDOW: ResendWindow = {
  size: Number.POSITIVE_INFINITY,
  sizeMax: Number.POSITIVE_INFINITY,
  sinceMs: 0,
};

/** Below this a window is not worth having: the size of a few small calls. Bytes. */
const SIZE_MAX_LEAST = 64 * 1024;
/** Above this nothing is limited any more: more than the proxy keeps for one connection. Bytes. */
const SIZE_MAX_MOST = 32 * 1024 * 1024;
/** Time without a replacement after which more is tried, in ms. */
const QUIET_MS = 10_000;

/** After a connection that was replaced, or broke, without answering the calls that were on it. `inFlight`: their bytes. */
export function afterFruitless(window: ResendWindow, inFlight: number, now: number): ResendWindow {
  const sizeMax = Math.max(SIZE_MAX_LEAST, Math.min(window.sizeMax, inFlight) / 2);
  return { size: 0, sizeMax, sinceMs: now };
}

/** After a call of this size was answered. */
export function afterAnswer(window: ResendWindow, size: number, now: number): ResendWindow {
  if (window.size === Number.POSITIVE_INFINITY) return window;
  let { sizeMax, sinceMs } = window;
  if (now - sinceMs >= QUIET_MS) {
    sizeMax *= 2;
    sinceMs = now;
    if (sizeMax > SIZE_MAX_MOST) return OPEN_WINDOW;
  }
  return { size: Math.min(sizeMax, Math.max(window.size, size) + size), sizeMax, sinceMs };
}

/** May a call of this size follow calls of `inFlight` bytes? */
export function admits(window: ResendWindow, inFlight: number, size: number): boolean {
  return inFlight === 0 || inFlight + size <= window.size;
}
