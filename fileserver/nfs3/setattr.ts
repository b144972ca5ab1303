/** SETATTR, RFC 1813 §3.3.2. */
import { type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import { type AttributeChanges, changesNothing, remainingChanges } from '../storage/files/set-attributes.ts';
import { applyChange, type ChangeOfFile, encodeCtime, hasMoved, planChange } from './change-of-file.ts';
import { EVERY_PATH, type JournaledProcedure, type Target } from './journaled-procedure.ts';
import { changesOfSattr } from './sattr.ts';

type Args = Nfs3Calls['SETATTR']['args'];

/** Files may be found by their paths: the object may be a directory on the way to others. */
function changesWhoMaySearch({ volume }: Target, { mode, uid, gid }: AttributeChanges): boolean {
  return volume.pathIndex !== null && (mode !== null || uid !== null || gid !== null);
}

export const setattr: JournaledProcedure<Args, ChangeOfFile> = {
  name: 'SETATTR',
  args: nfs3Procedures.SETATTR.args,
  handles: ({ object }) => [object],
  attributes: ['wcc'],
  check: (on, { new_attributes, guard }) => {
    const { before, diskSet } = on.context;
    const file = on.files[0]!;
    const { stat } = on.volume;
    const changes = changesOfSattr(new_attributes);
    const changesPaths = changesWhoMaySearch(on, changes);
    const keys = changesPaths ? [file.key, EVERY_PATH] : [file.key];
    const reliesOn = changesPaths ? [] : on.relyingOn();
    const status = diskSet.attributes(file, stat);
    if (status !== 'ok') return on.refused(keys, reliesOn, status);
    before[0].take(stat);
    // RFC 1813 §3.3.2: the object's ctime must be the guard's, or NFS3ERR_NOT_SYNC and nothing is changed.
    const isGuarded =
      guard !== null &&
      (guard.seconds !== stat.ctimeSeconds >>> 0 || guard.nseconds !== stat.ctimeNanoseconds);
    const plan = isGuarded ? 'notSynchronized' : planChange(on, file, changes, stat);
    if (typeof plan === 'string') return on.refused(keys, reliesOn, plan);
    if (changesNothing(changes)) return on.answered(keys, reliesOn, on.succeeded());
    return on.planned(keys, reliesOn, plan);
  },
  needsSpace: () => false,
  truncation: ({ truncation }) => truncation,
  encodePreState: (w, { ctimeSeconds, ctimeNanoseconds }) => encodeCtime(w, ctimeSeconds, ctimeNanoseconds),
  apply: (on, _args, { file, type, changes }, flushes) => {
    const failure = applyChange(on, file, type, changes, flushes);
    return failure === null ? on.succeeded() : on.failed(failure);
  },
  recover: (on, { new_attributes }, preState, flushes) => {
    const { stat } = on.volume;
    const file = on.files[0]!;
    if (on.context.diskSet.attributes(file, stat) !== 'ok' || !hasMoved(preState, stat)) return null;
    const missing = remainingChanges(changesOfSattr(new_attributes), stat);
    const failure = applyChange(on, file, stat.type, missing, flushes);
    return failure === null ? on.succeeded() : on.failed(failure);
  },
};
