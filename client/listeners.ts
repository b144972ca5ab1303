/**
 * Tells somebody outside what happens here, without depending on it: an exception of a listener is an uncaught exception of the
 * process, as in any callback, but what called the listener goes on.
 */

export function tell<Event>(listener: ((event: Event) => void) | undefined, event: Event): void {
  try {
    listener?.(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
