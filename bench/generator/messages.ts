/** What the comparison and a generator process say to each other. */

/** Names of what a generator can do; one canonical set, so that figures of different days can be compared. */
export const workloadNames = [
  'getattr',
  'lookup',
  'access',
  'read4k',
  'read1m',
  'write4k',
  'write4kSync',
  'write1m',
  'createRemove',
  'getattr1x1',
  'read4k1x1',
] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** Error: one is no workload's name; says which there are. */
export function workloadsNamed(names: readonly string[]): readonly WorkloadName[] {
  for (const name of names) {
    if (workloadNames.includes(name as WorkloadName)) continue;
    throw new Error(`there is no workload ${name}; there are ${workloadNames.join(', ')}`);
  }
  return names as WorkloadName[];
}

export interface RunRequest {
  host: string;
  /** TCP port of both NFS and MOUNT. */
  port: number;
  mountPort: number;
  /** Path that the server exports. */
  exportPath: string;
  workload: WorkloadName;
  connections: number;
  /** Calls in flight on each connection. */
  depth: number;
  /** Bytes of each file that is read or written: a multiple of 1 MiB. */
  fileSize: number;
  warmUpMs: number;
  measureMs: number;
}

export interface RunFigures {
  /** Operations completed in the measured time, and that time. */
  operations: number;
  elapsedMs: number;
  /** Bytes of payload of one operation; 0 where it has none. */
  payloadSize: number;
  /** Time from the call's encoding to its reply's decoding. */
  latencyUs: { p50: number; p99: number; max: number };
  /** CPU time of the generator for each second of the measured time: near 1 means that it was the limit. */
  generatorCpu: number;
}

export type FromGenerator =
  /** The measured time begins, and ends: for who looks at the server at these moments. */
  | { kind: 'measuring' }
  | { kind: 'measured' }
  | { kind: 'done'; figures: RunFigures }
  | { kind: 'failed'; message: string };
