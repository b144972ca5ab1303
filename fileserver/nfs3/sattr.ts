/** sattr3 of RFC 1813 §2.6 in the volume's words. */
import { DONT_CHANGE, SET_TO_CLIENT_TIME, type sattr3, type set_time } from '../../protocol/nfs3.ts';
import type { AttributeChanges, TimeChange } from '../storage/files/set-attributes.ts';
import { NO_ID } from '../system/user-ids.ts';

/** mode, size: others than those given. */
export function changesOfSattr(
  { mode: givenMode, uid, gid, size: givenSize, atime, mtime }: Readonly<sattr3>,
  mode: number | null = givenMode,
  size: AttributeChanges['size'] = givenSize,
): AttributeChanges {
  return { mode, uid: idOf(uid), gid: idOf(gid), size, atime: timeOf(atime), mtime: timeOf(mtime) };
}

/** Ids of -1 leave the owner, as chown(2) has it: a file never has one, so none may be waited for, or looked for after a crash. */
function idOf(id: number | null): number | null {
  return id === NO_ID ? null : id;
}

function timeOf(set: set_time): TimeChange {
  if (set.how === DONT_CHANGE) return 'keep';
  if (set.how !== SET_TO_CLIENT_TIME) return 'now';
  return { seconds: set.time.seconds, nanoseconds: set.time.nseconds };
}
