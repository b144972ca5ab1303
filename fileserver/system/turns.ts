/**
 * Work that begins without a caller: in a later turn of the event loop, again and again, or as a promise that nobody awaits. What
 * throws there goes to the thread's listener instead of ending the process unseen. A lint rule (biome.json) keeps setImmediate,
 * setInterval, queueMicrotask and promises without a handler out of the rest of fileserver/.
 */

// Threads that execute clients' calls log it and go on (reportErrorsTo). Elsewhere it is thrown again and ends the process: who
// decides whether this server may serve must not go on with half of a decision.

type Report = (error: unknown) => void;

let report: Report = (error) => {
  setImmediate(() => {
    throw error;
  });
};

/** Sets the listener of this thread, for good. */
export function reportErrorsTo(listener: Report): void {
  report = listener;
}

/** Now. For listeners whose errors are not the caller's: the caller goes on, and they are not lost. */
export function reportingErrors(work: () => void): void {
  try {
    work();
  } catch (error) {
    report(error);
  }
}

/** After what has come with this turn of the event loop. */
export function nextTurn(work: () => void): void {
  setImmediate(reportingErrors, work);
}

/** When the present callback of the event loop has ended, before the next one. */
export function afterThisCallback(work: () => void): void {
  process.nextTick(reportingErrors, work);
}

/**
 * Every `ms`, until clearInterval(). Work that is a promise is not begun again before it has ended: on a disk that does not answer
 * it waits once, and takes one thread of the pool.
 */
export function repeat(work: () => unknown, ms: number): NodeJS.Timeout {
  let underWay = false;
  const once = async (): Promise<void> => {
    try {
      await work();
    } finally {
      underWay = false;
    }
  };
  return setInterval(() => {
    if (underWay) return;
    underWay = true;
    once().catch((error: unknown) => report(error));
  }, ms);
}

/** Nobody awaits it. */
export function inBackground(promise: Promise<unknown> | undefined): void {
  promise?.catch((error: unknown) => report(error));
}
