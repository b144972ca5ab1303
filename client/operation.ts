/**
 * One operation of a caller: what it is called in errors, how long it may take, and what ends it. All calls that it makes are
 * given it.
 */
import { AbortError, CallTimeout, type ErrorContext } from './errors.ts';

/** Limits of one operation. */
export interface OperationOptions {
  /**
   * Ends the wait: the operation rejects with an AbortError. Its memory is the caller's again, but what was sent may
   * have been executed.
   */
  readonly signal?: AbortSignal | undefined;
  /** Longest time of the whole operation, in ms; after it, a CallTimeout (`ETIMEDOUT`). Default: none. */
  readonly timeoutMs?: number | undefined;
  /** Longest wait for one reply, in ms. Default: the client's. */
  readonly callTimeoutMs?: number | undefined;
}

export class Operation implements ErrorContext {
  /** As Node names it: `open`, `stat`, `scandir`. */
  readonly syscall: string | undefined;
  /** On the server. */
  readonly path: string | undefined;
  readonly dest: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  readonly callTimeoutMs: number | undefined;
  /** A time of performance.now(); Infinity: no deadline. */
  readonly deadlineMs: number;

  constructor(context: ErrorContext, { signal, timeoutMs, callTimeoutMs }: OperationOptions = {}) {
    this.syscall = context.syscall;
    this.path = context.path;
    this.dest = context.dest;
    this.signal = signal;
    this.timeoutMs = timeoutMs ?? Number.POSITIVE_INFINITY;
    this.callTimeoutMs = callTimeoutMs;
    this.deadlineMs = performance.now() + this.timeoutMs;
  }

  /** Operation that the caller of a procedure gave, or a new one from the caller's options. */
  static of(given: Operation | OperationOptions | undefined): Operation | undefined {
    return given === undefined || given instanceof Operation ? given : new Operation({}, given);
  }

  /** The same limits with another signal. */
  withSignal(signal: AbortSignal): Operation {
    const operation = new Operation(this, { signal, callTimeoutMs: this.callTimeoutMs });
    return Object.assign(operation, { timeoutMs: this.timeoutMs, deadlineMs: this.deadlineMs });
  }

  /**
   * Settles with `work`, or before it when the operation is aborted or has no time left: for work that goes on by
   * itself, or that others wait for too.
   */
  within<T>(work: Promise<T>): Promise<T> {
    const { signal, deadlineMs } = this;
    if (signal === undefined && deadlineMs === Number.POSITIVE_INFINITY) return work;
    work.catch(() => {});
    return new Promise((resolve, reject) => {
      const aborted = () => reject(this.aborted());
      const late = () => reject(this.#late('what it waits for goes on'));
      const leftMs = deadlineMs - performance.now();
      // A longer time is more than a timer takes (24.8 days).
      const timer = leftMs < 0x7fff_ffff ? setTimeout(late, Math.max(0, leftMs)) : undefined;
      if (signal?.aborted === true) aborted();
      signal?.addEventListener('abort', aborted, { once: true });
      const over = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
      };
      work.then(resolve, reject).finally(over);
    });
  }

  /** Throws if it is aborted or has no time left: for work between calls. */
  throwIfOver(): void {
    if (this.signal?.aborted === true) throw this.aborted();
    if (performance.now() >= this.deadlineMs) throw this.#late('its caller was busy');
  }

  #late(why: string): CallTimeout {
    const { syscall, path, dest, timeoutMs } = this;
    return new CallTimeout(syscall ?? 'the operation', timeoutMs, why, { syscall, path, dest });
  }

  aborted(): AbortError {
    const { syscall, path, dest, signal } = this;
    return new AbortError({ syscall, path, dest, cause: signal?.reason });
  }
}
