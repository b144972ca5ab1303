/** The ownership record that an opening writes: whose the volume is from now on, and what its clients keep from the last owner. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { type WrittenVolume, whyBehind } from '../ownership/behind.ts';
import { isAhead, type OwnershipRecord, type OwnershipSlot } from '../ownership/ownership.ts';
import { describePlace, isElsewhere, knownPlace } from '../ownership/place.ts';
import { restoredFile } from '../ownership/volume-files.ts';
import type { VolumeRecord } from '../ownership/volume-record.ts';
import { OpenFailure, VolumeOpenError } from './open-failure.ts';
import type { VolumeOwner } from './volume.ts';
import type { VolumeRoot } from './volume-root.ts';

/** State of a volume before anything is written to it. */
export interface VolumeState {
  readonly record: VolumeRecord;
  readonly root: Pick<VolumeRoot, 'place'>;
  readonly last: OwnershipSlot | null;
  /** The administrator says that it was restored. */
  readonly restored: boolean;
}

/** `behind`: of whyBehind(). */
export function refusal({ path }: VolumeSpec, behind: string): VolumeOpenError {
  return new VolumeOpenError(
    OpenFailure.VolumeBehind,
    `${behind}. Mount the volume that was served last; or, if what is there was restored from a backup or is to be served as it is, create the file ${restoredFile(path)}`,
  );
}

/**
 * The write verifier is kept only if the last owner stopped gracefully, and in this place. After anything else unstable
 * data may be lost (the machine crashed, the disk moved, the mount was torn away, the volume is a copy): then it changes,
 * and clients send it again.
 */
export function nextOwnership(
  spec: VolumeSpec,
  owner: VolumeOwner,
  read: VolumeState,
  written: WrittenVolume | null,
): { readonly ownership: OwnershipRecord; readonly warnings: readonly string[] } {
  const { record, restored } = read;
  const { place } = read.root;
  const last = read.last?.record ?? null;
  if (last !== null && last.uuid !== record.uuid) {
    throw new VolumeOpenError(
      OpenFailure.WrongVolume,
      `${spec.path}: its ownership record is that of another volume (${last.uuid}, not ${record.uuid})`,
    );
  }
  if (last !== null && isAhead(last, { epoch: owner.epoch, owner: owner.server })) {
    throw new VolumeOpenError(
      OpenFailure.VolumeEpochAhead,
      `${last.owner} owns ${spec.path} in epoch ${last.epoch}; ${owner.server} claims it in epoch ${owner.epoch}`,
      last.epoch,
    );
  }
  const found = { uuid: record.uuid, epoch: last?.epoch ?? null };
  const behind = whyBehind(spec.name, spec.path, written, found);
  if (behind !== null && !restored) throw refusal(spec, behind);
  const before = last?.place;
  const moved = before !== undefined && isElsewhere(before, place);
  // Old handles may stand for files that were made since, or their numbers for files that will be made.
  const renewed = moved || behind !== null;
  const ownership: OwnershipRecord = {
    uuid: record.uuid,
    home: owner.home,
    owner: owner.server,
    ownerIncarnation: owner.incarnation,
    epoch: owner.epoch,
    writeVerifier: last?.clean === true && !renewed ? last.writeVerifier : randomBytes(8).toString('hex'),
    clean: false,
    place: knownPlace(before, place),
    handles: renewed ? randomUUID() : (last?.handles ?? record.uuid),
  };
  const warnings: string[] = [];
  const stale = 'File handles from before are stale: clients have to mount it again';
  if (moved) {
    const was = `${describePlace(before)}; now it lies in ${describePlace(place)}`;
    warnings.push(
      `volume ${spec.name} at ${spec.path} was copied or restored: it was served last in ${was}. ${stale}`,
    );
  }
  if (behind !== null) {
    warnings.push(`${behind}. It is served all the same, as ${restoredFile(spec.path)} says. ${stale}`);
  } else if (restored) {
    warnings.push(
      `volume ${spec.name}: ${restoredFile(spec.path)} is not needed and was removed: this is the volume that was served last`,
    );
  }
  return { ownership, warnings };
}
