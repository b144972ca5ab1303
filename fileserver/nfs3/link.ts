/** LINK, RFC 1813 §3.3.15. */
import { type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { linkFrom } from '../system/file-calls.ts';
import { S_IFREG } from '../system/statx.ts';
import { asUser } from '../system/thread-identity.ts';
import { checkDirectory, lookUpName } from './entry-lookup.ts';
import type { JournaledProcedure, Target } from './journaled-procedure.ts';
import { DOTS_EXIST } from './new-entry.ts';

// State before: the name was absent. If it stands for the file after a crash, this operation made it.

type Args = Nfs3Calls['LINK']['args'];

/** absent: the name is free. same: it stands for this very file. */
function lookUp(on: Target, { link }: Args): VolumeFailure | 'absent' | 'same' {
  const { volume, context } = on;
  const file = on.files[0]!;
  const refused = checkDirectory(on, 1, link.name, DOTS_EXIST);
  if (refused !== null) return refused;
  const source = context.diskSet.attributes(file, volume.stat);
  if (source !== 'ok') return source;
  const found = lookUpName(on, 1, link.name);
  if (found !== 'found') return found;
  return volume.identity.key() === file.key ? 'same' : 'exists';
}

function done(on: Target, flushes: FlushSet): Uint8Array {
  const { volume, context } = on;
  const [file, dir] = [on.files[0]!, on.files[1]!];
  flushes.add(dir);
  if (!volume.orderedMetadata) {
    const known = context.diskSet.attributes(file, volume.stat) === 'ok';
    if (known && volume.stat.type === S_IFREG) flushes.add(file);
    else flushes.addAll();
  }
  return on.succeeded();
}

export const link: JournaledProcedure<Args, null> = {
  name: 'LINK',
  args: nfs3Procedures.LINK.args,
  handles: (args) => [args.file, args.link.dir],
  attributes: ['postOp', 'wcc'],
  check: (on, args) => {
    const [file, dir] = [on.files[0]!, on.files[1]!];
    const keys = [on.nameKey(dir, args.link.name), file.key];
    const reliesOn = on.relyingOn(dir.key);
    const found = lookUp(on, args);
    if (found === 'absent') return on.planned(keys, reliesOn, null);
    return on.refused(keys, reliesOn, found === 'same' ? 'exists' : found);
  },
  needsSpace: () => true,
  truncation: () => null,
  encodePreState: () => {},
  apply: (on, args, _plan, flushes) => {
    const { diskSet } = on.context;
    const pathFd = diskSet.pathFd(on.files[0]!);
    const dirFd = diskSet.pathFd(on.files[1]!);
    const result =
      pathFd < 0 ? pathFd : asUser(on.user, () => linkFrom(on.volume.gate, pathFd, dirFd, args.link.name));
    return result < 0 ? on.failed(on.volume.failure('linkat', result)) : done(on, flushes);
  },
  recover: (on, args, _preState, flushes) => {
    const found = lookUp(on, args);
    on.context.forgetBefore();
    return found === 'same' ? done(on, flushes) : null;
  },
};
