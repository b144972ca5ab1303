/**
 * Reads volumes that another server serves: are they there, are they this disk set's, are they those that were served last, can
 * they be read? Nothing is written. It runs in the pool's threads and is bounded, as a disk that hangs must not hold up the
 * agent. One check of a disk set at a time.
 */
import type { ServerName } from '../../pair/incarnation.ts';
import type { WrittenVolumes } from '../../pair/lease.ts';
import { whyBehind, writtenOf } from '../storage/ownership/behind.ts';
import { readOwnership } from '../storage/ownership/ownership.ts';
import { readVolumeRecord, saysRestored } from '../storage/ownership/volume-record.ts';

// While a call of the last one is still in the kernel there is no other, so that a disk that hangs takes one thread of the pool,
// however often it is asked about.

/** Longer than a disk takes that could be taken over; ms. */
const PATIENCE_MS = 2000;

interface CheckedVolume {
  readonly name: string;
  readonly path: string;
}

interface Check {
  readonly result: Promise<string | null>;
  /** The volume that is being read, and since when; ms on performance.now(). */
  volume: string;
  sinceMs: number;
}

export class VolumeCheck {
  readonly #underWay = new Map<ServerName, Check>();

  /**
   * Null: every volume is as it should be. Else a sentence about the first that is not, after PATIENCE_MS for each volume at
   * most. Of a check that is under way already, the caller gets the result.
   */
  whyNotReadable(
    home: ServerName,
    volumes: readonly CheckedVolume[],
    written?: WrittenVolumes,
  ): Promise<string | null> {
    return this.#within(home, this.#underWay.get(home) ?? this.#begin(home, volumes, written));
  }

  #begin(home: ServerName, volumes: readonly CheckedVolume[], written: WrittenVolumes | undefined): Check {
    const at = (volume: CheckedVolume): void => {
      check.volume = volume.name;
      check.sinceMs = performance.now();
    };
    const check: Check = {
      volume: '',
      sinceMs: performance.now(),
      // Begins in a later turn: `check` is there by then.
      result: Promise.resolve()
        .then(() => whyNotReadable(home, volumes, written, at))
        .finally(() => this.#underWay.delete(home)),
    };
    this.#underWay.set(home, check);
    return check;
  }

  async #within(home: ServerName, check: Check): Promise<string | null> {
    const over = Promise.withResolvers<string>();
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const waitedMs = performance.now() - check.sinceMs;
      if (waitedMs < PATIENCE_MS) timer = setTimeout(wait, PATIENCE_MS - waitedMs + 1);
      else
        over.resolve(
          `volume ${check.volume} of ${home} has not been read for ${Math.floor(waitedMs / 1000)} s`,
        );
    };
    wait();
    try {
      return await Promise.race([check.result, over.promise]);
    } finally {
      clearTimeout(timer!);
    }
  }
}

async function whyNotReadable(
  home: ServerName,
  volumes: readonly CheckedVolume[],
  written: WrittenVolumes | undefined,
  at: (volume: CheckedVolume) => void,
): Promise<string | null> {
  for (const volume of volumes) {
    at(volume);
    const why = await whyNot(home, volume, written);
    if (why !== null) return why;
  }
  return null;
}

async function whyNot(
  home: ServerName,
  { name, path }: CheckedVolume,
  written: WrittenVolumes | undefined,
): Promise<string | null> {
  try {
    const record = await readVolumeRecord(path);
    if (record === null) return `${path} (volume ${name} of ${home}) holds no volume: is it mounted?`;
    if (record.home !== home)
      return `${path} holds a volume of ${record.home}, and should hold ${name} of ${home}`;
    const ownership = await readOwnership(path);
    const known = writtenOf(name, written);
    if (known === null || (await saysRestored(path))) return null;
    const found = { uuid: record.uuid, epoch: ownership?.epoch ?? null };
    return whyBehind(name, path, known, found);
  } catch (error) {
    return `volume ${name} of ${home} cannot be read at ${path}: ${(error as Error).message}`;
  }
}
