/** Keeps what a test found, if it was run whole: a part of it, as `make test` runs it, says less than the whole did before. */
import { inject } from 'vitest';
import { type ConformanceResults, writeConformance } from './results.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The run is one of `make conformance`. */
    readonly whole?: boolean;
  }
}

export function recordResult<K extends keyof ConformanceResults>(
  name: K,
  found: ConformanceResults[K],
): void {
  if (inject('whole') === true) writeConformance(name, found);
}
