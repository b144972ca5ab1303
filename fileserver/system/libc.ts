/**
 * System calls by way of the C library, with results as the kernel has them: an error is the negative errno. A call that a signal
 * has interrupted (EINTR) is made again.
 */
import { constants } from 'node:os';
import koffi from 'koffi';
import { type FaultCall, hasCallFaults, takeCallFault } from './call-faults.ts';

const libc = koffi.load('libc.so.6');
const { EINTR } = constants.errno;

// biome-ignore lint/suspicious/noExplicitAny: what a C function takes, its signature says
type AnyCall = (...args: any[]) => number;

/**
 * signature: as koffi wants it, with one to five parameters. `name`: for faults of tests (call-faults.ts); null: it has none. An
 * instance for each number of parameters, so that nothing is allocated for a call.
 */
export function systemCall<F extends AnyCall>(name: FaultCall | null, signature: string): F {
  const raw = libc.func(signature) as AnyCall;
  const call = name === null || !hasCallFaults ? raw : withFaults(name, raw);
  return withErrno(call, signature.split(',').length) as F;
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
