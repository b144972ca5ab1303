/**
 * The dead man's switch (R10): a kernel timer that kills this process when its right to serve has run out and nobody has disarmed
 * it.
 */
import koffi from 'koffi';
import { lastSystemCallError } from './errno.ts';

// The check of the lease before every change (R2) has one hole. A process can be stopped between the check and the system call
// (SIGSTOP, the cgroup freezer, swapping, a paused virtual machine) and finish the call when it goes on, long after its partner
// took over. No check inside the process can close that hole, since the process does not run. A timer in the kernel can: SIGKILL
// is acted upon before the process executes another instruction of its own, also if it is stopped at that time. A live process
// moves the timer with every confirmation and disarms it when it fences itself, so it is never killed.
//
// When it is armed and disarmed, before and after which change of the lease, is decided in pair/driver.ts (R10).
//
// The timer runs on CLOCK_BOOTTIME, as the lease does: time in suspend counts. Timers are not inherited by fork and
// vanish with the process.

const CLOCK_BOOTTIME = 7;
const SIGEV_SIGNAL = 0;
const SIGKILL = 9;
const TIMER_ABSTIME = 1;

type TimerCreate = (clock: number, sigevent: Int32Array, timerId: BigInt64Array) => number;
type TimerSetTime = (timerId: bigint, flags: number, newValue: Uint32Array, oldValue: null) => number;

interface TimerCalls {
  readonly create: TimerCreate;
  readonly setTime: TimerSetTime;
}

function loadTimerCalls(): TimerCalls {
  const from = (library: string): TimerCalls => {
    const lib = koffi.load(library);
    return {
      create: lib.func('int timer_create(int clock, void *sigevent, void *timerId)') as TimerCreate,
      setTime: lib.func(
        'int timer_settime(intptr_t timerId, int flags, void *newValue, void *oldValue)',
      ) as TimerSetTime,
    };
  };
  try {
    return from('libc.so.6');
  } catch {
    // Before glibc 2.34 the POSIX timers live in a library of their own.
    return from('librt.so.1');
  }
}

let calls: TimerCalls | null = null;

/** Why the switch cannot guard a process, in a sentence; null if it can. */
export function whyNoDeadMansSwitch(pid: number): string | null {
  if (pid !== 1) return null;
  return (
    'This process is PID 1 of its container, and the kernel discards a SIGKILL that PID 1 gets from inside its ' +
    "own namespace: the dead man's switch could not stop it. Share the pod's process namespace " +
    '(shareProcessNamespace: true) or start it through an init (docker run --init).'
  );
}

/** One timer; a server has one for each disk set. */
export class DeadMansSwitch {
  readonly #timerId: bigint;
  /** struct itimerspec: interval (two 64-bit words, stay 0) and value, as 32-bit halves, so nothing is allocated. */
  readonly #itimerspec = new Uint32Array(8);
  #deadline: number | null = null;

  /** Throws an Error with a sentence if the process is PID 1; SystemCallError if the kernel has no timer left. */
  constructor() {
    const refusal = whyNoDeadMansSwitch(process.pid);
    if (refusal !== null) throw new Error(refusal);
    calls ??= loadTimerCalls();
    // struct sigevent, 64 bytes: value (8), signo (4), notify (4), padding.
    const sigevent = new Int32Array(16);
    sigevent[2] = SIGKILL;
    sigevent[3] = SIGEV_SIGNAL;
    const timerId = new BigInt64Array(1);
    if (calls.create(CLOCK_BOOTTIME, sigevent, timerId) !== 0) throw lastSystemCallError('timer_create');
    this.#timerId = timerId[0]!;
  }

  /** Ms on CLOCK_BOOTTIME at which the process will be killed; null = disarmed. */
  get armedFor(): number | null {
    return this.#deadline;
  }

  /**
   * The process dies at `deadlineMs` (CLOCK_BOOTTIME) unless armed again or disarmed before. A deadline that has
   * passed already kills at once, which is what a process deserves that was stalled for that long. About 1.6 us.
   */
  arm(deadlineMs: number): void {
    // 0 would disarm: that has a name of its own.
    if (!(deadlineMs > 0)) throw new RangeError(`dead man's switch armed for ${deadlineMs}`);
    this.#set(deadlineMs);
    this.#deadline = deadlineMs;
  }

  disarm(): void {
    this.#set(0);
    this.#deadline = null;
  }

  #set(deadlineMs: number): void {
    const seconds = Math.floor(deadlineMs / 1000);
    this.#itimerspec[4] = seconds >>> 0;
    this.#itimerspec[5] = Math.floor(seconds / 4294967296);
    this.#itimerspec[6] = Math.min(999_999_999, Math.floor((deadlineMs - seconds * 1000) * 1e6));
    if (calls!.setTime(this.#timerId, TIMER_ABSTIME, this.#itimerspec, null) !== 0) {
      throw lastSystemCallError('timer_settime');
    }
  }
}
