/** A freeze of a disk set, one at a time: for as long as it lasts volume threads change nothing, and everything is on the disk. */
import type { DiskSetSide } from '../../pair/types.ts';
import type { FromDataThread } from './messages.ts';

export interface FreezeHooks {
  /** Resolves when every volume thread has frozen its volumes; rejected when the disk set is closed before. */
  readonly freeze: () => Promise<unknown>;
  /** A thread that has not got so far yet says so to nobody. */
  readonly thaw: () => void;
}

interface Freeze {
  readonly id: string;
  readonly end: NodeJS.Timeout;
  /** Every volume thread has frozen its volumes. */
  frozen: boolean;
}

export class CoordinatedFreeze {
  readonly #diskSet: DiskSetSide;
  readonly #post: (message: FromDataThread) => void;
  readonly #hooks: FreezeHooks;
  #present: Freeze | null;
  /** performance.now() at the end of the last one. */
  #endedAtMs: number;

  constructor(diskSet: DiskSetSide, post: (message: FromDataThread) => void, hooks: FreezeHooks) {
    this.#diskSet = diskSet;
    this.#post = post;
    this.#hooks = hooks;
    this.#present = null;
    this.#endedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** How long none has lasted, ms; 0 while one does. */
  get thawedForMs(): number {
    return this.#present === null ? performance.now() - this.#endedAtMs : 0;
  }

  /** Ends with `held`, and later `resumed`; or with `resumed` alone. obstacle: why it can't be; null: it can. */
  async begin(id: string, msMax: number, obstacle: string | null): Promise<void> {
    if (this.#present?.id === id) return;
    if (obstacle !== null || this.#present !== null) {
      const message = this.#present === null ? (obstacle ?? '') : 'another freeze is under way';
      this.#post({ kind: 'resumed', diskSet: this.#diskSet, id, whole: false, message });
      return;
    }
    const end = setTimeout(() => this.end(`it has lasted ${msMax} ms, as long as it may`), msMax);
    const freeze = { id, end, frozen: false };
    this.#present = freeze;
    await this.#hooks.freeze().catch(() => {});
    if (this.#present !== freeze) return;
    freeze.frozen = true;
    this.#post({ kind: 'held', diskSet: this.#diskSet, id });
  }

  /** As it was asked for. */
  endOf(id: string): void {
    if (this.#present?.id === id) this.end(this.#present.frozen ? '' : 'it had not begun yet');
  }

  /** `problem`: why it was not whole; empty: it was. */
  end(problem: string): void {
    if (this.#present === null) return;
    const { id, end } = this.#present;
    clearTimeout(end);
    this.#present = null;
    this.#endedAtMs = performance.now();
    this.#hooks.thaw();
    this.#post({ kind: 'resumed', diskSet: this.#diskSet, id, whole: problem === '', message: problem });
  }
}
