/** RENAME, RFC 1813 §3.3.14. */
import { type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { identityOfKey } from '../storage/handles/file-identity.ts';
import { renameAt } from '../system/file-calls.ts';
import { asUser } from '../system/thread-identity.ts';
import { checkDirectory, lookUpName } from './entry-lookup.ts';
import { decodeKey, encodeKey } from './identity-keys.ts';
import { EVERY_PATH, type JournaledProcedure, type Target } from './journaled-procedure.ts';

// State before: what was under the old name. If it is under the new one after a crash and no longer under the old one,
// this operation moved it.

type Args = Nfs3Calls['RENAME']['args'];

/** Identity keys of what is moved and of what is under the new name ('' for nothing). */
interface Planned {
  readonly moved: string;
  readonly replaced: string;
}

const DOTS_INVALID = (): VolumeFailure => 'invalid';

/** The objects under both names; or why the one can't become the other. */
function lookUpBoth(on: Target, { from, to }: Args): Planned | VolumeFailure {
  const { diskSet } = on.context;
  const { volume } = on;
  const refused =
    checkDirectory(on, 0, from.name, DOTS_INVALID) ?? checkDirectory(on, 1, to.name, DOTS_INVALID);
  if (refused !== null) return refused;
  const old = lookUpName(on, 0, from.name);
  if (old !== 'found') return old === 'absent' ? 'noEntry' : old;
  const moved = volume.identity.key();
  if (diskSet.exported.isOnWay(on.files[0]!, from.name, moved)) return 'accessDenied';
  const target = lookUpName(on, 1, to.name);
  if (target !== 'found' && target !== 'absent') return target;
  const replaced = target === 'absent' ? '' : volume.identity.key();
  return diskSet.exported.isOnWay(on.files[1]!, to.name, replaced) ? 'accessDenied' : { moved, replaced };
}

/** Files may be found by their paths: what lies below may come to a place that its users may not search. */
function leadsElsewhere({ volume, files: [from, to] }: Target): boolean {
  return volume.pathIndex !== null && from !== to;
}

function done(on: Target, { to }: Args, moved: string, flushes: FlushSet): Uint8Array {
  const { volume, context } = on;
  const [fromDir, toDir] = [on.files[0]!, on.files[1]!];
  volume.pathIndex?.learn(moved, toDir.key, to.name);
  if (fromDir !== toDir) context.diskSet.table.generation += 1;
  if (volume.orderedMetadata) {
    flushes.add(fromDir);
    flushes.add(toDir);
  } else flushes.addAll();
  return on.succeeded();
}

export const rename: JournaledProcedure<Args, Planned> = {
  name: 'RENAME',
  args: nfs3Procedures.RENAME.args,
  handles: ({ from, to }) => [from.dir, to.dir],
  attributes: ['wcc', 'wcc'],
  check: (on, args) => {
    const [from, to] = [on.files[0]!, on.files[1]!];
    const keys = [on.nameKey(from, args.from.name), on.nameKey(to, args.to.name)];
    const reliesOn = leadsElsewhere(on) ? [from.key, to.key] : on.relyingOn(from.key, to.key);
    const found = lookUpBoth(on, args);
    if (typeof found === 'string') return on.refused(keys, reliesOn, found);
    keys.push(found.moved);
    if (found.replaced !== '') keys.push(found.replaced);
    if (leadsElsewhere(on)) keys.push(EVERY_PATH);
    // RFC 1813 §3.3.14: two names of one file (or the same name twice): nothing is to be done, and that succeeds.
    if (found.moved === found.replaced) return on.answered(keys, reliesOn, on.succeeded());
    return on.planned(keys, reliesOn, found);
  },
  needsSpace: () => false,
  truncation: () => null,
  encodePreState: (w, { moved }) => encodeKey(w, moved),
  // The objects that check() found are still there: the names are locked.
  apply: (on, args, { moved, replaced }, flushes) => {
    const { volume, context } = on;
    const [from, to] = [on.files[0]!, on.files[1]!];
    const move = (): number => renameAt(volume.gate, from.pathFd, args.from.name, to.pathFd, args.to.name);
    const result = asUser(on.user, () =>
      replaced === '' ? move() : context.diskSet.losingName(to, args.to.name, identityOfKey(replaced), move),
    );
    if (result < 0) return on.failed(volume.failure('renameat', result));
    return done(on, args, moved, flushes);
  },
  recover: (on, args, preState, flushes) => {
    const moved = decodeKey(preState);
    const found = lookUpBoth(on, args);
    on.context.forgetBefore();
    if (typeof found === 'string' ? found !== 'noEntry' : found.moved === moved) return null;
    if (lookUpName(on, 1, args.to.name) !== 'found' || on.volume.identity.key() !== moved) return null;
    return done(on, args, moved, flushes);
  },
};
