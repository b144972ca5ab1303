/** Readings of volumes whose disk set is being claimed, in the thread that will open them: see prepareVolume(). */

import type { DiskSetSide } from '../../pair/types.ts';
import { discardPrepared, type PreparedVolume, prepareVolume } from '../storage/volume/open-volume.ts';
import { inBackground } from '../system/turns.ts';
import type { PrepareMessage } from './messages.ts';

/** By name. null: it could not be read. */
export type Readings = Map<string, Promise<PreparedVolume | null>>;

export class PreparedVolumes {
  readonly #sets = new Map<DiskSetSide, { readonly epoch: number; readonly readings: Readings }>();

  /** Forgets the readings for an earlier claim. */
  prepare({ diskSet, epoch, volumes }: PrepareMessage): void {
    discardReadings(this.take(diskSet, null));
    if (epoch === null) return;
    // Those that move from node to node are not here yet.
    const here = volumes.filter(({ reattached }) => reattached !== true);
    const readings = new Map(here.map((volume) => [volume.name, prepareVolume(volume)]));
    this.#sets.set(diskSet, { epoch, readings });
  }

  /** For the claim at this epoch; of any epoch if it is null. They belong to the caller. */
  take(diskSet: DiskSetSide, epoch: number | null): Readings {
    const found = this.#sets.get(diskSet);
    this.#sets.delete(diskSet);
    if (found === undefined) return new Map();
    if (epoch === null || found.epoch === epoch) return found.readings;
    discardReadings(found.readings);
    return new Map();
  }
}

/** Closes what nobody has opened. */
export function discardReadings(readings: Readings): void {
  for (const reading of readings.values())
    inBackground(reading.then((prepared) => prepared !== null && discardPrepared(prepared)));
}
