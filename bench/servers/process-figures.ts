/** What the kernel says about a process: memory and CPU time (proc(5), clock_gettime(2)). */

import { readFileSync } from 'node:fs';
import koffi from 'koffi';

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

const libc = koffi.load('libc.so.6');
const clockGettime = libc.func('int clock_gettime(int clock, int64 *time)') as (
  clock: number,
  time: BigInt64Array,
) => number;
/** include/linux/posix-timers.h, CPUCLOCK_SCHED: what the scheduler counts. /proc/PID/stat counts whole ticks of 10 ms. */
const CPUCLOCK_SCHED = 2;

/** CPU time of all its threads, user and system, in milliseconds. */
export function cpuMsOf(pid: number): number {
  const time = new BigInt64Array(2);
  // clock_getcpuclockid(3) of the process.
  if (clockGettime((~pid << 3) | CPUCLOCK_SCHED, time) !== 0) throw new Error(`process ${pid} has no clock`);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}
