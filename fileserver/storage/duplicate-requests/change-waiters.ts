/** Those who wait until an object is no longer changed by an operation without a recorded reply, or until the operation log is idle. */
import type { CountedKeys } from '../volume/counted-keys.ts';

export class ChangeWaiters {
  readonly #changing: CountedKeys;
  readonly #onBug: (whose: string, error: unknown) => void;
  #blocked: { readonly key: string; readonly ready: () => void }[] = [];
  #idle: (() => void)[] = [];

  /** changing: conflict keys of operations without a recorded reply. */
  constructor(changing: CountedKeys, onBug: (whose: string, error: unknown) => void) {
    this.#changing = changing;
    this.#onBug = onBug;
  }

  get isAny(): boolean {
    return this.#blocked.length > 0 || this.#idle.length > 0;
  }

  /** true: it has to wait; false: it was called back at once. */
  waitFor(key: string, ready: () => void): boolean {
    const waits = this.#changing.has(key);
    if (waits) this.#blocked.push({ key, ready });
    else this.#call(ready);
    return waits;
  }

  waitForIdle(ready: () => void): void {
    this.#idle.push(ready);
  }

  tellIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const ready of idle) this.#call(ready);
  }

  /** Calls back all but those who wait for one of these keys. */
  release(kept: { has(key: string): boolean } = this.#changing): void {
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const waiting of blocked) {
      if (kept.has(waiting.key)) this.#blocked.push(waiting);
      else this.#call(waiting.ready);
    }
  }

  /** Exceptions of the waiting function are not the operation log's. */
  #call(ready: () => void): void {
    try {
      ready();
    } catch (error) {
      this.#onBug('what waited for a change', error);
    }
  }
}
