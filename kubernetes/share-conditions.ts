/**
 * Conditions that servers write on a FilerShare: closed lists of reasons. The operator says those of shares that no server
 * has.
 */

export const SHARE_FINALIZER = 'filerpair.dev/share-directory';

export const shareFieldManagers = { server: 'filerpair-server', operator: 'filerpair-operator' } as const;

/** Accepted=False, by the operator: no server has such a share. */
export const unplacedShareReasons = ['PairNotFound', 'ServerNotFound', 'VolumeNotFound'] as const;

/** Accepted and Ready Unknown, by the operator: the servers, which would say it, do not serve. */
export const NOT_SERVED = 'NotServed';

const operatorsReasons: ReadonlySet<string> = new Set([...unplacedShareReasons, NOT_SERVED]);

/** Whether the operator has said it of a share, and no server. */
export const isToldByOperator = (reason: string): boolean => operatorsReasons.has(reason);

/** By the owner of the disk set. */
export const shareReasons = {
  Accepted: [
    'Accepted',
    /** An older FilerShare has the path. */
    'PathTaken',
    /** An older FilerShare has a path with the same checksum, which is in file handles. */
    'PathCollides',
    /** The servers do not have the volume (yet). */
    'VolumeNotServed',
    /** FilerPair's own directory. */
    'DirectoryReserved',
    'ClientsInvalid',
    /** anonymousUID or anonymousGID does not exist in the server's user namespace. */
    'AnonymousIDUnknown',
  ],
  /** False, besides those of Accepted. */
  Ready: ['Served', 'DirectoryAbsent', 'DirectoryUnreadable', 'DirectoryNotMade', 'Deleting'],
  /** Reasons of a share that is being deleted, with deletionPolicy Delete. */
  DirectoryDeleted: ['Deleted', 'DirectoryAbsent', 'InProgress', 'InUse', 'CannotBeDeleted'],
} as const;

export type AcceptedReason = (typeof shareReasons.Accepted)[number];
export type ReadyReason = (typeof shareReasons.Ready)[number] | Exclude<AcceptedReason, 'Accepted'>;
export type DirectoryDeletedReason = (typeof shareReasons.DirectoryDeleted)[number];
