/**
 * Outcomes of errors of system calls, for every call that the data path makes: one table, as data.
 * docs/fileserver-data.md shows it; errno-outcomes.test.ts compares the two.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { DURABLE_CALLS, type SystemCall } from '../../system/system-calls.ts';
import type { FaultReason } from './fault-reason.ts';
import { failureOfResult, type VolumeFailure } from './status.ts';

//   answer   the client is told (nfs3/nfs-status.ts), and the volume is served on. `told`: the error is counted, logged, and shown
//            in the status, since something is wrong with the disk, or the server lacks something
//   retry    the server tries again itself, and answers `otherwise` if that does not help
//   fault    the volume is not served any more: what was acknowledged may be lost
//
// Faults are few: a call that makes acknowledged changes durable has failed, or the ownership record cannot be read.

const { errno: E } = constants;

/** Where a retry takes place. */
export type Retry =
  /** The call is made again at once: a signal came between. */
  | 'again'
  /** Descriptors of files that are not in use are closed, and the call is made again. */
  | 'afterMakingRoom'
  /** In libuv's pool, where it may wait for the disk. */
  | 'inThePool'
  /** In the volume's own thread, where it may wait for the disk. */
  | 'inTheVolumeThread'
  /** After the reserve's space has been lent (journal-reserve.ts). */
  | 'withTheReserve'
  /** At the next look at the ownership record. */
  | 'nextLook';

export type Outcome =
  | { readonly kind: 'answer'; readonly failure: VolumeFailure; readonly told: boolean }
  | { readonly kind: 'retry'; readonly retry: Retry; readonly otherwise: VolumeFailure | null }
  | { readonly kind: 'fault'; readonly reason: FaultReason };

/** Resources that the server lacks for a moment; they come back by themselves. */
const SHORTAGES: readonly number[] = [E.EMFILE, E.ENFILE, E.ENOMEM];
/** Calls that need a descriptor. */
const OPENING: readonly SystemCall[] = ['openat', 'open_by_handle_at'];

const answer = (failure: VolumeFailure): Outcome => ({ kind: 'answer', failure, told: false });
const told = (failure: VolumeFailure): Outcome => ({ kind: 'answer', failure, told: true });
const retry = (where: Retry, otherwise: VolumeFailure | null = null): Outcome => ({
  kind: 'retry',
  retry: where,
  otherwise,
});
const fault = (reason: FaultReason): Outcome => ({ kind: 'fault', reason });

type Row = Readonly<Record<number, Outcome>>;

const notInMemory: Row = { [E.EAGAIN]: retry('inThePool'), [E.EOPNOTSUPP]: retry('inThePool') };
const cannotTell = retry('inTheVolumeThread');

/** Outcomes that are special to a call; see also BY_KIND. */
const SPECIAL: Partial<Record<SystemCall, Row>> = {
  // With RESOLVE_CACHED: not in memory, or a kernel or container that does not know the call. That thread needs no descriptor.
  openat2: {
    [E.EAGAIN]: cannotTell,
    [E.ENOSYS]: cannotTell,
    [E.EINVAL]: cannotTell,
    [E.EPERM]: cannotTell,
    [E.EMFILE]: cannotTell,
    [E.ENFILE]: cannotTell,
  },
  preadv2: notInMemory,
  // The errno of these stays in the thread of the pool that has made them.
  syncfs: { [E.EINTR]: fault('IoError') },
  sync_file_range: { [E.EINTR]: fault('IoError') },
  // The handle's type is not this file system's: it comes from one from which the volume was copied with its UUID.
  open_by_handle_at: { [E.EINVAL]: answer('stale') },
  // Some file systems say so of a directory that is not empty.
  unlinkat: { [E.EEXIST]: answer('notEmpty') },
  // The directory has no such cookie.
  lseek: { [E.EINVAL]: answer('badCookie') },
  'write of the journal': {
    [E.EROFS]: fault('ReadOnly'),
    [E.ENOSPC]: retry('withTheReserve', 'noSpace'),
    [E.EDQUOT]: retry('withTheReserve', 'quotaExceeded'),
    [E.ENOMEM]: answer('tryLater'),
    [E.EAGAIN]: answer('tryLater'),
  },
  'write of the ownership record': {
    [E.EROFS]: fault('ReadOnly'),
    [E.ENOSPC]: retry('withTheReserve'),
    [E.EDQUOT]: retry('withTheReserve'),
  },
  'read of the ownership record': {
    [E.EMFILE]: retry('nextLook'),
    [E.ENFILE]: retry('nextLook'),
    [E.ENOMEM]: retry('nextLook'),
    [E.EAGAIN]: retry('nextLook'),
    [E.EINTR]: retry('nextLook'),
  },
};

const durable: ReadonlySet<SystemCall> = new Set(DURABLE_CALLS);

/** errno: positive. */
export function outcomeOf(call: SystemCall, errno: number): Outcome {
  const special = SPECIAL[call]?.[errno];
  if (special !== undefined) return special;
  if (errno === E.EINTR) return retry('again');
  if (durable.has(call)) return fault('IoError');
  const failure = failureOfResult(-errno);
  if (SHORTAGES.includes(errno)) {
    return errno !== E.ENOMEM && OPENING.includes(call) ? retry('afterMakingRoom', failure) : told(failure);
  }
  // Also whatever has no status of its own: "the disk said something strange" is what it means.
  return failure === 'ioError' ? told(failure) : answer(failure);
}

/** The failure that a client is told. errno: positive. `null`: none, the volume is not served any more. */
export function failureOf(call: SystemCall, errno: number): VolumeFailure | null {
  const outcome = outcomeOf(call, errno);
  if (outcome.kind === 'fault') return null;
  if (outcome.kind === 'answer') return outcome.failure;
  return outcome.otherwise ?? failureOfResult(-errno);
}

/** Is it counted and told (volume-errors.ts)? errno: positive. */
export function isTold(call: SystemCall, errno: number): boolean {
  const outcome = outcomeOf(call, errno);
  if (outcome.kind === 'answer') return outcome.told;
  return SHORTAGES.includes(errno) && outcome.kind === 'retry' && outcome.retry !== 'inTheVolumeThread';
}

const names = getSystemErrorMap();

/** "EIO"; "errno 4711" for one that Node does not know. errno: positive. */
export function errnoName(errno: number): string {
  return names.get(-errno)?.[0] ?? NAMES_UNKNOWN_TO_NODE[errno] ?? `errno ${errno}`;
}

/** Of Linux on x86-64 and arm64, for file systems that found themselves damaged. */
const NAMES_UNKNOWN_TO_NODE: Readonly<Record<number, string>> = {
  61: 'ENODATA',
  74: 'EBADMSG',
  117: 'EUCLEAN',
  121: 'EREMOTEIO',
};
