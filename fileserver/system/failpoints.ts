/**
 * Failpoints: places where a test makes the server do what it never does by itself. Only a test's entry point switches them on
 * (failpoints.fixture.ts): no configuration reaches them, and in the bundles of the programs nothing writes them.
 */
export interface Failpoints {
  /** SIGKILL to this process when an operation of this name (`CREATE`, `MKDIR`...) reaches the step (operation-step.ts). */
  readonly killAt?: { readonly operation: string; readonly step: string };
  /** Executes without writing intents or replies: shows that the kill test can fail. */
  readonly journalDisabled?: boolean;
  /** flush: two flushes for a group of operations on every file system. unwritten: intents only in memory. */
  readonly intents?: 'flush' | 'unwritten';
  /** System calls that fail: memory of CallFaults (call-faults.ts). */
  readonly callFaults?: SharedArrayBuffer;
  /** Between two looks at the ownership records, ms (owner-watch.ts). */
  readonly ownerLookMs?: number;
  /** Between two ticks of the threads with connections, ms: what is counted in ticks of a second (half-record.ts) comes sooner. */
  readonly tickMs?: number;
  /** No figures of calls: shows what counting them costs. */
  readonly uncounted?: boolean;
}

/** Those that are on in this thread. */
export const failpoints: Failpoints = {};
