/** SYMLINK, RFC 1813 §3.3.10. The target is stored as it comes; this server never follows it. */
import { nfs3Procedures } from '../../protocol/nfs3.ts';
import { makeSymbolicLinkAt } from '../system/file-calls.ts';
import { S_IFLNK } from '../system/statx.ts';
import { newEntry, newEntryProcedure } from './new-entry.ts';

/** Bytes; PATH_MAX of Linux without its NUL. A longer one has no intent: it would not fit into a record of the journal. */
const TARGET_SIZE_MAX = 4095;

export const symlink = newEntryProcedure({
  name: 'SYMLINK',
  args: nfs3Procedures.SYMLINK.args,
  entryOf: ({ symlink: { symlink_attributes, symlink_data } }) => {
    if (symlink_data.length > TARGET_SIZE_MAX) return 'nameTooLong';
    if (symlink_data.length === 0 || symlink_data.includes(0)) return 'invalid';
    return newEntry(S_IFLNK, symlink_attributes, 0);
  },
  call: 'symlinkat',
  make: ({ volume }, dirFd, { where, symlink: { symlink_data } }) =>
    makeSymbolicLinkAt(volume.gate, symlink_data, dirFd, where.name),
});
