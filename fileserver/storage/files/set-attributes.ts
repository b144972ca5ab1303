/**
 * Sets attributes as a user, in an order in which every step leaves the next one possible. The parts are separate
 * system calls, so what can be known to fail is refused before the first of them changes anything. Everything is
 * set to absolute values: doing it again after a crash does no harm.
 */
import { constants } from 'node:os';
import { OFFSET_MAX, type Offset, truncate } from '../../system/data-calls.ts';
import {
  changeMode,
  changeOwner,
  changeTimes,
  ID_UNCHANGED,
  UTIME_NOW,
  UTIME_OMIT,
} from '../../system/file-calls.ts';
import { S_IFDIR, S_IFLNK, S_IFREG, type StatBuffer } from '../../system/statx.ts';
import type { SystemCall } from '../../system/system-calls.ts';
import { asUser, type Identity } from '../../system/thread-identity.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { failureOfResult, type VolumeFailure } from '../failures/status.ts';
import type { DiskSet } from './disk-set.ts';
import type { OpenFile } from './open-file.ts';
import { effectiveUser, mayWrite } from './permissions.ts';

export type TimeChange = 'keep' | 'now' | { readonly seconds: number; readonly nanoseconds: number };

/** null, keep: leave as it is. */
export interface AttributeChanges {
  readonly mode: number | null;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly size: Offset | null;
  readonly atime: TimeChange;
  readonly mtime: TimeChange;
}

export const NO_CHANGES: AttributeChanges = {
  mode: null,
  uid: null,
  gid: null,
  size: null,
  atime: 'keep',
  mtime: 'keep',
};

const NANOSECONDS = 1_000_000_000;
const { EOPNOTSUPP } = constants.errno;

/** True for a SETATTR without any attribute (RFC 1813 §3.3.2), which still checks its guard. */
export function changesNothing(changes: AttributeChanges): boolean {
  return (
    changes.mode === null &&
    changes.uid === null &&
    changes.gid === null &&
    changes.size === null &&
    changes.atime === 'keep' &&
    changes.mtime === 'keep'
  );
}

/**
 * Changes that an interrupted call has not done, by the attributes as they are: everything from the first step on
 * (applyAttributeChanges) that does not show. So attributes that were set completely, and perhaps told to a client, stay
 * as they are to the nanosecond.
 */
export function remainingChanges(changes: AttributeChanges, stat: StatBuffer): AttributeChanges {
  const { size, uid, gid, mode } = changes;
  if (size !== null && BigInt(size) !== stat.sizeExact) return changes;
  if ((uid !== null && uid !== stat.uid) || (gid !== null && gid !== stat.gid))
    return { ...changes, size: null };
  const times = { atime: changes.atime, mtime: changes.mtime };
  if (mode !== null && (mode & 0o7777) !== (stat.mode & 0o7777) && stat.type !== S_IFLNK)
    return { ...NO_CHANGES, ...times, mode };
  const atimeShows = showsTime(changes.atime, stat.atimeSeconds, stat.atimeNanoseconds, stat);
  const mtimeShows = showsTime(changes.mtime, stat.mtimeSeconds, stat.mtimeNanoseconds, stat);
  return atimeShows && mtimeShows ? NO_CHANGES : { ...NO_CHANGES, ...times };
}

/** "now" set both the time and, to the same value, the ctime. */
function showsTime(time: TimeChange, seconds: number, nanoseconds: number, stat: StatBuffer): boolean {
  if (time === 'keep') return true;
  if (time === 'now') return seconds === stat.ctimeSeconds && nanoseconds === stat.ctimeNanoseconds;
  return seconds === time.seconds && nanoseconds === time.nanoseconds;
}

function isGiven(time: TimeChange): time is Exclude<TimeChange, string> {
  return typeof time === 'object';
}

/**
 * Why the user can't make these changes, as far as that can be told beforehand; null: the user may. `stat`: the attributes now.
 */
export function checkAttributeChanges(
  diskSet: DiskSet,
  file: OpenFile,
  changes: AttributeChanges,
  user: Identity,
  stat: StatBuffer,
): VolumeFailure | null {
  const { atime, mtime } = changes;
  if (isGiven(atime) && atime.nanoseconds >= NANOSECONDS) return 'invalid';
  if (isGiven(mtime) && mtime.nanoseconds >= NANOSECONDS) return 'invalid';
  const { uid } = effectiveUser(user);
  const owner = uid === 0 || uid === stat.uid;
  if (!owner && changes.mode !== null) return 'notPermitted';
  const otherOwner = changes.uid !== null && changes.uid !== stat.uid;
  const otherGroup = changes.gid !== null && changes.gid !== stat.gid;
  if (uid !== 0 && otherOwner) return 'notPermitted';
  if (uid !== 0 && otherGroup && (!owner || !isMember(user, changes.gid!))) return 'notPermitted';
  // Users who may write may set both times to now, and only that: utimensat(2).
  const touches = atime === 'now' && mtime === 'now';
  if (!owner && !touches && (atime !== 'keep' || mtime !== 'keep')) return 'notPermitted';
  if (!owner && touches) {
    const allowed = mayWrite(file, user, file.volume.stat);
    if (allowed !== 'ok') return allowed;
  }
  return changes.size === null ? null : checkTruncation(diskSet, file, user, stat, changes.size);
}

function isMember(user: Identity, gid: number): boolean {
  const { gid: own, groups } = effectiveUser(user);
  return gid === own || groups.includes(gid);
}

function checkTruncation(
  diskSet: DiskSet,
  file: OpenFile,
  user: Identity,
  stat: StatBuffer,
  size: Offset,
): VolumeFailure | null {
  if (stat.type === S_IFDIR) return 'isDirectory';
  if (stat.type !== S_IFREG) return 'invalid';
  if (size > OFFSET_MAX) return 'fileTooBig';
  const fd = diskSet.table.writeFd(file);
  if (fd < 0) return failureOfResult(fd);
  const allowed = mayWrite(file, user, file.volume.stat);
  return allowed === 'ok' ? null : allowed;
}

/**
 * Size first (it may clear set-id bits, which a mode may set again), then owner (likewise), then mode, then times
 * (everything before sets them). null: done. `between` is called between two steps.
 */
export function applyAttributeChanges(
  diskSet: DiskSet,
  file: OpenFile,
  changes: AttributeChanges,
  user: Identity,
  type: number,
  between: () => void,
): VolumeFailure | null {
  const writeFd = changes.size === null ? -1 : diskSet.table.writeFd(file);
  if (writeFd < 0 && changes.size !== null) return failureOfResult(writeFd);
  const pathFd = diskSet.pathFd(file);
  if (pathFd < 0) return failureOfResult(pathFd);
  const steps: (readonly [SystemCall, () => number])[] = [];
  const { size, uid, gid, mode, atime, mtime } = changes;
  const { gate } = file.volume;
  if (size !== null) steps.push(['ftruncate64', () => truncate(gate, writeFd, size)]);
  if (uid !== null || gid !== null) {
    steps.push(['fchownat', () => changeOwner(gate, pathFd, uid ?? ID_UNCHANGED, gid ?? ID_UNCHANGED)]);
  }
  if (mode !== null) steps.push(['fchmodat', () => setMode(gate, pathFd, mode, type)]);
  if (atime !== 'keep' || mtime !== 'keep')
    steps.push(['utimensat', () => setTimes(gate, pathFd, atime, mtime)]);
  for (const [index, [call, step]] of steps.entries()) {
    if (index > 0) between();
    const result = asUser(user, step);
    if (result < 0) return file.volume.failure(call, result);
  }
  return null;
}

/** Linux has no modes of symbolic links: they are 0777 whatever is asked, and that is no error to a client. */
function setMode(gate: WriteGate, pathFd: number, mode: number, type: number): number {
  const result = changeMode(gate, pathFd, mode & 0o7777);
  return type === S_IFLNK && result === -EOPNOTSUPP ? 0 : result;
}

function setTimes(gate: WriteGate, pathFd: number, atime: TimeChange, mtime: TimeChange): number {
  return changeTimes(
    gate,
    pathFd,
    secondsOf(atime),
    nanosecondsOf(atime),
    secondsOf(mtime),
    nanosecondsOf(mtime),
  );
}

function secondsOf(time: TimeChange): number {
  return isGiven(time) ? time.seconds : 0;
}

function nanosecondsOf(time: TimeChange): number {
  if (isGiven(time)) return time.nanoseconds;
  return time === 'now' ? UTIME_NOW : UTIME_OMIT;
}
