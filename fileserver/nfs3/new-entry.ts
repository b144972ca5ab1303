/**
 * What CREATE, MKDIR, SYMLINK and MKNOD share (RFC 1813 §3.3.8 to §3.3.11): a new name in a directory, its attributes, and one
 * shape of results.
 */
import { type diropargs3, NFS3_OK, type nfsproc3Name, type sattr3 } from '../../protocol/nfs3.ts';
import type { Xdr } from '../../protocol/xdr-types.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { effectiveUser } from '../storage/files/permissions.ts';
import {
  type AttributeChanges,
  applyAttributeChanges,
  changesNothing,
  remainingChanges,
} from '../storage/files/set-attributes.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { AT_REMOVEDIR, unlinkAt } from '../system/file-calls.ts';
import { S_IFDIR, S_IFREG, type StatBuffer } from '../system/statx.ts';
import type { SystemCall } from '../system/system-calls.ts';
import { asUser } from '../system/thread-identity.ts';
import { encodePostOp } from './attributes.ts';
import { lookUpEntry } from './entry-lookup.ts';
import type { JournaledProcedure, Target } from './journaled-procedure.ts';
import { changesOfSattr } from './sattr.ts';

// State before: the name was absent. If it is there after a crash, with the right type, it was made by this operation:
// no other one for the same name could begin before this one was answered.

/** The entry to be made. */
export interface NewEntry {
  /** S_IF... */
  readonly type: number;
  /** Permissions that it is born with. */
  readonly mode: number;
  /** Attributes that the making call can't give. */
  readonly attributes: AttributeChanges;
}

/** A name for what is made is taken, whatever it stands for. */
export const DOTS_EXIST = (): VolumeFailure => 'exists';

/** modeDefault: where the client leaves it to the server. `size`: null where the object has none to set. */
export function newEntry(type: number, sattr: Readonly<sattr3>, modeDefault: number): NewEntry {
  const attributes = changesOfSattr(sattr, null, null);
  return { type, mode: (sattr.mode ?? modeDefault) & 0o7777, attributes };
}

interface Kind<Args> {
  readonly name: nfsproc3Name;
  readonly args: Xdr<Args>;
  readonly entryOf: (args: Args) => NewEntry | VolumeFailure;
  /** The system call of make(). */
  readonly call: SystemCall;
  /** Makes the entry. Negative: -errno. */
  readonly make: (on: Target, dirFd: number, args: Args, entry: NewEntry) => number;
}

export function newEntryProcedure<Args extends { readonly where: diropargs3 }>(
  kind: Kind<Args>,
): JournaledProcedure<Args, NewEntry> {
  return {
    name: kind.name,
    args: kind.args,
    handles: ({ where }) => [where.dir],
    attributes: ['wcc'],
    check: (on, args) => {
      const dir = on.files[0]!;
      const { name } = args.where;
      const keys = [on.nameKey(dir, name)];
      const reliesOn = on.relyingOn(dir.key);
      const entry = kind.entryOf(args);
      if (typeof entry === 'string') return on.refused(keys, reliesOn, entry);
      const found = lookUpEntry(on, 0, name, DOTS_EXIST);
      if (found === 'absent') return on.planned(keys, reliesOn, entry);
      return on.refused(keys, reliesOn, found === 'found' ? 'exists' : found);
    },
    needsSpace: () => true,
    truncation: () => null,
    encodePreState: () => {},
    apply: (on, args, entry, flushes) => {
      const make = (dirFd: number): number => kind.make(on, dirFd, args, entry);
      const made = makeEntry(on, kind.call, make, flushes);
      if (typeof made === 'string') return on.failed(made);
      return completeEntry(on, args.where.name, entry, find(on, args.where.name), null, flushes);
    },
    recover: (on, args, _preState, flushes) => {
      const entry = kind.entryOf(args);
      return typeof entry === 'string' ? null : recoverEntry(on, args.where.name, entry, flushes);
    },
  };
}

function find(on: Target, name: Uint8Array): OpenFile | VolumeFailure {
  return on.context.diskSet.lookup(on.files[0]!, name, on.user);
}

/** What `make` returns, or why nothing was made. */
export function makeEntry(
  on: Target,
  call: SystemCall,
  make: (dirFd: number) => number,
  flushes: FlushSet,
): number | VolumeFailure {
  const dir = on.files[0]!;
  const dirFd = on.context.diskSet.pathFd(dir);
  if (dirFd < 0) return failureOfResult(dirFd);
  const made = asUser(on.user, make, dirFd);
  if (made < 0) return on.volume.failure(call, made);
  flushes.add(dir);
  on.step('duringExecution');
  return made;
}

/** Completes the object under the name if its type says that this operation made it. null: the operation was not begun. */
export function recoverEntry(
  on: Target,
  name: Uint8Array,
  entry: NewEntry,
  flushes: FlushSet,
): Uint8Array | null {
  const { diskSet } = on.context;
  const { stat, identity } = on.volume;
  const dir = on.files[0]!;
  const found = lookUpEntry(on, 0, name, DOTS_EXIST);
  on.context.forgetBefore();
  if (found !== 'found') return null;
  const file = diskSet.table.ofIdentity(dir.tree, identity);
  if (diskSet.attributes(file, stat) !== 'ok' || stat.type !== entry.type) return null;
  flushes.add(dir);
  return completeEntry(on, name, entry, find(on, name), stat, flushes);
}

/** Gives what was made its attributes. `interrupted`: as they are, where that was begun before a crash. The results. */
export function completeEntry(
  on: Target,
  name: Uint8Array,
  { type, attributes }: NewEntry,
  file: OpenFile | VolumeFailure,
  interrupted: StatBuffer | null,
  flushes: FlushSet,
): Uint8Array {
  if (typeof file === 'string') return on.failed(file);
  const { volume, user, context } = on;
  // Only root may give files away (as with every NFS server).
  const mayGive = effectiveUser(user).uid === 0;
  const changes: AttributeChanges = mayGive ? attributes : { ...attributes, uid: null, gid: null };
  const isLate = !changesNothing(changes);
  if (isLate || !volume.orderedMetadata) {
    if (type === S_IFREG || type === S_IFDIR) flushes.add(file);
    else flushes.addAll();
  }
  if (!isLate) return created(on, file);
  on.createdKey = file.key;
  const between = (): void => on.step('duringExecution');
  const missing = interrupted === null ? changes : remainingChanges(changes, interrupted);
  const failure = applyAttributeChanges(context.diskSet, file, missing, user, type, between);
  if (failure === null) return created(on, file);
  undo(on, name, type);
  return on.failed(failure);
}

/** It was made, but may not be what was asked for (a quota, say): the client must not find half of it. */
function undo(on: Target, name: Uint8Array, type: number): void {
  const { volume, context } = on;
  const { identity, gate } = volume;
  const dir = on.files[0]!;
  const dirFd = context.diskSet.pathFd(dir);
  if (volume.failed || dirFd < 0) return;
  asUser(on.user, () => {
    if (identity.ofName(dirFd, name) < 0) return;
    const unlink = (): number => unlinkAt(gate, dirFd, name, type === S_IFDIR ? AT_REMOVEDIR : 0);
    const result = context.diskSet.losingName(dir, name, identity, unlink);
    if (result < 0) volume.noted('unlinkat', result);
  });
}

/** diropok: the object's handle and attributes, and the directory's wcc_data. */
export function created(on: Target, file: OpenFile): Uint8Array {
  const { out, diskSet } = on.context;
  const { stat } = on.volume;
  out.reset();
  out.u32(NFS3_OK);
  out.u32(1);
  out.opaque(file.handle);
  encodePostOp(out, diskSet.attributes(file, stat) === 'ok' ? stat : null, on.volume);
  on.encodeWcc(out, 0);
  return on.taken();
}
