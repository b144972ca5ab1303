/** REMOVE and RMDIR, RFC 1813 §3.3.12 and §3.3.13. */
import { type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import { identityOfKey } from '../storage/handles/file-identity.ts';
import { isDot } from '../storage/names/names.ts';
import { AT_REMOVEDIR, unlinkAt } from '../system/file-calls.ts';
import { asUser } from '../system/thread-identity.ts';
import { lookUpEntry } from './entry-lookup.ts';
import { decodeKey, encodeKey } from './identity-keys.ts';
import type { JournaledProcedure } from './journaled-procedure.ts';

// State before: what was under the name. If it is no longer there after a crash, it was removed by this operation.

type Args = Nfs3Calls['REMOVE']['args'];
/** Identity key of what is removed. */
interface Planned {
  readonly victim: string;
}

function removal(
  name: 'REMOVE' | 'RMDIR',
  unlinkFlags: number,
  dots: (name: Uint8Array) => VolumeFailure,
): JournaledProcedure<Args, Planned> {
  return {
    name,
    args: nfs3Procedures[name].args,
    handles: ({ object }) => [object.dir],
    attributes: ['wcc'],
    check: (on, { object }) => {
      const dir = on.files[0]!;
      const name = on.nameKey(dir, object.name);
      const reliesOn = on.relyingOn(dir.key);
      const found = lookUpEntry(on, 0, object.name, dots);
      if (found !== 'found') return on.refused([name], reliesOn, found === 'absent' ? 'noEntry' : found);
      const victim = on.volume.identity.key();
      if (on.context.diskSet.exported.isOnWay(dir, object.name, victim))
        return on.refused([name], reliesOn, 'accessDenied');
      return on.planned([name, victim], reliesOn, { victim });
    },
    needsSpace: () => false,
    truncation: () => null,
    encodePreState: (w, { victim }) => encodeKey(w, victim),
    // The object that check() found is still there: the name is locked.
    apply: (on, { object }, { victim }, flushes) => {
      const dir = on.files[0]!;
      const unlink = (): number => unlinkAt(on.volume.gate, dir.pathFd, object.name, unlinkFlags);
      const lost = (): number =>
        on.context.diskSet.losingName(dir, object.name, identityOfKey(victim), unlink);
      const result = asUser(on.user, lost);
      if (result < 0) return on.failed(on.volume.failure('unlinkat', result));
      flushes.add(dir);
      return on.succeeded();
    },
    recover: (on, { object }, preState, flushes) => {
      const victim = decodeKey(preState);
      const found = lookUpEntry(on, 0, object.name, dots);
      on.context.forgetBefore();
      const { volume, context } = on;
      if (found === 'found') {
        const there = volume.identity.key();
        if (there === victim || context.diskSet.exported.isOnWay(on.files[0]!, object.name, there))
          return null;
      } else if (found !== 'absent') return null;
      flushes.add(on.files[0]!);
      return on.succeeded();
    },
  };
}

export const remove = removal('REMOVE', 0, () => 'isDirectory');

/** RFC 1813 §3.3.13: NFS3ERR_INVAL for `.`, NFS3ERR_EXIST for `..`. */
export const rmdir = removal('RMDIR', AT_REMOVEDIR, (name) => (isDot(name) ? 'invalid' : 'exists'));
