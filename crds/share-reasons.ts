/** The closed lists of reasons of the conditions of a FilerShare, and what each means; docs/api.md has them. */

const unplaced = {
  PairNotFound: 'There is no FilerPair of that name in the namespace.',
  ServerNotFound: 'The pair has no such server.',
  VolumeNotFound: 'That server has no such volume.',
};

const refused = {
  PathTaken: 'An older FilerShare of the server has the path.',
  PathCollides: 'An older FilerShare has a path with the same number in file handles.',
  VolumeNotServed: 'The servers do not have the volume (yet): a change of the pair is on its way.',
  DirectoryReserved: 'The directory is FilerPair’s own.',
  ClientsInvalid: 'A client is neither an address nor a range.',
  AnonymousIDUnknown: 'The anonymous user or group does not exist where the servers run.',
};

const NotServed =
  'The disk set is not served, for a minute or longer: the condition Ready of the FilerPair says why.';

export const shareReasonMeanings: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: {
    Pending: 'No server has said anything yet.',
    Served: 'Clients can mount it.',
    NotServed,
    DirectoryAbsent: 'The directory does not exist, and the share does not create it.',
    DirectoryUnreadable: 'The directory cannot be read.',
    DirectoryNotMade: 'The directory could not be created.',
    Deleting: 'The share is being deleted.',
    ...unplaced,
    ...refused,
  },
  Accepted: { Accepted: 'The servers accept it.', NotServed, ...unplaced, ...refused },
  DirectoryDeleted: {
    Deleted: 'It is deleted, with everything in it.',
    DirectoryAbsent: 'There was none.',
    InProgress: 'It is being deleted.',
    InUse: 'Another share has it, or a directory in it or above it.',
    CannotBeDeleted: 'The file system refuses; the sentence says why, and the servers try again.',
  },
};
