/**
 * System calls by way of the C library, with results as the kernel has them: an error is the negative errno. A call that a signal
 * has interrupted (EINTR) is made again. Calls that change a volume are made behind its gate.
 */
import { constants } from 'node:os';
import koffi from 'koffi';
import { type FaultCall, hasCallFaults, takeCallFault } from './call-faults.ts';
import type { ChangingCall } from './system-calls.ts';
import { REFUSED, type WriteGate } from './write-gate.ts';

const libc = koffi.load('libc.so.6');
const { EINTR } = constants.errno;

// biome-ignore lint/suspicious/noExplicitAny: what a C function takes, its signature says
type AnyCall = (...args: any[]) => number;

/**
 * signature: as koffi wants it, with one to five parameters. `name`: for faults of tests (call-faults.ts); null: it has none. An
 * instance for each number of parameters, so that nothing is allocated for a call.
 */
export function systemCall<F extends AnyCall>(
  name: Exclude<FaultCall, ChangingCall> | null,
  signature: string,
): F {
  return withErrno(callOf(name, signature), signature.split(',').length) as F;
}

type Gated<F extends AnyCall> = (gate: WriteGate, ...args: Parameters<F>) => number;

/** The same for a call that changes a volume, with two to five parameters behind the gate. */
export function changingCall<F extends AnyCall>(
  name: ChangingCall | 'openat' | null,
  signature: string,
): Gated<F> {
  return behindGate(callOf(name, signature), signature.split(',').length) as Gated<F>;
}

function callOf(name: FaultCall | null, signature: string): AnyCall {
  const raw = libc.func(signature) as AnyCall;
  return name === null || !hasCallFaults ? raw : withFaults(name, raw);
}

/** How many calls before it is said that one was interrupted: no signal comes that often. */
const TRIES = 1000;

function withErrno(call: AnyCall, parameters: number): AnyCall {
  switch (parameters) {
    case 1:
      return (a) => {
        let result = call(a);
        for (let i = 0; result < 0 && wasInterrupted() && i < TRIES; i++) result = call(a);
        return result < 0 ? -koffi.errno() : result;
      };
    case 2:
      return (a, b) => {
        let result = call(a, b);
        for (let i = 0; result < 0 && wasInterrupted() && i < TRIES; i++) result = call(a, b);
        return result < 0 ? -koffi.errno() : result;
      };
    case 3:
      return (a, b, c) => {
        let result = call(a, b, c);
        for (let i = 0; result < 0 && wasInterrupted() && i < TRIES; i++) result = call(a, b, c);
        return result < 0 ? -koffi.errno() : result;
      };
    case 4:
      return (a, b, c, d) => {
        let result = call(a, b, c, d);
        for (let i = 0; result < 0 && wasInterrupted() && i < TRIES; i++) result = call(a, b, c, d);
        return result < 0 ? -koffi.errno() : result;
      };
    case 5:
      return (a, b, c, d, e) => {
        let result = call(a, b, c, d, e);
        for (let i = 0; result < 0 && wasInterrupted() && i < TRIES; i++) result = call(a, b, c, d, e);
        return result < 0 ? -koffi.errno() : result;
      };
    default:
      throw new Error(`system calls with ${parameters} parameters are not provided for`);
  }
}

type GatedCall = Gated<AnyCall>;

/** The gate is asked before each try: one that was interrupted may have waited long. */
function behindGate(call: AnyCall, parameters: number): GatedCall {
  switch (parameters) {
    case 2:
      return (gate, a, b) => {
        for (let i = 0; ; i++) {
          if (!gate.begin()) return REFUSED;
          let result: number;
          try {
            result = call(a, b);
          } finally {
            gate.end();
          }
          if (result >= 0) return result;
          if (!wasInterrupted() || i >= TRIES) return -koffi.errno();
        }
      };
    case 3:
      return (gate, a, b, c) => {
        for (let i = 0; ; i++) {
          if (!gate.begin()) return REFUSED;
          let result: number;
          try {
            result = call(a, b, c);
          } finally {
            gate.end();
          }
          if (result >= 0) return result;
          if (!wasInterrupted() || i >= TRIES) return -koffi.errno();
        }
      };
    case 4:
      return (gate, a, b, c, d) => {
        for (let i = 0; ; i++) {
          if (!gate.begin()) return REFUSED;
          let result: number;
          try {
            result = call(a, b, c, d);
          } finally {
            gate.end();
          }
          if (result >= 0) return result;
          if (!wasInterrupted() || i >= TRIES) return -koffi.errno();
        }
      };
    case 5:
      return (gate, a, b, c, d, e) => {
        for (let i = 0; ; i++) {
          if (!gate.begin()) return REFUSED;
          let result: number;
          try {
            result = call(a, b, c, d, e);
          } finally {
            gate.end();
          }
          if (result >= 0) return result;
          if (!wasInterrupted() || i >= TRIES) return -koffi.errno();
        }
      };
    default:
      throw new Error(`changing calls with ${parameters} parameters are not provided for`);
  }
}

function wasInterrupted(): boolean {
  return koffi.errno() === EINTR;
}

function withFaults(name: FaultCall, raw: AnyCall): AnyCall {
  return (...args) => {
    const errno = takeCallFault(name);
    if (errno === 0) return raw(...args);
    koffi.errno(errno);
    return -1;
  };
}
