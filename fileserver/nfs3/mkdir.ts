/** MKDIR, RFC 1813 §3.3.9. */
import { nfs3Procedures } from '../../protocol/nfs3.ts';
import { makeDirectoryAt } from '../system/file-calls.ts';
import { S_IFDIR } from '../system/statx.ts';
import { newEntry, newEntryProcedure } from './new-entry.ts';

const MODE_DEFAULT = 0o700;

export const mkdir = newEntryProcedure({
  name: 'MKDIR',
  args: nfs3Procedures.MKDIR.args,
  entryOf: ({ attributes }) => newEntry(S_IFDIR, attributes, MODE_DEFAULT),
  call: 'mkdirat',
  make: ({ volume }, dirFd, { where }, { mode }) => makeDirectoryAt(volume.gate, dirFd, where.name, mode),
});
