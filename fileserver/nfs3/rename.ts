/**
 * RENAME, RFC 1813 §3.3.14.
 *
 * Evidence: what was under the old name. If it is under the new one after a crash and no longer under the old one,
 * this operation moved it.
 */

import { constants } from 'node:os';
import { NFS3_OK, type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { identityOfKey } from '../storage/handles/file-identity.ts';
import { isDot, isDotDot } from '../storage/names/names.ts';
import { renameAt } from '../system/file-calls.ts';
import { S_IFDIR, StatBuffer } from '../system/statx.ts';
import { become } from '../system/thread-identity.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import type { UserOf } from './call.ts';
import { forgetDirectoryAttributes } from './directory-attributes.ts';
import { nfsstat3Of } from './nfs-status.ts';
import { EVERY_PATH, Operation, type OperationRequest, out } from './operation.ts';

const fromBefore = new BeforeAttributes();
const toBefore = new BeforeAttributes();
const dirStat = new StatBuffer();
const KEY_SIZE_MAX = 64;
const { ENOENT } = constants.errno;

export class Rename extends Operation {
  readonly operation = 'RENAME';
  readonly #args: Nfs3Calls['RENAME']['args'];
  #from: OpenFile | null = null;
  #to: OpenFile | null = null;
  /** Identity keys of what is moved and of what was under the new name ('' for nothing). */
  #moved = '';
  #replaced = '';

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    this.#args = nfs3Procedures.RENAME.args.decode(r);
    r.expectEnd();
  }

  protected bindFiles(userOf: UserOf): VolumeFailure | null {
    this.#from = null;
    this.#to = null;
    const from = this.bindFile(this.#args.from.dir, userOf);
    if (typeof from === 'string') return from;
    const to = this.bindFile(this.#args.to.dir, userOf);
    if (typeof to === 'string') return to;
    this.#from = from;
    this.#to = to;
    return null;
  }

  conflictKeys(): readonly string[] {
    const keys = [
      this.nameKey(this.#from!, this.#args.from.name),
      this.nameKey(this.#to!, this.#args.to.name),
    ];
    if (this.#look() !== null) return keys;
    keys.push(this.#moved);
    if (this.#replaced !== '') keys.push(this.#replaced);
    if (this.#leadsElsewhere) keys.push(EVERY_PATH);
    return keys;
  }

  protected directories(): readonly string[] {
    return [this.#from!.key, this.#to!.key];
  }

  override reliesOn(): readonly string[] {
    return this.#leadsElsewhere ? this.directories() : super.reliesOn();
  }

  /** Where files are found by their paths: what lies below may be where nobody may look for it. */
  get #leadsElsewhere(): boolean {
    return this.volume.pathIndex !== null && this.#from !== this.#to;
  }

  examine(): boolean {
    const failure = this.#look();
    if (failure !== null) return this.refuseExamined(failure);
    if (this.#moved !== this.#replaced) return true;
    // RFC 1813 §3.3.14: two names of one file (or the same name twice): nothing is to be done, and that succeeds.
    this.#succeed();
    return false;
  }

  /** Sets `moved` and `replaced`; or why it can't be done. As the user. Leaves the attributes before filled. */
  #look(): VolumeFailure | null {
    const { from, to } = this.#args;
    fromBefore.forget();
    toBefore.forget();
    const refused =
      this.#checkDirectory(this.#from!, from.name, fromBefore) ??
      this.#checkDirectory(this.#to!, to.name, toBefore);
    if (refused !== null) return refused;
    become(this.user);
    const { identity } = this.volume;
    const result = identity.ofName(this.#from!.pathFd, from.name);
    if (result < 0) return this.volume.failure(identity.call, result);
    this.#moved = identity.key();
    const { diskSet } = this.request.service;
    if (diskSet.isOnWayToExport(this.volume, this.#moved)) return 'accessDenied';
    const target = identity.ofName(this.#to!.pathFd, to.name);
    if (target < 0 && target !== -ENOENT) return this.volume.failure(identity.call, target);
    this.#replaced = target < 0 ? '' : identity.key();
    if (diskSet.isOnWayToExport(this.volume, this.#replaced)) return 'accessDenied';
    return null;
  }

  #checkDirectory(dir: OpenFile, name: Uint8Array, before: BeforeAttributes): VolumeFailure | null {
    const { diskSet } = this.request.service;
    const status = diskSet.attributes(dir, dirStat);
    if (status !== 'ok') return status;
    before.take(dirStat);
    if (dirStat.type !== S_IFDIR) return 'notDirectory';
    if (isDot(name) || isDotDot(name)) return 'invalid';
    return diskSet.checkChangeableName(dir, name);
  }

  protected evidence(w: XdrWriter): void {
    w.opaque(Buffer.from(this.#moved, 'latin1'));
  }

  execute(flushes: FlushSet): void {
    forgetDirectoryAttributes();
    const failure = this.#look();
    if (failure !== null) {
      this.fail(failure);
      return;
    }
    const result = this.#move();
    if (result < 0) {
      this.fail(this.volume.failure('renameat', result));
      return;
    }
    this.#done(flushes);
  }

  /** After look(), as the user: 0 or -errno. */
  #move(): number {
    const { from, to } = this.#args;
    const { diskSet } = this.request.service;
    const rename = (): number =>
      renameAt(this.volume.gate, this.#from!.pathFd, from.name, this.#to!.pathFd, to.name);
    if (this.#replaced === '') return rename();
    return diskSet.losingName(this.#to!, to.name, identityOfKey(this.#replaced), rename);
  }

  #done(flushes: FlushSet): void {
    const { diskSet } = this.request.service;
    this.volume.pathIndex?.learn(this.#moved, this.#to!.key, this.#args.to.name);
    if (this.#from !== this.#to) diskSet.table.generation += 1;
    if (this.volume.orderedMetadata) {
      flushes.add(this.#from!);
      flushes.add(this.#to!);
    } else flushes.addAll();
    this.#succeed();
  }

  recover(evidence: XdrReader, flushes: FlushSet): boolean {
    const moved = Buffer.from(evidence.opaque(KEY_SIZE_MAX)).toString('latin1');
    const failure = this.#look();
    fromBefore.forget();
    toBefore.forget();
    const stillThere = failure === null && this.#moved === moved;
    if (stillThere || (failure !== null && failure !== 'noEntry')) return false;
    const result = this.volume.identity.ofName(this.#to!.pathFd, this.#args.to.name);
    if (result < 0 || this.volume.identity.key() !== moved) return false;
    this.#moved = moved;
    this.#done(flushes);
    return true;
  }

  #succeed(): void {
    out.reset();
    out.u32(NFS3_OK);
    this.#encodeWccs();
    this.takeResults();
  }

  #encodeWccs(): void {
    this.#encodeWcc(this.#from, fromBefore);
    this.#encodeWcc(this.#to, toBefore);
  }

  #encodeWcc(dir: OpenFile | null, before: BeforeAttributes): void {
    if (dir === null) {
      out.u32(0);
      out.u32(0);
      return;
    }
    before.encode(out);
    const known = this.request.service.diskSet.attributes(dir, dirStat) === 'ok';
    encodePostOp(out, known ? dirStat : null, dir.volume);
  }

  protected forgetBefore(): void {
    fromBefore.forget();
    toBefore.forget();
  }

  protected fail(failure: VolumeFailure): void {
    out.reset();
    out.u32(nfsstat3Of(failure));
    this.#encodeWccs();
    this.takeResults();
  }
}
