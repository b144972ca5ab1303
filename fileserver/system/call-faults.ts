/**
 * Faults for tests, at the boundary to the kernel: the next call of a system call fails with an errno that the test has chosen. Only
 * where the failpoint `callFaults` is on (failpoints.ts); elsewhere functions are what they are.
 */
import { failpoints } from './failpoints.ts';
import { SYSTEM_CALLS } from './system-calls.ts';

/** Calls that can be made to fail. */
export const FAULT_CALLS = [...SYSTEM_CALLS, 'setgroups'] as const;
export type FaultCall = (typeof FAULT_CALLS)[number];

/** Numbers for each call: the errno of the next one (0: none), and how many have failed. */
const SIZE = 2;

export function callFaultsSize(): number {
  return FAULT_CALLS.length * SIZE * Int32Array.BYTES_PER_ELEMENT;
}

/** The test's side: the memory of the failpoint `callFaults`. */
export class CallFaults {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor() {
    this.buffer = new SharedArrayBuffer(callFaultsSize());
    this.#words = new Int32Array(this.buffer);
  }

  /** The next call fails with this errno (positive), once. 0: it does not. */
  arm(call: FaultCall, errno: number): void {
    Atomics.store(this.#words, FAULT_CALLS.indexOf(call) * SIZE, errno);
  }

  /** How many have failed so. */
  failed(call: FaultCall): number {
    return Atomics.load(this.#words, FAULT_CALLS.indexOf(call) * SIZE + 1);
  }
}

const { callFaults } = failpoints;
const words = callFaults === undefined ? null : new Int32Array(callFaults);

/** Does this thread have faults at all? */
export const hasCallFaults = words !== null;

/** The errno with which the call is to fail now; 0: it is not to. */
export function takeCallFault(call: FaultCall): number {
  if (words === null) return 0;
  const at = FAULT_CALLS.indexOf(call) * SIZE;
  const errno = Atomics.exchange(words, at, 0);
  if (errno !== 0) Atomics.add(words, at + 1, 1);
  return errno;
}
