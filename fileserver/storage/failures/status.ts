/**
 * How an operation on a volume ended, in the volume's own words. errno has its home here (statusOfErrno) and the
 * wire has its own in nfs3/nfs-status.ts (nfsstat3Of); nothing else knows both.
 */
import { constants } from 'node:os';

export const VolumeStatus = {
  ok: 'ok',
  notPermitted: 'notPermitted',
  noEntry: 'noEntry',
  ioError: 'ioError',
  noSuchDevice: 'noSuchDevice',
  accessDenied: 'accessDenied',
  exists: 'exists',
  crossesVolumes: 'crossesVolumes',
  notDirectory: 'notDirectory',
  isDirectory: 'isDirectory',
  invalid: 'invalid',
  fileTooBig: 'fileTooBig',
  noSpace: 'noSpace',
  readOnly: 'readOnly',
  tooManyLinks: 'tooManyLinks',
  nameTooLong: 'nameTooLong',
  notEmpty: 'notEmpty',
  quotaExceeded: 'quotaExceeded',
  stale: 'stale',
  /** Not made by this server for this volume: malformed, or its signature is wrong. */
  badHandle: 'badHandle',
  /** The guard of a SETATTR does not match. */
  notSynchronized: 'notSynchronized',
  badCookie: 'badCookie',
  notSupported: 'notSupported',
  badType: 'badType',
  tooSmall: 'tooSmall',
  /** For lack of something that comes back by itself (descriptors, memory): the client should try again. */
  tryLater: 'tryLater',
  /** Not without waiting for the disk, and this thread must not: the volume's own thread is to do it. */
  wouldBlock: 'wouldBlock',
} as const;
export type VolumeStatus = (typeof VolumeStatus)[keyof typeof VolumeStatus];

export type VolumeFailure = Exclude<VolumeStatus, 'ok'>;

const { errno: E } = constants;

const byErrno = new Map<number, VolumeFailure>([
  [E.EPERM, 'notPermitted'],
  [E.ENOENT, 'noEntry'],
  [E.EIO, 'ioError'],
  [E.ENXIO, 'noSuchDevice'],
  [E.ENODEV, 'noSuchDevice'],
  [E.EACCES, 'accessDenied'],
  [E.EEXIST, 'exists'],
  [E.EXDEV, 'crossesVolumes'],
  [E.ENOTDIR, 'notDirectory'],
  [E.EISDIR, 'isDirectory'],
  [E.EINVAL, 'invalid'],
  [E.EFBIG, 'fileTooBig'],
  [E.EOVERFLOW, 'fileTooBig'],
  [E.ENOSPC, 'noSpace'],
  [E.EROFS, 'readOnly'],
  [E.EMLINK, 'tooManyLinks'],
  [E.ENAMETOOLONG, 'nameTooLong'],
  [E.ENOTEMPTY, 'notEmpty'],
  [E.EDQUOT, 'quotaExceeded'],
  [E.ESTALE, 'stale'],
  [E.EOPNOTSUPP, 'notSupported'],
  [E.ENOSYS, 'notSupported'],
  // RFC 1813 has no "busy": a running program's file, or a mount point that somebody wants to remove.
  [E.ETXTBSY, 'accessDenied'],
  [E.EBUSY, 'accessDenied'],
  [E.ELOOP, 'invalid'],
  [E.EAGAIN, 'tryLater'],
  [E.ENOMEM, 'tryLater'],
  [E.EMFILE, 'tryLater'],
  [E.ENFILE, 'tryLater'],
  [E.EINTR, 'tryLater'],
  // No file system call says that of itself: see FileTable.pathFd() and DiskSet.lookup().
  [E.EINPROGRESS, 'wouldBlock'],
]);

/** Status of the result of a function in system/: 0 and more is ok, less is the negative errno. */
export function statusOfResult(result: number): VolumeStatus {
  return result >= 0 ? 'ok' : failureOfResult(result);
}

/** Failure of a result that is known to be negative. */
export function failureOfResult(result: number): VolumeFailure {
  return byErrno.get(-result) ?? 'ioError';
}
