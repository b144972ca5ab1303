/**
 * Which pairs need a reconcile, and when. One worker a key at a time; a key that is added while it is worked on is worked on
 * again afterwards; a key that fails waits longer each time.
 */

import { ApiError } from '../../kubernetes/api-error.ts';
import { type BackOff, createBackOff } from '../../kubernetes/back-off.ts';

export interface WorkQueueOptions {
  /** Works on one key. Resolves to ms after which to look again (null: only when asked). A rejection is a failure. */
  readonly work: (key: string) => Promise<number | null>;
  readonly onFailure: (key: string, error: unknown, retryInMs: number) => void;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  readonly random?: () => number;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #ready = new Set<string>();
  readonly #running = new Set<string>();
  /** Keys that are not looked at before their timer ends. */
  readonly #throttled = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #backOffs = new Map<string, BackOff>();
  readonly #idle: (() => void)[] = [];
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#ready.size;
  }

  /** Looks at the key soon. Cheap to repeat. */
  add(key: string): void {
    if (this.#stopped || this.#throttled.has(key)) return;
    this.#ready.add(key);
    this.#next();
  }

  /** No new work; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ready.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #next(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.concurrency) return;
      if (this.#running.has(key)) continue;
      this.#ready.delete(key);
      this.#running.add(key);
      clearTimeout(this.#timers.get(key));
      this.#timers.delete(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    let waitMs: number | null;
    try {
      waitMs = await this.#options.work(key);
      this.#backOffs.delete(key);
    } catch (error) {
      // An API server that is throttling says how long it wants to be left alone; whatever changes meanwhile waits.
      const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
      if (asked > 0) {
        this.#throttled.add(key);
        this.#ready.delete(key);
      }
      waitMs = Math.max(asked, this.#backOff(key).next());
      this.#options.onFailure(key, error, waitMs);
    }
    this.#running.delete(key);
    if (this.#stopped) {
      if (this.#running.size === 0) for (const resolve of this.#idle) resolve();
      return;
    }
    if (waitMs !== null) this.#later(key, waitMs);
    this.#next();
  }

  #later(key: string, ms: number): void {
    clearTimeout(this.#timers.get(key));
    // Longer waits are cut into pieces that setTimeout can count.
    const again = (): void => {
      this.#throttled.delete(key);
      this.add(key);
    };
    const timer = setTimeout(again, Math.min(ms, 2 ** 31 - 1));
    timer.unref();
    this.#timers.set(key, timer);
  }

  #backOff(key: string): BackOff {
    const { retryMsMin, retryMsMax, random } = this.#options;
    let backOff = this.#backOffs.get(key);
    if (backOff === undefined)
      this.#backOffs.set(key, (backOff = createBackOff(retryMsMin, retryMsMax, random)));
    return backOff;
  }
}
