/** May this user read or write this file? */
import { constants } from 'node:os';
import type { StatBuffer } from '../../system/statx.ts';
import {
  accessOf,
  asUser,
  type Identity,
  identityCanChange,
  R_OK,
  SERVER_IDENTITY,
  W_OK,
  X_OK,
} from '../../system/thread-identity.ts';
import type { VolumeStatus } from '../failures/status.ts';
import { isSettled, KnownAccess, MAY_READ } from '../handles/known-access.ts';
import type { OpenFile } from './open-file.ts';

// The kernel says (faccessat2 as the user), with what every NFS server adds:
//
// NFS has no open, so a program that opened a file and then took its own permission away would fail at its next read. RFC 1813
// §4.4 therefore lets the owner read and write whatever the mode says. It lets every user read what they may execute (to run it,
// the client must read it).

const { EACCES, EPERM, EROFS } = constants.errno;

/** As whom calls are really made: without root that is always the server's own user. */
export function effectiveUser(user: Identity): Identity {
  return identityCanChange ? user : SERVER_IDENTITY;
}

/** Known access of the user, if the object is as it was then. `stat`: its attributes, just read. null: nothing is known. */
function knownNow({ access }: OpenFile, user: Identity, stat: StatBuffer): KnownAccess | null {
  return access !== null && access.user === user && access.changedAtMs === stat.changedAtMs ? access : null;
}

/** Remembers what the kernel said, if it may be remembered: see isSettled(). */
function remember(
  file: OpenFile,
  user: Identity,
  stat: StatBuffer,
  askedAtMs: number,
  asked: number,
  granted: number,
): void {
  const { changedAtMs } = stat;
  if (!file.volume.changeTimesTell || !isSettled(changedAtMs, askedAtMs)) return;
  const known = knownNow(file, user, stat) ?? new KnownAccess(user, changedAtMs);
  known.add(asked, granted);
  file.access = known;
}

/** The user could at the last request. The user may read now if mayStillRead() says so afterwards. */
export function couldRead({ access }: OpenFile, user: Identity): boolean {
  return access !== null && access.user === user && (access.granted & MAY_READ) !== 0;
}

/** After couldRead(). `stat`: the file's attributes, read after that; they may be read once more. */
export function mayStillRead(file: OpenFile, user: Identity, stat: StatBuffer): VolumeStatus {
  const known = knownNow(file, user, stat);
  if (known !== null && (known.granted & MAY_READ) !== 0) return 'ok';
  const askedAtMs = Date.now();
  const status = mayRead(file, user, stat);
  if (status === 'ok') rememberReadable(file, user, stat, askedAtMs);
  return status;
}

/** mayRead() has just said so; it was asked after askedAtMs (CLOCK_REALTIME), and `stat` read just before or after. */
export function rememberReadable(file: OpenFile, user: Identity, stat: StatBuffer, askedAtMs: number): void {
  remember(file, user, stat, askedAtMs, MAY_READ, MAY_READ);
}

/**
 * Which of these (R_OK, W_OK, X_OK) the user has; or -errno. `stat`: the object's attributes, just read.
 */
export function accessNow(file: OpenFile, user: Identity, stat: StatBuffer, wanted: number): number {
  const known = knownNow(file, user, stat);
  const granted = known === null ? 0 : known.granted & wanted;
  const unknown = known === null ? wanted : wanted & ~known.asked;
  if (unknown === 0) return granted;
  const askedAtMs = Date.now();
  let answered = 0;
  let given = 0;
  for (const bit of [R_OK, W_OK, X_OK]) {
    if ((unknown & bit) === 0) continue;
    const result = asUser(user, accessOf, file.pathFd, bit);
    if (result === 0) given |= bit;
    // EROFS is the file system's, and can change without the object.
    else if (result === -EROFS) continue;
    else if (result !== -EACCES && result !== -EPERM) return file.volume.noted('faccessat2', result);
    answered |= bit;
  }
  remember(file, user, stat, askedAtMs, answered, given);
  return granted | given;
}

/** `stat` is overwritten when the mode alone does not allow it. */
export function mayRead(file: OpenFile, user: Identity, stat: StatBuffer): VolumeStatus {
  const { pathFd } = file;
  const result = asUser(user, accessOf, pathFd, R_OK);
  if (result === 0) return 'ok';
  if (result !== -EACCES) return file.volume.failure('faccessat2', result);
  if (asUser(user, accessOf, pathFd, X_OK) === 0) return 'ok';
  return isOwner(pathFd, user, stat) ? 'ok' : 'accessDenied';
}

/** `stat` is overwritten when the mode alone does not allow it. */
export function mayWrite(file: OpenFile, user: Identity, stat: StatBuffer): VolumeStatus {
  const { pathFd } = file;
  const result = asUser(user, accessOf, pathFd, W_OK);
  if (result === 0) return 'ok';
  if (result !== -EACCES) return file.volume.failure('faccessat2', result);
  return isOwner(pathFd, user, stat) ? 'ok' : 'accessDenied';
}

function isOwner(pathFd: number, user: Identity, stat: StatBuffer): boolean {
  return stat.ofFd(pathFd) === 0 && stat.uid === effectiveUser(user).uid;
}
