/** Why a disk set cannot be opened: reasons, and the errors that carry them. */
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { RefusedError } from '../../system/write-gate.ts';
import { JournalCorruptError } from '../journal/open-journal.ts';
import { OwnershipAheadError } from '../ownership/ownership.ts';
import { VolumeRecordError } from '../private-files/private-files.ts';

/** Why a disk set could not be opened; constants, because they become reasons of conditions and events. */
export const OpenFailure = {
  /** The volume's epoch is higher than ours: somebody newer owns it (docs/design.md R6). */
  VolumeEpochAhead: 'VolumeEpochAhead',
  /** The directory holds another home server's volume, or another volume than before. */
  WrongVolume: 'WrongVolume',
  /** Not the volume that was served last: it is not mounted, or what is there is an older state of it. */
  VolumeBehind: 'VolumeBehind',
  /** No FilerPair volume there, and this server may not make it one (only the home server may). */
  NotAVolume: 'NotAVolume',
  /** A file system that can't tell its files apart across restarts, or handles larger than NFSv3 allows. */
  UnsupportedFileSystem: 'UnsupportedFileSystem',
  /** An export names a volume that does not exist, or is not well-formed. */
  InvalidExport: 'InvalidExport',
  /** The journal's contents contradict each other: something other than a torn tail. */
  JournalCorrupt: 'JournalCorrupt',
  ReadOnly: 'ReadOnly',
  /** The volume has not been mounted here in time: it is still elsewhere, or cannot be attached to this node. */
  NotAttached: 'NotAttached',
  PortInUse: 'PortInUse',
  /** The right to serve ended, or the disk set was closed again, while it was being opened. */
  RightLost: 'RightLost',
  IoError: 'IoError',
} as const;
export type OpenFailure = (typeof OpenFailure)[keyof typeof OpenFailure];

/** Why this owner can't serve a volume now. The message is a sentence for people. */
export class VolumeOpenError extends Error {
  override readonly name = 'VolumeOpenError';
  readonly reason: OpenFailure;
  readonly epochFound: number | null;

  constructor(reason: OpenFailure, message: string, epochFound: number | null = null) {
    super(message);
    this.reason = reason;
    this.epochFound = epochFound;
  }
}

/** The error as a VolumeOpenError with its reason. One that is no fault of the volume is returned as it is. */
export function asOpenError(spec: VolumeSpec, error: unknown): unknown {
  if (error instanceof VolumeOpenError) return error;
  if (error instanceof JournalCorruptError) return new VolumeOpenError('JournalCorrupt', error.message);
  if (error instanceof OwnershipAheadError)
    return new VolumeOpenError('VolumeEpochAhead', error.message, error.found.epoch);
  if (error instanceof RefusedError)
    return new VolumeOpenError('RightLost', `volume ${spec.name}: ${error.message}`);
  if (error instanceof VolumeRecordError) return new VolumeOpenError('WrongVolume', error.message);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const text = `volume ${spec.name} at ${spec.path}: ${message}`;
  return new VolumeOpenError(code === 'EROFS' ? 'ReadOnly' : 'IoError', text);
}

/** Throws VolumeOpenError where one volume is configured twice. `uuids`: of all volumes of the disk set. */
export function mustBeDifferent(home: string, uuids: readonly string[]): void {
  const twice = uuids.find((uuid, index) => uuids.indexOf(uuid) !== index);
  if (twice !== undefined)
    throw new VolumeOpenError('WrongVolume', `two volumes of ${home} are the same (UUID ${twice})`);
}
