/**
 * An operation that must not be executed twice: what its nine procedures (CREATE, MKDIR, SYMLINK, MKNOD, REMOVE,
 * RMDIR, RENAME, LINK, SETATTR) have in common. storage/duplicate-requests/change-queue.ts says in which order what happens.
 *
 * The same object serves the first execution and the recovery after a crash; then `recover` is called instead of
 * examine/execute, with the evidence that was recorded before the execution.
 */
import { type XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Change } from '../storage/duplicate-requests/change-queue.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { Export, ExportTable } from '../storage/files/export.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { encodeIntentRecord, resultsToKeep } from '../storage/journal/journal-payloads.ts';
import { byteString } from '../storage/names/byte-string.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { StatBuffer } from '../system/statx.ts';
import type { Identity } from '../system/thread-identity.ts';
import { type BeforeAttributes, encodePostOp } from './attributes.ts';
import type { NfsService, UserOf } from './call.ts';
import { nfsstat3Of } from './nfs-status.ts';

export interface OperationRequest {
  readonly service: NfsService;
  readonly key: string;
  readonly procedure: number;
  /** The call's arguments, in memory of their own. */
  readonly args: Uint8Array;
  readonly onStep: (operation: string, step: OperationStep) => void;
}

/** Results are put together here and copied out. */
export const out = new XdrWriter(1024);
const NOTHING = new Uint8Array(0);

/** The key of what everybody relies on where files are found by their paths: nobody can say which directories that takes. */
export const EVERY_PATH = 'paths';

/** Attributes of a failed operation's object or directory, read for its reply. */
const failedStat = new StatBuffer();

export abstract class Operation implements Change {
  abstract readonly operation: string;
  readonly request: OperationRequest;
  readonly key: string;
  results: Uint8Array;
  madeKey: string | null = null;
  /** It needs space on the disk that it does not give back. */
  get grows(): boolean {
    return false;
  }
  get hasParts(): boolean {
    return false;
  }
  /** Set by bind(). */
  protected user!: Identity;
  protected tree!: Export;
  #userOf!: UserOf;
  #boundBy: ExportTable | null = null;

  constructor(request: OperationRequest) {
    this.request = request;
    this.key = request.key;
    this.results = NOTHING;
  }

  /** Finds the files of the arguments' handles. Otherwise why there is nothing to be done; results say it too. */
  bind(userOf: UserOf): VolumeFailure | null {
    this.#userOf = userOf;
    this.#boundBy = null;
    const failure = this.bindFiles(userOf);
    if (failure !== null) this.fail(failure);
    return failure;
  }

  isStillAllowed(): boolean {
    return this.request.service.diskSet.exports === this.#boundBy || this.bind(this.#userOf) === null;
  }

  get volume(): Volume {
    return this.tree.volume;
  }

  protected abstract bindFiles(userOf: UserOf): VolumeFailure | null;
  abstract conflictKeys(): readonly string[];

  /** The directories of its names; and where files are found by their paths (path-index.ts), every directory above. */
  reliesOn(): readonly string[] {
    const directories = this.directories();
    return this.volume.pathIndex === null ? directories : [...directories, EVERY_PATH];
  }

  /** Keys of the directories whose entries it looks at. */
  protected abstract directories(): readonly string[];
  abstract examine(): boolean;
  /** What recover() will need to know of the state before. After examine(). */
  protected abstract evidence(w: XdrWriter): void;
  abstract execute(flushes: FlushSet): void;
  /** Of those without parts it is not asked. */
  executePart(): boolean {
    return false;
  }
  /** Was it executed? Then completes what is missing and sets `results`. false: it was not begun. */
  abstract recover(evidence: XdrReader, flushes: FlushSet): boolean;
  /** Sets `results` to the failure arm, with attributes as they are now. */
  protected abstract fail(failure: VolumeFailure): void;
  /** The attributes before are not those of this operation's objects. */
  protected abstract forgetBefore(): void;

  intent(): Uint8Array {
    out.reset();
    this.evidence(out);
    const { key, procedure, args } = this.request;
    return encodeIntentRecord({ key, procedure, identity: this.user, args, evidence: out.written() });
  }

  /**
   * It can't succeed, or must not be tried. Results without attributes from before: what holds those is shared by all operations
   * of a kind, and others may have been examined since.
   */
  refuse(failure: VolumeFailure): false {
    this.forgetBefore();
    return this.refuseExamined(failure);
  }

  /** For examine(), which has just read the attributes. */
  protected refuseExamined(failure: VolumeFailure): false {
    this.fail(failure);
    return false;
  }

  /**
   * A key for a name in a directory. One for all names in it, where the file system may take two of them for one: after a crash
   * what the one has made would be found under the other too.
   */
  protected nameKey(dir: OpenFile, name: Uint8Array): string {
    if (this.request.service.diskSet.mayFoldNames(dir)) return `${dir.key}/`;
    return `${dir.key}/${byteString(name, 0, name.length)}`;
  }

  protected step(step: OperationStep): void {
    this.request.onStep(this.operation, step);
  }

  /** A file of the arguments, and with the first one the export and the user of the whole operation. */
  protected bindFile(handle: Uint8Array, userOf: UserOf): OpenFile | VolumeFailure {
    const { diskSet } = this.request.service;
    const file = diskSet.resolveHandle(handle);
    if (typeof file === 'string') return file;
    if (this.#boundBy === null) {
      const user = userOf(file.tree);
      if (user === 'notAllowed') return 'accessDenied';
      if (file.tree.readOnly) return 'readOnly';
      this.user = user;
      this.tree = file.tree;
      this.#boundBy = diskSet.exports;
      return file;
    }
    // Between exports nothing is renamed or linked, even if they lie on one volume: each has its own rules.
    return file.tree === this.tree ? file : 'crossesVolumes';
  }

  /** A failure arm of status and wcc_data. `file`: whose, as it is now; null where its handle was refused. */
  protected failWithWcc(failure: VolumeFailure, before: BeforeAttributes, file: OpenFile | null): void {
    out.reset();
    out.u32(nfsstat3Of(failure));
    if (file === null) {
      out.u32(0);
      out.u32(0);
    } else {
      before.encode(out);
      const known = this.request.service.diskSet.attributes(file, failedStat) === 'ok';
      encodePostOp(out, known ? failedStat : null, this.volume);
    }
    this.takeResults();
  }

  protected takeResults(): void {
    this.results = resultsToKeep(this.key, out.bytes, out.position);
  }
}
