/** Text of a data thread's exception in the log. */
export function describeBug(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Work without a caller has thrown: into the log, by any service of the thread; without one there is only standard error. */
export function tellBug(services: Iterable<{ onBug(error: unknown): void }>, error: unknown): void {
  for (const service of services) {
    service.onBug(error);
    return;
  }
  console.error(describeBug(error));
}
