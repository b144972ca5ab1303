/**
 * Detects volumes of a disk set whose disk has stopped answering. A stall is logged once when it starts and once when it ends.
 * The agent is notified at both moments, and again when a volume has been stuck for longer than it may.
 */

/** A call that waits longer than this is worth a word. ms */
export const STALL_NOTICE_MS = 1000;
/** Nothing was heard of a wait for so long: it is over. Several times what lies between two words of it. ms */
const OVER_AFTER_MS = 1000;
/** Between two words to the agent about the same volume. ms */
const REPEAT_MS = 1000;

export interface StallHooks {
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** When it begins, and (null) when it is over. */
  readonly onWaits: (volume: string, waitedMs: number | null) => void;
  readonly onStalled: (volume: string, waitedMs: number) => void;
}

interface Wait {
  longestMs: number;
  over: NodeJS.Timeout;
  /** performance.now(); 0: never. */
  toldAt: number;
}

export class StallWatch {
  readonly #limitMs: number;
  readonly #hooks: StallHooks;
  readonly #waiting: Map<string, Wait>;

  /** limitMs 0: the agent is never told. */
  constructor(limitMs: number, hooks: StallHooks) {
    this.#limitMs = limitMs;
    this.#hooks = hooks;
    this.#waiting = new Map();
  }

  /** A call to the volume has waited for its disk since `waitedMs`. Reported again and again while it waits. */
  waits(volume: string, waitedMs: number): void {
    let wait = this.#waiting.get(volume);
    if (wait === undefined) {
      this.#hooks.log(
        'warn',
        `volume ${volume}: its disk has not answered for ${waitedMs} ms; calls that change it wait`,
      );
      wait = { longestMs: 0, over: setTimeout(() => this.#isOver(volume), OVER_AFTER_MS), toldAt: 0 };
      this.#waiting.set(volume, wait);
      this.#hooks.onWaits(volume, waitedMs);
    } else {
      wait.over.refresh();
    }
    wait.longestMs = Math.max(wait.longestMs, waitedMs);
    const now = performance.now();
    if (this.#limitMs === 0 || waitedMs < this.#limitMs || now - wait.toldAt < REPEAT_MS) return;
    wait.toldAt = now;
    this.#hooks.onStalled(volume, waitedMs);
  }

  stop(): void {
    for (const { over } of this.#waiting.values()) clearTimeout(over);
    this.#waiting.clear();
  }

  #isOver(volume: string): void {
    const wait = this.#waiting.get(volume);
    this.#waiting.delete(volume);
    this.#hooks.onWaits(volume, null);
    this.#hooks.log('info', `volume ${volume}: its disk answers again, after ${wait?.longestMs} ms or more`);
  }
}
