/**
 * What CREATE, MKDIR, SYMLINK and MKNOD share (RFC 1813 §3.3.8 to §3.3.11): a new name in a directory, its
 * attributes, and one shape of results.
 *
 * Evidence: the name was absent. If it is there after a crash, with the right type, it was made by this operation:
 * no other one for the same name could begin before this one was answered.
 */

import { constants } from 'node:os';
import { NFS3_OK } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
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
import { isDot, isDotDot } from '../storage/names/names.ts';
import { AT_REMOVEDIR, unlinkAt } from '../system/file-calls.ts';
import { S_IFDIR, S_IFREG } from '../system/statx.ts';
import type { SystemCall } from '../system/system-calls.ts';
import { become } from '../system/thread-identity.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import type { UserOf } from './call.ts';
import {
  directoryAttributes,
  directoryAttributesNow,
  directoryStat,
  forgetDirectoryAttributes,
} from './directory-attributes.ts';
import { Operation, type OperationRequest, out } from './operation.ts';

const { ENOENT } = constants.errno;

const before = new BeforeAttributes();

/** What examine() found under the name. */
export type Found = OpenFile | 'absent' | VolumeFailure;

export abstract class NewEntry extends Operation {
  /** Set by the subclass's constructor. */
  protected dirHandle!: Uint8Array;
  protected name!: Uint8Array;
  protected dir: OpenFile | null = null;
  /** By conflictKeys(), for the examine() that follows. */
  protected found: Found | null = null;

  constructor(request: OperationRequest) {
    super(request);
  }

  /** S_IF... of what is made. */
  protected abstract get type(): number;
  /** Makes the entry as the user, who the thread already is. 0 and more: made. Negative: -errno. */
  protected abstract make(dirFd: number): number;
  /** The system call of make(). */
  protected abstract readonly makingCall: SystemCall;
  /** Attributes that the call of make() can't give. */
  protected abstract get attributes(): AttributeChanges;

  override get grows(): boolean {
    return true;
  }

  protected bindFiles(userOf: UserOf): VolumeFailure | null {
    const dir = this.bindFile(this.dirHandle, userOf);
    this.dir = typeof dir === 'string' ? null : dir;
    return typeof dir === 'string' ? dir : null;
  }

  conflictKeys(): readonly string[] {
    return [this.nameKey(this.dir!, this.name)];
  }

  protected directories(): readonly string[] {
    return [this.dir!.key];
  }

  examine(): boolean {
    const found = this.found ?? this.look();
    this.found = null;
    if (found === 'absent') return true;
    return typeof found === 'string' ? this.refuseExamined(found) : this.examineExisting(found);
  }

  /** There is something of this name. true: go on all the same (then evidence and execute are overridden). */
  protected examineExisting(_file: OpenFile): boolean {
    return this.refuseExamined('exists');
  }

  /** As the user: who may not search the directory learns nothing. Leaves `before` filled. */
  protected look(): Found {
    const dir = this.dir!;
    const { diskSet } = this.request.service;
    before.forget();
    const status = directoryAttributes(diskSet, dir);
    if (status !== 'ok') return status;
    before.take(directoryStat);
    if (directoryStat.type !== S_IFDIR) return 'notDirectory';
    const refused = diskSet.checkChangeableName(dir, this.name);
    if (refused !== null) return refused;
    if (isDot(this.name) || isDotDot(this.name)) return 'exists';
    become(this.user);
    const result = this.volume.identity.ofName(dir.pathFd, this.name);
    if (result === -ENOENT) return 'absent';
    if (result < 0) return this.volume.failure(this.volume.identity.call, result);
    return diskSet.table.ofIdentity(dir.tree, this.volume.identity);
  }

  protected evidence(_w: XdrWriter): void {}

  execute(flushes: FlushSet): void {
    const dir = this.dir!;
    const dirFd = this.beginExecution();
    if (dirFd < 0) {
      this.fail(failureOfResult(dirFd));
      return;
    }
    become(this.user);
    const made = this.make(dirFd);
    if (made < 0) {
      this.fail(this.volume.failure(this.makingCall, made));
      return;
    }
    flushes.add(dir);
    this.step('duringExecution');
    this.#finish(flushes, made, (changes) => changes);
  }

  /** The directory's descriptor or -errno; `before` holds its attributes at this moment. */
  protected beginExecution(): number {
    before.forget();
    const status = directoryAttributes(this.request.service.diskSet, this.dir!);
    if (status === 'ok') before.take(directoryStat);
    forgetDirectoryAttributes();
    return this.request.service.diskSet.pathFd(this.dir!);
  }

  /** Finds what is under the name now, completes its attributes (`missing`: of all of them), sets the results. */
  #finish(flushes: FlushSet, made: number, missing: (changes: AttributeChanges) => AttributeChanges): void {
    const file = this.find(made);
    if (typeof file === 'string') {
      this.fail(file);
      return;
    }
    const failure = this.#complete(file, flushes, missing);
    if (failure === null) {
      this.succeed(file);
      return;
    }
    this.#undo();
    this.fail(failure);
  }

  /** It was made, but may not be what was asked for (a quota, say): the client must not find half of it. */
  #undo(): void {
    const { diskSet } = this.request.service;
    const dirFd = diskSet.pathFd(this.dir!);
    if (this.volume.failed || dirFd < 0) return;
    become(this.user);
    const { identity } = this.volume;
    if (identity.ofName(dirFd, this.name) < 0) return;
    const flags = this.type === S_IFDIR ? AT_REMOVEDIR : 0;
    const unlink = (): number => unlinkAt(this.volume.gate, dirFd, this.name, flags);
    const result = diskSet.losingName(this.dir!, this.name, identity, unlink);
    if (result < 0) this.volume.noted('unlinkat', result);
  }

  /** What make() has made; it returned `made`, -1 if it was made before a crash. */
  protected find(_made: number): OpenFile | VolumeFailure {
    return this.request.service.diskSet.lookup(this.dir!, this.name, this.user);
  }

  /** Attributes that the entry was not born with. Only root may give files away (as with every NFS server). */
  #complete(
    file: OpenFile,
    flushes: FlushSet,
    missing: (changes: AttributeChanges) => AttributeChanges,
  ): VolumeFailure | null {
    const { type } = this;
    const wanted = this.attributes;
    const mayGive = effectiveUser(this.user).uid === 0;
    const changes: AttributeChanges = mayGive ? wanted : { ...wanted, uid: null, gid: null };
    const flushable = type === S_IFREG || type === S_IFDIR;
    const late = !changesNothing(changes);
    if (late || !this.volume.orderedMetadata) {
      if (flushable) flushes.add(file);
      else flushes.addAll();
    }
    if (!late) return null;
    this.madeKey = file.key;
    const between = (): void => this.step('duringExecution');
    const { diskSet } = this.request.service;
    return applyAttributeChanges(diskSet, file, missing(changes), this.user, type, between);
  }

  recover(_evidence: XdrReader, flushes: FlushSet): boolean {
    const found = this.look();
    before.forget();
    if (typeof found === 'string') return false;
    const { stat } = this.volume;
    if (this.request.service.diskSet.attributes(found, stat) !== 'ok' || stat.type !== this.type)
      return false;
    flushes.add(this.dir!);
    this.#finish(flushes, -1, (changes) => remainingChanges(changes, stat));
    return true;
  }

  /** diropok: the new object's handle and attributes, and the directory's wcc_data. */
  protected succeed(file: OpenFile): void {
    const { diskSet } = this.request.service;
    const { stat } = this.volume;
    out.reset();
    out.u32(NFS3_OK);
    out.u32(1);
    out.opaque(file.handle);
    const known = diskSet.attributes(file, stat) === 'ok';
    encodePostOp(out, known ? stat : null, this.volume);
    before.encode(out);
    const found = directoryAttributesNow(diskSet, this.dir!) === 'ok';
    encodePostOp(out, found ? directoryStat : null, this.volume);
    this.takeResults();
  }

  protected forgetBefore(): void {
    before.forget();
  }

  protected fail(failure: VolumeFailure): void {
    this.failWithWcc(failure, before, this.dir);
  }
}
