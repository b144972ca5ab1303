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
