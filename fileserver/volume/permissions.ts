/**
 * May this user read or write this file? The kernel says (faccessat2 as the user), with what every NFS server adds:
 *
 * NFS has no open, so a program that opened a file and then took its own permission away would fail at its next
 * read. RFC 1813 §4.4 therefore lets the owner read and write whatever the mode says, and lets anybody read what
 * he may execute (to run it, the client must read it).
 */
import { constants } from 'node:os';
import type { StatBuffer } from '../system/statx.ts';
import {
  accessOf,
  become,
  type Identity,
  identityCanChange,
  R_OK,
  SERVER_IDENTITY,
  W_OK,
  X_OK,
} from '../system/thread-identity.ts';
import { statusOfResult, type VolumeStatus } from './status.ts';

const { EACCES } = constants.errno;

/** As whom calls are really made: without root that is always the server's own user. */
export function effectiveUser(user: Identity): Identity {
  return identityCanChange ? user : SERVER_IDENTITY;
}

/** Leaves the thread as the user. `stat` is overwritten when the mode alone does not allow it. */
export function mayRead(pathFd: number, user: Identity, stat: StatBuffer): VolumeStatus {
  become(user);
  const result = accessOf(pathFd, R_OK);
  if (result !== -EACCES) return statusOfResult(result);
  if (accessOf(pathFd, X_OK) === 0) return 'ok';
  return isOwner(pathFd, user, stat) ? 'ok' : 'accessDenied';
}

/** Leaves the thread as the user. `stat` is overwritten when the mode alone does not allow it. */
export function mayWrite(pathFd: number, user: Identity, stat: StatBuffer): VolumeStatus {
  become(user);
  const result = accessOf(pathFd, W_OK);
  if (result !== -EACCES) return statusOfResult(result);
  return isOwner(pathFd, user, stat) ? 'ok' : 'accessDenied';
}

function isOwner(pathFd: number, user: Identity, stat: StatBuffer): boolean {
  return stat.ofFd(pathFd) === 0 && stat.uid === effectiveUser(user).uid;
}
