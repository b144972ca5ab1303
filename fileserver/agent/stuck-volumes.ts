/**
 * A disk set's volumes whose disks let calls wait at this moment, as the data path says: for status, metrics and readiness.
 */
/** A disk may take that long for a flush without anybody's having to know. ms */
const WORTH_SAYING_MS = 5000;

export interface StuckVolume {
  readonly name: string;
  readonly forMs: number;
}

export class StuckVolumes {
  /** By volume: since when, ms on CLOCK_BOOTTIME. */
  readonly #since = new Map<string, number>();

  /** null: its disk answers again. */
  waits(volume: string, sinceBootMs: number | null): void {
    if (sinceBootMs === null) this.#since.delete(volume);
    else this.#since.set(volume, sinceBootMs);
  }

  /** The disk set is not served here any more, or is opened again. */
  forget(): void {
    this.#since.clear();
  }

  now(now: number): StuckVolume[] {
    return Array.from(this.#since, ([name, since]) => ({
      name,
      forMs: Math.max(0, Math.round(now - since)),
    }));
  }

  /** One that has been stuck for long, as a sentence; null: there is none. */
  worst(home: string, now: number): string | null {
    const stuck = this.now(now).find(({ forMs }) => forMs >= WORTH_SAYING_MS);
    if (stuck === undefined) return null;
    return `the disk of ${home}'s volume ${stuck.name} has not answered for ${Math.round(stuck.forMs / 1000)} s`;
  }
}
