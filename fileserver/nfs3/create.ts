/** CREATE, RFC 1813 §3.3.8: UNCHECKED, GUARDED and EXCLUSIVE. */
import { EXCLUSIVE, GUARDED, type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import { GradualTruncation, truncatesMuch } from '../storage/files/gradual-truncation.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import {
  type AttributeChanges,
  applyAttributeChanges,
  checkAttributeChanges,
  NO_CHANGES,
  remainingChanges,
} from '../storage/files/set-attributes.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { createAt, O_EXCL, O_NOFOLLOW, O_RDWR } from '../system/file-calls.ts';
import { S_IFREG } from '../system/statx.ts';
import { NewEntry } from './new-entry.ts';
import type { OperationRequest } from './operation.ts';
import { changesOfSattr } from './sattr.ts';

/** Where the client leaves the mode to the server. */
const MODE_DEFAULT = 0o600;

/** How far an existing file was looked at: evidence that UNCHECKED found one and cuts it. */
const ABSENT = 0;
const EXISTING = 1;

export class Create extends NewEntry {
  readonly operation = 'CREATE';
  protected readonly makingCall = 'openat';
  readonly #args: Nfs3Calls['CREATE']['args'];
  readonly #wanted: AttributeChanges;
  readonly #mode: number;
  /** UNCHECKED found a file: all that happens to it is this change of its size. */
  #existing: OpenFile | null = null;
  /** null: what is cut off of it is little. */
  #truncation: GradualTruncation | null = null;
  #ctimeSeconds = 0;
  #ctimeNanoseconds = 0;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    this.#args = nfs3Procedures.CREATE.args.decode(r);
    r.expectEnd();
    const { how, where } = this.#args;
    this.dirHandle = where.dir;
    this.name = where.name;
    const given = how.mode === EXCLUSIVE ? NO_CHANGES : changesOfSattr(how.obj_attributes);
    this.#mode = (given.mode ?? MODE_DEFAULT) & 0o7777;
    this.#wanted = how.mode === EXCLUSIVE ? verifierTimes(how.verf) : { ...given, mode: null };
  }

  protected get type(): number {
    return S_IFREG;
  }

  protected get attributes(): AttributeChanges {
    // A new file is empty already.
    return this.#wanted.size === 0 ? { ...this.#wanted, size: null } : this.#wanted;
  }

  protected make(dirFd: number): number {
    const { table } = this.request.service.diskSet;
    const { gate } = this.volume;
    const flags = O_EXCL | O_RDWR | O_NOFOLLOW;
    const fd = createAt(gate, dirFd, this.name, flags, this.#mode);
    return table.makeRoom(fd) ? createAt(gate, dirFd, this.name, flags, this.#mode) : fd;
  }

  /** Known by the descriptor that was opened with it: no look at the name, and none at the disk. */
  protected override find(made: number): OpenFile | VolumeFailure {
    return made < 0 ? super.find(made) : this.request.service.diskSet.made(this.dir!, this.name, made);
  }

  override get grows(): boolean {
    return this.#existing === null;
  }

  override conflictKeys(): readonly string[] {
    const keys = super.conflictKeys();
    // An existing file is changed as by SETATTR: nobody else may change it meanwhile.
    this.found = this.look();
    const taken = typeof this.found === 'string' || this.#args.how.mode === EXCLUSIVE ? null : this.found;
    return taken === null ? keys : [...keys, taken.key];
  }

  protected override examineExisting(file: OpenFile): boolean {
    const { how } = this.#args;
    const { stat } = this.volume;
    const { diskSet } = this.request.service;
    const status = diskSet.attributes(file, stat);
    if (status !== 'ok') return this.refuseExamined(status);
    if (how.mode === GUARDED || stat.type !== S_IFREG) return this.refuseExamined('exists');
    if (how.mode === EXCLUSIVE) {
      // RFC 1813 §3.3.8: made by the same request before (its journal record is gone): the verifier says so.
      if (!this.#hasVerifier()) return this.refuseExamined('exists');
      this.succeed(file);
      return false;
    }
    if (this.#wanted.size === null) {
      this.succeed(file);
      return false;
    }
    const refused = checkAttributeChanges(diskSet, file, this.#cut, this.user, stat);
    if (refused !== null) return this.refuseExamined(refused);
    this.#existing = file;
    diskSet.attributes(file, stat);
    this.#ctimeSeconds = stat.ctimeSeconds;
    this.#ctimeNanoseconds = stat.ctimeNanoseconds;
    const { size } = this.#wanted;
    if (truncatesMuch(stat, size)) this.#truncation = new GradualTruncation(file, size);
    return true;
  }

  override get hasParts(): boolean {
    return this.#truncation !== null;
  }

  override executePart(): boolean {
    const cut = this.#truncation!.next(this.request.service.diskSet, this.user);
    if (cut) this.step('duringExecution');
    return cut;
  }

  get #cut(): AttributeChanges {
    return { ...NO_CHANGES, size: this.#wanted.size };
  }

  #hasVerifier(): boolean {
    const { stat } = this.volume;
    const { atime, mtime } = this.#wanted;
    return (
      typeof atime === 'object' &&
      typeof mtime === 'object' &&
      stat.atimeSeconds === atime.seconds &&
      stat.mtimeSeconds === mtime.seconds &&
      stat.size === 0
    );
  }

  protected override evidence(w: XdrWriter): void {
    w.u32(this.#existing === null ? ABSENT : EXISTING);
    w.u64(BigInt.asUintN(64, BigInt(this.#ctimeSeconds)));
    w.u32(this.#ctimeNanoseconds);
  }

  override execute(flushes: FlushSet): void {
    if (this.#existing === null) {
      super.execute(flushes);
      return;
    }
    this.beginExecution();
    this.#cutExisting(this.#existing, this.#cut, flushes);
  }

  #cutExisting(file: OpenFile, cut: AttributeChanges, flushes: FlushSet): void {
    const { diskSet } = this.request.service;
    flushes.add(file);
    const failure: VolumeFailure | null = applyAttributeChanges(diskSet, file, cut, this.user, S_IFREG, () =>
      this.step('duringExecution'),
    );
    if (failure === null) this.succeed(file);
    else this.fail(failure);
  }

  override recover(evidence: XdrReader, flushes: FlushSet): boolean {
    if (evidence.u32() === ABSENT) return super.recover(evidence, flushes);
    const seconds = Number(BigInt.asIntN(64, evidence.u64()));
    const nanoseconds = evidence.u32();
    const found = this.look();
    const { stat } = this.volume;
    if (typeof found === 'string' || this.request.service.diskSet.attributes(found, stat) !== 'ok')
      return false;
    if (stat.ctimeSeconds === seconds && stat.ctimeNanoseconds === nanoseconds) return false;
    this.#cutExisting(found, remainingChanges(this.#cut, stat), flushes);
    return true;
  }
}

/**
 * EXCLUSIVE has no attributes but a verifier, which has to be kept with the file: in its times, as every Unix server
 * does it (the client sets them afterwards). 31 bits each, so that every file system can hold them.
 */
function verifierTimes(verf: Uint8Array): AttributeChanges {
  const view = new DataView(verf.buffer, verf.byteOffset, verf.byteLength);
  return {
    ...NO_CHANGES,
    atime: { seconds: view.getUint32(0) & 0x7fffffff, nanoseconds: 0 },
    mtime: { seconds: view.getUint32(4) & 0x7fffffff, nanoseconds: 0 },
  };
}
