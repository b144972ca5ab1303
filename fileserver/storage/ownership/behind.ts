/**
 * Is what lies at a volume's path the volume that was served last? The Lease remembers the last epoch whose ownership record
 * was written on all volumes, and their UUIDs (docs/safety.md, R6). A path without that volume, or with an older state of
 * it, is not served until an administrator says on the volume itself that it was restored. Pure.
 */

import type { WrittenVolumes } from '../../../pair/lease.ts';

/** Entry of one volume in the Lease. */
export interface WrittenVolume {
  /** The volume has, or has had, an ownership record of this epoch. */
  readonly epoch: number;
  readonly uuid: string;
}

/** The volume that was found at the path. */
export interface FoundVolume {
  readonly uuid: string;
  /** Epoch in its ownership record; null: it has none. */
  readonly epoch: number | null;
}

/** The Lease's entry for the volume of this name; null: there is none. A volume may be called `constructor`. */
export function writtenOf(name: string, written: WrittenVolumes | undefined): WrittenVolume | null {
  if (written === undefined || !Object.hasOwn(written.volumes, name)) return null;
  return { epoch: written.epoch, uuid: written.volumes[name]! };
}

/**
 * Why the volume is not the one that was served last, as a sentence without its end; null: it is, or that is not known.
 *
 * @param name of the volume, for the sentence
 * @param path where it was looked for
 * @param written null: the Lease knows nothing of a volume of this name
 * @param found null: there is no volume at the path
 */
export function whyBehind(
  name: string,
  path: string,
  written: WrittenVolume | null,
  found: FoundVolume | null,
): string | null {
  if (written === null) return null;
  const { epoch, uuid } = written;
  if (found === null)
    return `volume ${name}: ${path} holds no FilerPair volume, but this volume was served in epoch ${epoch}: its disk is not mounted there, or is empty`;
  if (found.uuid !== uuid)
    return `volume ${name}: ${path} holds the volume with UUID ${found.uuid}, but the one that was served in epoch ${epoch} has UUID ${uuid}: another disk is mounted there, or none`;
  if (found.epoch !== null && found.epoch >= epoch) return null;
  const last = found.epoch === null ? 'was never served' : `was served last in epoch ${found.epoch}`;
  return `volume ${name}: what lies at ${path} ${last}, but this volume was served in epoch ${epoch}: it is an old copy, and lacks what was written since`;
}
