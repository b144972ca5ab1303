/** The loads with which ways to a server are compared. */
import type { WorkloadName } from '../generator/messages.ts';

export interface Load {
  readonly workload: WorkloadName;
  readonly connections: number;
  readonly depth: number;
}

/** By their names in the results. */
export const LOADS: Record<string, Load> = {
  getattr4x16: { workload: 'getattr', connections: 4, depth: 16 },
  read4k4x16: { workload: 'read4k', connections: 4, depth: 16 },
  read1m: { workload: 'read1m', connections: 1, depth: 4 },
  read1mx4: { workload: 'read1m', connections: 4, depth: 4 },
  write1m: { workload: 'write1m', connections: 1, depth: 4 },
  write1mx4: { workload: 'write1m', connections: 4, depth: 4 },
  getattrLone: { workload: 'getattr1x1', connections: 1, depth: 1 },
};
