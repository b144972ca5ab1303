/** sattr3 of RFC 1813 §2.6 in the volume's words. */
import { DONT_CHANGE, SET_TO_CLIENT_TIME, type sattr3, type set_time } from '../../protocol/nfs3.ts';
import type { AttributeChanges, TimeChange } from '../volume/set-attributes.ts';

export function changesOfSattr(attributes: Readonly<sattr3>): AttributeChanges {
  const { mode, uid, gid, size, atime, mtime } = attributes;
  return { mode, uid, gid, size, atime: timeOf(atime), mtime: timeOf(mtime) };
}

function timeOf(set: set_time): TimeChange {
  if (set.how === DONT_CHANGE) return 'keep';
  if (set.how !== SET_TO_CLIENT_TIME) return 'now';
  return { seconds: set.time.seconds, nanoseconds: set.time.nseconds };
}
