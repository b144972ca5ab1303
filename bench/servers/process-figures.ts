/** What the kernel says about a process: memory and CPU time (proc(5)). */

import { readFileSync } from 'node:fs';

export interface MemoryMiB {
  /** Resident now, and at most since it started. */
  resident: number;
  peak: number;
}

export function memoryOf(pid: number): MemoryMiB {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { resident: mib('VmRSS'), peak: mib('VmHWM') };
}

/** Kernel's USER_HZ: clock ticks a second in /proc, 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of all its threads, user and system, in milliseconds. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in parentheses that may hold anything, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}
