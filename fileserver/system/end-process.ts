/**
 * Ends this process, whatever its threads are doing. With process.exit() it would wait for workers and for calls in libuv's
 * pool. One call on a disk that does not answer would keep the process, its lock and its Lease forever.
 */
import koffi from 'koffi';
import { bootMs } from './boottime.ts';
import { DeadMansSwitch } from './dead-man-switch.ts';

const c_exit = koffi.load('libc.so.6').func('void _exit(int status)') as (status: number) => void;

/** --cpu-prof, --heap-prof: only process.exit() writes profiles of all threads. */
const isProfiled = process.execArgv.some((argument) => /^--(cpu|heap)-prof/.test(argument));

/** Ends the process at once with this exit code, without waiting for any thread (_exit(2)). */
export function endProcess(code: number): never {
  if (isProfiled) process.exit(code);
  c_exit(code);
  throw new Error('_exit(2) returned');
}

let limit: DeadMansSwitch | null = null;

/** From now on the process lives for `ms` at most: then the kernel kills it, also if this thread does not run any more. */
export function endWithin(ms: number): void {
  limit ??= new DeadMansSwitch();
  limit.arm(bootMs() + ms);
}
