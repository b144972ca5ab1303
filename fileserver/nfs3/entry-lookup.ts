/** Looks up, as the caller, the name that an operation changes in a directory. Shared by all such operations but SETATTR. */
import { constants } from 'node:os';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { IdentityReader } from '../storage/handles/file-identity.ts';
import { isDot, isDotDot } from '../storage/names/names.ts';
import { S_IFDIR } from '../system/statx.ts';
import { asUser } from '../system/thread-identity.ts';
import type { Target } from './journaled-procedure.ts';

const { ENOENT } = constants.errno;

/**
 * May the name be changed in the directory, which is the file at `index`? Its attributes are those before the step.
 * `dots`: what the procedure answers for `.` and `..`.
 */
export function checkDirectory(
  { context, files }: Target,
  index: number,
  name: Uint8Array,
  dots: (name: Uint8Array) => VolumeFailure,
): VolumeFailure | null {
  const { directory, diskSet, before } = context;
  const dir = files[index]!;
  const status = directory.read(dir);
  if (status !== 'ok') return status;
  before[index]!.take(directory.stat);
  if (directory.stat.type !== S_IFDIR) return 'notDirectory';
  return diskSet.checkChangeableName(dir, name) ?? (isDot(name) || isDotDot(name) ? dots(name) : null);
}

function readIdentity(identity: IdentityReader, dirFd: number, name: Uint8Array): number {
  return identity.ofName(dirFd, name);
}

/** found: Volume.identity holds whose name it is. Who may not search the directory learns nothing. */
export function lookUpName(on: Target, index: number, name: Uint8Array): VolumeFailure | 'found' | 'absent' {
  const { identity } = on.volume;
  const dir = on.files[index]!;
  const result = asUser(on.user, readIdentity, identity, dir.pathFd, name);
  if (result === -ENOENT) return 'absent';
  return result < 0 ? on.volume.failure(identity.call, result) : 'found';
}

export function lookUpEntry(
  on: Target,
  index: number,
  name: Uint8Array,
  dots: (name: Uint8Array) => VolumeFailure,
): VolumeFailure | 'found' | 'absent' {
  return checkDirectory(on, index, name, dots) ?? lookUpName(on, index, name);
}
