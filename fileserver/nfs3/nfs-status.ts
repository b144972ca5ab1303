/** The one place where a volume's status becomes a status of NFS version 3 (RFC 1813 §2.6). */
import { nfsstat3, type nfsstat3_error } from '../../protocol/nfs3.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';

const table: Readonly<Record<VolumeFailure, nfsstat3_error>> = {
  notPermitted: nfsstat3.NFS3ERR_PERM,
  noEntry: nfsstat3.NFS3ERR_NOENT,
  ioError: nfsstat3.NFS3ERR_IO,
  noSuchDevice: nfsstat3.NFS3ERR_NXIO,
  accessDenied: nfsstat3.NFS3ERR_ACCES,
  exists: nfsstat3.NFS3ERR_EXIST,
  crossesVolumes: nfsstat3.NFS3ERR_XDEV,
  notDirectory: nfsstat3.NFS3ERR_NOTDIR,
  isDirectory: nfsstat3.NFS3ERR_ISDIR,
  invalid: nfsstat3.NFS3ERR_INVAL,
  fileTooBig: nfsstat3.NFS3ERR_FBIG,
  noSpace: nfsstat3.NFS3ERR_NOSPC,
  readOnly: nfsstat3.NFS3ERR_ROFS,
  tooManyLinks: nfsstat3.NFS3ERR_MLINK,
  nameTooLong: nfsstat3.NFS3ERR_NAMETOOLONG,
  notEmpty: nfsstat3.NFS3ERR_NOTEMPTY,
  quotaExceeded: nfsstat3.NFS3ERR_DQUOT,
  stale: nfsstat3.NFS3ERR_STALE,
  badHandle: nfsstat3.NFS3ERR_BADHANDLE,
  notSynchronized: nfsstat3.NFS3ERR_NOT_SYNC,
  badCookie: nfsstat3.NFS3ERR_BAD_COOKIE,
  notSupported: nfsstat3.NFS3ERR_NOTSUPP,
  badType: nfsstat3.NFS3ERR_BADTYPE,
  tooSmall: nfsstat3.NFS3ERR_TOOSMALL,
  tryLater: nfsstat3.NFS3ERR_JUKEBOX,
  wouldBlock: nfsstat3.NFS3ERR_JUKEBOX,
};

export function nfsstat3Of(failure: VolumeFailure): nfsstat3_error {
  return table[failure];
}
