/**
 * The volumes whose disks let calls wait at this moment, as the data path says: for status, metrics and readiness.
 */
import type { ServerName } from '../../pair/incarnation.ts';

/** A disk may take that long for a flush without anybody's having to know. ms */
const WORTH_SAYING_MS = 5000;

export interface StuckVolume {
  readonly name: string;
  readonly forMs: number;
}

export class StuckVolumes {
  /** Of each home, by volume: since when, ms on CLOCK_BOOTTIME. */
  readonly #since: Map<ServerName, Map<string, number>>;

  constructor() {
    this.#since = new Map();
  }

  /** null: its disk answers again. */
  waits(home: ServerName, volume: string, sinceBootMs: number | null): void {
    const volumes = this.#since.get(home) ?? new Map<string, number>();
    this.#since.set(home, volumes);
    if (sinceBootMs === null) volumes.delete(volume);
    else volumes.set(volume, sinceBootMs);
  }

  /** It is not served here any more, or anew. */
  forget(home: ServerName): void {
    this.#since.delete(home);
  }

  of(home: ServerName, now: number): StuckVolume[] {
    const volumes = this.#since.get(home) ?? [];
    return Array.from(volumes, ([name, since]) => ({ name, forMs: Math.max(0, Math.round(now - since)) }));
  }

  /** Of one that has been stuck for long, as a sentence; null: there is none. */
  worst(now: number): string | null {
    for (const home of this.#since.keys()) {
      for (const { name, forMs } of this.of(home, now)) {
        if (forMs < WORTH_SAYING_MS) continue;
        return `the disk of ${home}'s volume ${name} has not answered for ${Math.round(forMs / 1000)} s`;
      }
    }
    return null;
  }
}
