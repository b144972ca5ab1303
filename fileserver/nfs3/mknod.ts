/** MKNOD, RFC 1813 §3.3.11: devices, sockets and fifos, as objects to be found again; nothing here opens them. */
import { constants } from 'node:os';
import { type ftype3, NF3BLK, NF3CHR, NF3FIFO, NF3SOCK, nfs3Procedures } from '../../protocol/nfs3.ts';
import { makeNodeAt } from '../system/file-calls.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } from '../system/statx.ts';
import { newEntry, newEntryProcedure } from './new-entry.ts';

const MODE_DEFAULT = 0o600;
/** Linux has 12 bits for a major and 20 for a minor number. */
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xfffff;

const { EINVAL } = constants.errno;

const TYPES: Readonly<Partial<Record<ftype3, number>>> = {
  [NF3CHR]: S_IFCHR,
  [NF3BLK]: S_IFBLK,
  [NF3SOCK]: S_IFSOCK,
  [NF3FIFO]: S_IFIFO,
};

export const mknod = newEntryProcedure({
  name: 'MKNOD',
  args: nfs3Procedures.MKNOD.args,
  entryOf: ({ what }) => {
    const type = TYPES[what.type];
    if (type !== undefined && 'dev_attributes' in what)
      return newEntry(type, what.dev_attributes, MODE_DEFAULT);
    if (type !== undefined && 'pipe_attributes' in what)
      return newEntry(type, what.pipe_attributes, MODE_DEFAULT);
    // RFC 1813 §3.3.11: NFS3ERR_BADTYPE for a type that MKNOD does not make.
    return 'badType';
  },
  call: 'mknodat',
  make: ({ volume }, dirFd, { where, what }, { type, mode }) => {
    const major = 'spec' in what ? what.spec.specdata1 : 0;
    const minor = 'spec' in what ? what.spec.specdata2 : 0;
    if (major > MAJOR_MAX || minor > MINOR_MAX) return -EINVAL;
    return makeNodeAt(volume.gate, dirFd, where.name, type | mode, major, minor);
  },
});
