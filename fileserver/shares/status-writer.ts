/**
 * Writes statuses of FilerShares: a few at a time, so many a second at most, each share once however often it has changed
 * meanwhile. What is to be written is asked for when its turn has come.
 */
import { ApiError } from '../../kubernetes/api-error.ts';
import { inBackground, nextTurn } from '../system/turns.ts';

const IN_FLIGHT_MAX = 4;
/** As many as the clients of Kubernetes' own controllers. */
const PER_SECOND = 50;
/** Shares that are compared in one turn: 10,000 of them are not to hold up heartbeats. */
const COMPARED_AT_ONCE = 100;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;

export interface StatusWriterOptions {
  /** Writes what is to be said of the share; null: nothing is. */
  readonly write: (name: string) => Promise<unknown> | null;
  readonly log: (message: string) => void;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #queue: Set<string>;
  /** Shares whose write is under way. */
  readonly #writing: Set<string>;
  /** How many may be begun now. */
  #allowed: number;
  #refilledAt: number;
  #timer: NodeJS.Timeout | null;
  #scheduled: boolean;
  #retryMs: number;
  #pausedUntil: number;
  #stopped: boolean;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#queue = new Set();
    this.#writing = new Set();
    this.#allowed = PER_SECOND;
    this.#refilledAt = performance.now();
    this.#timer = null;
    this.#scheduled = false;
    this.#retryMs = RETRY_MS_MIN;
    this.#pausedUntil = 0;
    this.#stopped = false;
  }

  /** Something may be to be said of the share. */
  look(name: string): void {
    this.#queue.add(name);
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    nextTurn(() => {
      this.#scheduled = false;
      this.#goOn();
    });
  }

  #goOn(): void {
    let compared = 0;
    for (const name of this.#queue) {
      if (compared === COMPARED_AT_ONCE) {
        this.#schedule();
        return;
      }
      if (this.#writing.size >= IN_FLIGHT_MAX || this.#stopped) return;
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#later(waitMs);
        return;
      }
      // Its turn comes again when the write has ended.
      if (this.#writing.has(name)) continue;
      compared += 1;
      this.#queue.delete(name);
      const writing = this.#options.write(name);
      if (writing === null) continue;
      this.#allowed -= 1;
      this.#writing.add(name);
      inBackground(this.#await(name, writing));
    }
  }

  async #await(name: string, writing: Promise<unknown>): Promise<void> {
    try {
      await writing;
      this.#retryMs = RETRY_MS_MIN;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (isWorthARetry(error)) this.#retry(name, error);
      // Deleted, or made anew: the watch tells.
      else if (error.status !== 404 && error.status !== 409) this.#options.log(notWritten(name, error));
    } finally {
      this.#writing.delete(name);
      this.#schedule();
    }
  }

  #retry(name: string, error: ApiError): void {
    const waitMs = Math.max(error.retryAfterMs ?? 0, this.#retryMs);
    this.#options.log(`${notWritten(name, error)} The next attempt is in ${waitMs} ms.`);
    this.#pausedUntil = performance.now() + waitMs;
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    this.#queue.add(name);
  }

  #waitMs(): number {
    const now = performance.now();
    if (now < this.#pausedUntil) return this.#pausedUntil - now;
    this.#allowed = Math.min(PER_SECOND, this.#allowed + ((now - this.#refilledAt) / 1000) * PER_SECOND);
    this.#refilledAt = now;
    return this.#allowed >= 1 ? 0 : ((1 - this.#allowed) / PER_SECOND) * 1000;
  }

  #later(ms: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#schedule();
    }, Math.ceil(ms));
    this.#timer.unref();
  }
}

/** Not if it would be answered the same again. */
function isWorthARetry({ status = 500 }: ApiError): boolean {
  return status >= 500 || [401, 403, 408, 429].includes(status);
}

function notWritten(name: string, error: ApiError): string {
  return `The status of FilerShare ${name} was not written: ${error.message}.`;
}
