/**
 * REMOVE and RMDIR, RFC 1813 §3.3.12 and §3.3.13.
 *
 * Evidence: what was under the name. If it is no longer there after a crash, it was removed by this operation.
 */
import { NFS3_OK, nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { identityOfKey } from '../storage/handles/file-identity.ts';
import { isDot, isDotDot } from '../storage/names/names.ts';
import { AT_REMOVEDIR, unlinkAt } from '../system/file-calls.ts';
import { S_IFDIR } from '../system/statx.ts';
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

const before = new BeforeAttributes();
const KEY_SIZE_MAX = 64;

abstract class RemoveEntry extends Operation {
  readonly #dirHandle: Uint8Array;
  readonly #name: Uint8Array;
  #dir: OpenFile | null = null;
  /** Identity key of what is removed. */
  #victim = '';
  /** Why there is none, by conflictKeys(), for the examine() that follows. */
  #refusal: VolumeFailure | null = null;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    // Nfs3Calls['RMDIR']['args'] has the same layout.
    const { object } = nfs3Procedures.REMOVE.args.decode(r);
    r.expectEnd();
    this.#dirHandle = object.dir;
    this.#name = object.name;
  }

  protected abstract readonly unlinkFlags: number;
  protected abstract refuseDots(name: Uint8Array): VolumeFailure;

  protected bindFiles(userOf: UserOf): VolumeFailure | null {
    const dir = this.bindFile(this.#dirHandle, userOf);
    this.#dir = typeof dir === 'string' ? null : dir;
    return typeof dir === 'string' ? dir : null;
  }

  conflictKeys(): readonly string[] {
    const key = this.nameKey(this.#dir!, this.#name);
    this.#refusal = this.#look();
    return this.#refusal === null ? [key, this.#victim] : [key];
  }

  protected directories(): readonly string[] {
    return [this.#dir!.key];
  }

  examine(): boolean {
    return this.#refusal === null ? true : this.refuseExamined(this.#refusal);
  }

  /** Sets `victim`; or why there is none. As the user. Leaves `before` filled. */
  #look(): VolumeFailure | null {
    const dir = this.#dir!;
    const { diskSet } = this.request.service;
    before.forget();
    const status = directoryAttributes(diskSet, dir);
    if (status !== 'ok') return status;
    before.take(directoryStat);
    if (directoryStat.type !== S_IFDIR) return 'notDirectory';
    const refused = diskSet.checkChangeableName(dir, this.#name);
    if (refused !== null) return refused;
    if (isDot(this.#name) || isDotDot(this.#name)) return this.refuseDots(this.#name);
    become(this.user);
    const { identity } = this.volume;
    const result = identity.ofName(dir.pathFd, this.#name);
    if (result < 0) return this.volume.failure(identity.call, result);
    this.#victim = identity.key();
    return diskSet.isOnWayToExport(this.volume, this.#victim) ? 'accessDenied' : null;
  }

  protected evidence(w: XdrWriter): void {
    w.opaque(Buffer.from(this.#victim, 'latin1'));
  }

  execute(flushes: FlushSet): void {
    const dir = this.#dir!;
    const { diskSet } = this.request.service;
    // What examine() found is still there: nobody else may touch the name.
    before.forget();
    const status = directoryAttributes(diskSet, dir);
    if (status !== 'ok') {
      this.fail(status);
      return;
    }
    before.take(directoryStat);
    forgetDirectoryAttributes();
    become(this.user);
    const result = diskSet.losingName(dir, this.#name, identityOfKey(this.#victim), () =>
      unlinkAt(this.volume.gate, dir.pathFd, this.#name, this.unlinkFlags),
    );
    if (result < 0) {
      this.fail(this.volume.failure('unlinkat', result));
      return;
    }
    flushes.add(dir);
    this.#succeed();
  }

  recover(evidence: XdrReader, flushes: FlushSet): boolean {
    const victim = Buffer.from(evidence.opaque(KEY_SIZE_MAX)).toString('latin1');
    const failure = this.#look();
    before.forget();
    const there = failure === null && this.#victim === victim;
    if (there || (failure !== null && failure !== 'noEntry')) return false;
    flushes.add(this.#dir!);
    this.#succeed();
    return true;
  }

  #succeed(): void {
    out.reset();
    out.u32(NFS3_OK);
    before.encode(out);
    const known = directoryAttributesNow(this.request.service.diskSet, this.#dir!) === 'ok';
    encodePostOp(out, known ? directoryStat : null, this.volume);
    this.takeResults();
  }

  protected forgetBefore(): void {
    before.forget();
  }

  protected fail(failure: VolumeFailure): void {
    this.failWithWcc(failure, before, this.#dir);
  }
}

export class Remove extends RemoveEntry {
  readonly operation = 'REMOVE';
  protected readonly unlinkFlags = 0;

  protected refuseDots(): VolumeFailure {
    return 'isDirectory';
  }
}

export class Rmdir extends RemoveEntry {
  readonly operation = 'RMDIR';
  protected readonly unlinkFlags = AT_REMOVEDIR;

  /** RFC 1813 §3.3.13: NFS3ERR_INVAL for `.`, NFS3ERR_EXIST for `..`. */
  protected refuseDots(name: Uint8Array): VolumeFailure {
    return isDot(name) ? 'invalid' : 'exists';
  }
}
