/** CREATE, RFC 1813 §3.3.8: UNCHECKED, GUARDED and EXCLUSIVE. */
import { EXCLUSIVE, GUARDED, type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import type { Check } from '../storage/duplicate-requests/journaled-operation.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { type AttributeChanges, NO_CHANGES, remainingChanges } from '../storage/files/set-attributes.ts';
import { createAt, O_EXCL, O_NOFOLLOW, O_RDWR } from '../system/file-calls.ts';
import { S_IFREG, type StatBuffer } from '../system/statx.ts';
import { applyChange, type ChangeOfFile, encodeCtime, hasMoved, planChange } from './change-of-file.ts';
import { lookUpEntry } from './entry-lookup.ts';
import type { JournaledProcedure, Target } from './journaled-procedure.ts';
import { completeEntry, created, DOTS_EXIST, makeEntry, type NewEntry, recoverEntry } from './new-entry.ts';
import { changesOfSattr } from './sattr.ts';

/** Mode of a file where the client leaves it to the server. */
const MODE_DEFAULT = 0o600;

/** State before: was the name absent, or has UNCHECKED found a file that it cuts? */
const ABSENT = 0;
const EXISTING = 1;

type Args = Nfs3Calls['CREATE']['args'];
type Planned = { readonly entry: NewEntry } | { readonly cut: ChangeOfFile };

function entryOf({ how }: Args): NewEntry {
  if (how.mode === EXCLUSIVE)
    return { type: S_IFREG, mode: MODE_DEFAULT, attributes: verifierTimes(how.verf) };
  const given = how.obj_attributes;
  // A new file is empty already.
  const size = given.size === 0 ? null : given.size;
  const attributes = changesOfSattr(given, null, size);
  return { type: S_IFREG, mode: (given.mode ?? MODE_DEFAULT) & 0o7777, attributes };
}

/**
 * EXCLUSIVE has no attributes but a verifier, which has to be kept with the file. It is kept in its times, as every Unix server
 * does it (the client sets them afterwards): 31 bits each, so that every file system can hold them.
 */
function verifierTimes(verf: Uint8Array): AttributeChanges {
  const view = new DataView(verf.buffer, verf.byteOffset, verf.byteLength);
  return {
    ...NO_CHANGES,
    atime: { seconds: view.getUint32(0) & 0x7fffffff, nanoseconds: 0 },
    mtime: { seconds: view.getUint32(4) & 0x7fffffff, nanoseconds: 0 },
  };
}

function hasVerifier({ atime, mtime }: AttributeChanges, stat: StatBuffer): boolean {
  return (
    typeof atime === 'object' &&
    typeof mtime === 'object' &&
    stat.atimeSeconds === atime.seconds &&
    stat.mtimeSeconds === mtime.seconds &&
    stat.size === 0
  );
}

/** All that happens to a file that UNCHECKED finds. null: not even that. */
function cutOf({ how }: Args): AttributeChanges | null {
  const size = how.mode === EXCLUSIVE ? null : how.obj_attributes.size;
  return size === null ? null : { ...NO_CHANGES, size };
}

/** Plan for the file that has the name: it is cut, stays (null), or is in the way. */
function planForExisting(on: Target, args: Args, file: OpenFile): ChangeOfFile | VolumeFailure | null {
  const { stat } = on.volume;
  const { mode } = args.how;
  const status = on.context.diskSet.attributes(file, stat);
  if (status !== 'ok') return status;
  if (mode === GUARDED || stat.type !== S_IFREG) return 'exists';
  // RFC 1813 §3.3.8: made by the same request before (its journal record is gone): the verifier says so.
  if (mode === EXCLUSIVE) return hasVerifier(entryOf(args).attributes, stat) ? null : 'exists';
  const cut = cutOf(args);
  return cut === null ? null : planChange(on, file, cut, stat);
}

function check(on: Target, args: Args): Check {
  const { name } = args.where;
  const dir = on.files[0]!;
  const keys = [on.nameKey(dir, name)];
  const reliesOn = on.relyingOn(dir.key);
  const found = lookUpEntry(on, 0, name, DOTS_EXIST);
  if (found === 'absent') return on.planned(keys, reliesOn, { entry: entryOf(args) });
  if (found !== 'found') return on.refused(keys, reliesOn, found);
  const file = on.context.diskSet.table.ofIdentity(dir.tree, on.volume.identity);
  // An existing file is changed as by SETATTR: nobody else may change it meanwhile.
  if (args.how.mode !== EXCLUSIVE) keys.push(file.key);
  const cut = planForExisting(on, args, file);
  if (typeof cut === 'string') return on.refused(keys, reliesOn, cut);
  if (cut === null) return on.answered(keys, reliesOn, created(on, file));
  return on.planned(keys, reliesOn, { cut });
}

export const create: JournaledProcedure<Args, Planned> = {
  name: 'CREATE',
  args: nfs3Procedures.CREATE.args,
  handles: ({ where }) => [where.dir],
  attributes: ['wcc'],
  check,
  needsSpace: (plan) => 'entry' in plan,
  truncation: (plan) => ('cut' in plan ? plan.cut.truncation : null),
  encodePreState: (w, plan) => {
    w.u32('entry' in plan ? ABSENT : EXISTING);
    if ('entry' in plan) encodeCtime(w, 0, 0);
    else encodeCtime(w, plan.cut.ctimeSeconds, plan.cut.ctimeNanoseconds);
  },
  apply: (on, { where }, plan, flushes) => {
    if ('cut' in plan) {
      const { file, type, changes } = plan.cut;
      const failure = applyChange(on, file, type, changes, flushes);
      return failure === null ? created(on, file) : on.failed(failure);
    }
    const { diskSet } = on.context;
    const { gate } = on.volume;
    const flags = O_EXCL | O_RDWR | O_NOFOLLOW;
    const open = (dirFd: number): number => createAt(gate, dirFd, where.name, flags, plan.entry.mode);
    const make = (dirFd: number): number => {
      const fd = open(dirFd);
      return diskSet.table.makeRoom(fd) ? open(dirFd) : fd;
    };
    const made = makeEntry(on, 'openat', make, flushes);
    if (typeof made === 'string') return on.failed(made);
    // Known by the descriptor that was opened with it: no look at the name, and none at the disk.
    const file = diskSet.made(on.files[0]!, where.name, made);
    return completeEntry(on, where.name, plan.entry, file, null, flushes);
  },
  recover: (on, args, preState, flushes) => {
    if (preState.u32() === ABSENT) return recoverEntry(on, args.where.name, entryOf(args), flushes);
    const { context } = on;
    const { diskSet } = context;
    const { stat, identity } = on.volume;
    const found = lookUpEntry(on, 0, args.where.name, DOTS_EXIST);
    context.forgetBefore();
    if (found !== 'found') return null;
    const file = diskSet.table.ofIdentity(on.tree, identity);
    if (diskSet.attributes(file, stat) !== 'ok' || !hasMoved(preState, stat)) return null;
    const failure = applyChange(
      on,
      file,
      S_IFREG,
      remainingChanges(cutOf(args) ?? NO_CHANGES, stat),
      flushes,
    );
    return failure === null ? created(on, file) : on.failed(failure);
  },
};
