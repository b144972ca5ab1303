/** What a client implementation is measured at: the same work for each (load.c, library.ts). */

export const workloads = ['write', 'read', 'stat', 'createRemove'] as const;
export type Workload = (typeof workloads)[number];

/** A stream's operations (write, read) are of 1 MiB. */
export interface Figures {
  readonly operations: number;
  readonly ms: number;
}
