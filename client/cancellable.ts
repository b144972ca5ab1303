/** Iterators that end at once when their user leaves them: return() ends what they wait for. */
import type { Operation } from './operation.ts';

/**
 * What `iterate` yields. It is given the operation with a signal that is aborted when the caller's is, or when the
 * iterator is left; a next() that waits meanwhile rejects with an AbortError.
 */
export function cancellable<T>(
  operation: Operation,
  iterate: (operation: Operation) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const left = new AbortController();
  const { signal } = operation;
  const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const inner = iterate(operation.withSignal(both));
  return {
    next: () => inner.next(),
    async return(value) {
      left.abort();
      return inner.return(await value);
    },
    throw: (error) => inner.throw(error),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined);
    },
  };
}
