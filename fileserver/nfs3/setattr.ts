/** SETATTR, RFC 1813 §3.3.2. */
import { NFS3_OK, type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import { GradualTruncation, truncatesMuch } from '../storage/files/gradual-truncation.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import {
  type AttributeChanges,
  applyAttributeChanges,
  changesNothing,
  checkAttributeChanges,
  remainingChanges,
} from '../storage/files/set-attributes.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { S_IFDIR, S_IFREG } from '../system/statx.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import type { UserOf } from './call.ts';
import { forgetDirectoryAttributes } from './directory-attributes.ts';
import { EVERY_PATH, Operation, type OperationRequest, out } from './operation.ts';
import { changesOfSattr } from './sattr.ts';

const before = new BeforeAttributes();

export class Setattr extends Operation {
  readonly operation = 'SETATTR';
  readonly #args: Nfs3Calls['SETATTR']['args'];
  readonly #changes: AttributeChanges;
  #file: OpenFile | null = null;
  /** null: what is cut off is little. */
  #truncation: GradualTruncation | null = null;
  /** The object's ctime when the change was examined: any step of it moves it on. */
  #ctimeSeconds = 0;
  #ctimeNanoseconds = 0;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    this.#args = nfs3Procedures.SETATTR.args.decode(r);
    r.expectEnd();
    this.#changes = changesOfSattr(this.#args.new_attributes);
  }

  protected bindFiles(userOf: UserOf): VolumeFailure | null {
    const file = this.bindFile(this.#args.object, userOf);
    this.#file = typeof file === 'string' ? null : file;
    return typeof file === 'string' ? file : null;
  }

  conflictKeys(): readonly string[] {
    return this.#changesWhoMaySearch ? [this.#file!.key, EVERY_PATH] : [this.#file!.key];
  }

  protected directories(): readonly string[] {
    return [];
  }

  override reliesOn(): readonly string[] {
    return this.#changesWhoMaySearch ? [] : super.reliesOn();
  }

  /** Where files are found by their paths: this may be a directory on the way to others. */
  get #changesWhoMaySearch(): boolean {
    const { mode, uid, gid } = this.#changes;
    return this.volume.pathIndex !== null && (mode !== null || uid !== null || gid !== null);
  }

  examine(): boolean {
    const file = this.#file!;
    const { stat } = this.volume;
    const { diskSet } = this.request.service;
    before.forget();
    const status = diskSet.attributes(file, stat);
    if (status !== 'ok') return this.refuseExamined(status);
    before.take(stat);
    this.#ctimeSeconds = stat.ctimeSeconds;
    this.#ctimeNanoseconds = stat.ctimeNanoseconds;
    const { size } = this.#changes;
    if (size !== null && truncatesMuch(stat, size)) this.#truncation = new GradualTruncation(file, size);
    const { guard } = this.#args;
    // RFC 1813 §3.3.2: the object's ctime must be the guard's, or NFS3ERR_NOT_SYNC and nothing is changed.
    const same =
      guard === null ||
      (guard.seconds === stat.ctimeSeconds >>> 0 && guard.nseconds === stat.ctimeNanoseconds);
    if (!same) return this.refuseExamined('notSynchronized');
    const refused = checkAttributeChanges(diskSet, file, this.#changes, this.user, stat);
    if (refused !== null) return this.refuseExamined(refused);
    if (!changesNothing(this.#changes)) return true;
    this.#succeed();
    return false;
  }

  override get hasParts(): boolean {
    return this.#truncation !== null;
  }

  override executePart(): boolean {
    const cut = this.#truncation!.next(this.request.service.diskSet, this.user);
    if (cut) this.step('duringExecution');
    return cut;
  }

  protected evidence(w: XdrWriter): void {
    w.u64(BigInt.asUintN(64, BigInt(this.#ctimeSeconds)));
    w.u32(this.#ctimeNanoseconds);
  }

  execute(flushes: FlushSet): void {
    forgetDirectoryAttributes();
    const file = this.#file!;
    const { stat } = this.volume;
    before.forget();
    if (this.request.service.diskSet.attributes(file, stat) === 'ok') before.take(stat);
    this.#apply(this.#changes, flushes);
  }

  #apply(changes: AttributeChanges, flushes: FlushSet): void {
    const file = this.#file!;
    const { type } = this.volume.stat;
    const { diskSet } = this.request.service;
    const between = (): void => this.step('duringExecution');
    const failure = applyAttributeChanges(diskSet, file, changes, this.user, type, between);
    if (type === S_IFREG || type === S_IFDIR) flushes.add(file);
    else flushes.addAll();
    if (failure === null) this.#succeed();
    else this.fail(failure);
  }

  /** What is missing is applied: the values are absolute, and nothing else could touch the object in between. */
  recover(evidence: XdrReader, flushes: FlushSet): boolean {
    const seconds = Number(BigInt.asIntN(64, evidence.u64()));
    const nanoseconds = evidence.u32();
    const { stat } = this.volume;
    if (this.request.service.diskSet.attributes(this.#file!, stat) !== 'ok') return false;
    if (stat.ctimeSeconds === seconds && stat.ctimeNanoseconds === nanoseconds) return false;
    before.forget();
    this.#apply(remainingChanges(this.#changes, stat), flushes);
    return true;
  }

  #succeed(): void {
    const { stat } = this.volume;
    const known = this.request.service.diskSet.attributes(this.#file!, stat) === 'ok';
    out.reset();
    out.u32(NFS3_OK);
    before.encode(out);
    encodePostOp(out, known ? stat : null, this.volume);
    this.takeResults();
  }

  protected forgetBefore(): void {
    before.forget();
  }

  protected fail(failure: VolumeFailure): void {
    this.failWithWcc(failure, before, this.#file);
  }
}
