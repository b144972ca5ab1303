/** Why a volume in service is given up; constants, because they become reasons of conditions and events. */
export const FaultReason = {
  ReadOnly: 'ReadOnly',
  IoError: 'IoError',
  VolumeEpochAhead: 'VolumeEpochAhead',
  /** An exception that can't be laid to one call: a fault of this program. */
  InternalError: 'InternalError',
} as const;
export type FaultReason = (typeof FaultReason)[keyof typeof FaultReason];
