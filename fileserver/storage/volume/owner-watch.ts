/**
 * Looks again and again at the ownership records of a thread's volumes (docs/design.md R6). Each volume has one look under way at most: a
 * disk that does not answer holds one thread of libuv's pool, which belongs to the whole process, and its silence is told as that
 * volume's. Every 10 s it is also asked how full the volume is.
 */
import { repeat } from '../../system/turns.ts';
import { outcomeOf } from '../failures/errno-outcomes.ts';
import type { OwnershipRecord } from '../ownership/ownership.ts';
import { type Capacity, capacityOf } from './capacity.ts';
import { STALL_NOTICE_MS } from './stall-watch.ts';
import type { Volume } from './volume.ts';

/** Between the beginnings of two looks at a record. ms */
const LOOK_MS = 500;
/** Between two questions how full a volume is. ms */
const CAPACITY_MS = 10_000;
/** Between two reports about a check that waits. ms */
const TELL_MS = 250;

const CALL = 'read of the ownership record';

export interface OwnerWatchHooks {
  readonly onNewer: (volume: Volume, found: OwnershipRecord) => void;
  /** A check has waited so long for the disk; called again and again while it does. */
  readonly onWaits: (volume: Volume, waitedMs: number) => void;
  readonly onCapacity: (volume: Volume, capacity: Capacity) => void;
}

interface Look {
  readonly volume: Volume;
  /** When the last look began. performance.now() */
  begunAt: number;
  underWay: boolean;
  /** When the volume was last asked how full it is. performance.now() */
  measuredAt: number;
}

export class OwnerWatch {
  readonly #looks: readonly Look[];
  readonly #hooks: OwnerWatchHooks;
  readonly #lookMs: number;
  readonly #timer: NodeJS.Timeout;
  #stopped: boolean;

  /** Begins at once. lookMs: of tests. */
  constructor(volumes: readonly Volume[], hooks: OwnerWatchHooks, lookMs = LOOK_MS) {
    this.#looks = volumes.map((volume) => ({
      volume,
      begunAt: Number.NEGATIVE_INFINITY,
      underWay: false,
      measuredAt: Number.NEGATIVE_INFINITY,
    }));
    this.#hooks = hooks;
    this.#lookMs = lookMs;
    this.#stopped = false;
    this.#timer = repeat(() => this.#turn(), Math.min(TELL_MS, lookMs));
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #turn(): void {
    const now = performance.now();
    for (const look of this.#looks) {
      const ms = now - look.begunAt;
      if (!look.underWay) {
        if (ms >= this.#lookMs) this.#begin(look, now);
      } else if (ms >= STALL_NOTICE_MS) {
        this.#hooks.onWaits(look.volume, Math.round(ms));
      }
    }
  }

  #begin(look: Look, now: number): void {
    const { volume } = look;
    look.begunAt = now;
    look.underWay = true;
    volume.newerOwner().then(
      async (newer) => {
        if (newer !== null && !this.#stopped) this.#hooks.onNewer(volume, newer);
        if (now - look.measuredAt >= CAPACITY_MS && !this.#stopped) {
          look.measuredAt = now;
          const capacity = await capacityOf(volume.rootFd);
          if (capacity !== null && !this.#stopped) this.#hooks.onCapacity(volume, capacity);
        }
        look.underWay = false;
      },
      (error: NodeJS.ErrnoException) => {
        look.underWay = false;
        if (!this.#stopped) failed(volume, error);
      },
    );
  }
}

function failed(volume: Volume, { errno = 0, message }: NodeJS.ErrnoException): void {
  volume.noted(CALL, errno);
  const outcome = errno < 0 ? outcomeOf(CALL, -errno) : null;
  // Without an errno: the record was read, and is damaged.
  if (outcome?.kind === 'retry') return;
  volume.fail('IoError', `volume ${volume.spec.name}: its ownership record cannot be read: ${message}`);
}
