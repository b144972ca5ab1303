/** The procedures that must not be executed twice, as data, and what drives them. */
import { NFS3_OK, nfsproc3, type nfsproc3Name } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Xdr } from '../../protocol/xdr-types.ts';
import type { UserOf } from '../rpc/caller.ts';
import type { Check, JournaledOperation, Plan } from '../storage/duplicate-requests/journaled-operation.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { Export } from '../storage/files/export.ts';
import type { ExportTable } from '../storage/files/export-table.ts';
import type { GradualTruncation } from '../storage/files/gradual-truncation.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { encodeIntentRecord, resultsToKeep } from '../storage/journal/journal-payloads.ts';
import { byteString } from '../storage/names/byte-string.ts';
import type { Volume } from '../storage/volume/volume.ts';
import type { Identity } from '../system/thread-identity.ts';
import { encodePostOp } from './attributes.ts';
import type { NfsContext } from './nfs-context.ts';
import { nfsstat3Of } from './nfs-status.ts';

// CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK and SETATTR are decoded, bound to the files of their handles, checked, and
// applied as planned. After a crash `recover` takes the place of check and apply. storage/duplicate-requests/operation-log.ts says in
// which order that happens.

/** On volumes with a path index every operation relies on this key: a path leads through directories that are not known. */
export const EVERY_PATH = 'paths';

export interface JournaledProcedure<Args, Planned> {
  readonly name: nfsproc3Name;
  readonly args: Xdr<Args>;
  /** The first one decides on export, user and volume. */
  readonly handles: (args: Args) => readonly Uint8Array[];
  /** Attributes of the handles' objects in a reply. Failures say no more; but for new entries success neither. */
  readonly attributes: readonly ('postOp' | 'wcc')[];
  /** Looks, as the caller, at the state before. Results in Target.planned(), refused() or answered(). */
  readonly check: (on: Target, args: Args) => Check;
  readonly needsSpace: (plan: Planned) => boolean;
  /** null: it takes no time to speak of. */
  readonly truncation: (plan: Planned) => GradualTruncation | null;
  /** Encodes the state before, as far as recover() needs it. */
  readonly encodePreState: (w: XdrWriter, plan: Planned) => void;
  /** Behind Target.beginChange(). The results. */
  readonly apply: (on: Target, args: Args, plan: Planned, flushes: FlushSet) => Uint8Array;
  /** Was it executed? Then completes what is missing, and the results. null: it was not begun. */
  readonly recover: (on: Target, args: Args, preState: XdrReader, flushes: FlushSet) => Uint8Array | null;
}

// biome-ignore lint/suspicious/noExplicitAny: arguments and plans are each procedure's own.
export type AnyJournaledProcedure = JournaledProcedure<any, any>;

/** The objects of an operation's arguments, and whose it is: what its procedure works on. */
export class Target {
  readonly context: NfsContext;
  readonly key: string;
  /** Files of the handles, in their order. */
  readonly files: readonly OpenFile[];
  readonly user: Identity;
  readonly tree: Export;
  /** See Plan. */
  createdKey: string | null = null;
  readonly #request: Request;

  constructor(request: Request, files: readonly OpenFile[], user: Identity) {
    this.context = request.context;
    this.key = request.key;
    this.files = files;
    this.user = user;
    this.tree = files[0]!.tree;
    this.#request = request;
  }

  get volume(): Volume {
    return this.tree.volume;
  }

  step(step: OperationStep): void {
    this.context.onStep(this.#request.procedure.name, step);
  }

  /**
   * A key for a name in a directory. One for all names in it, where the file system may take two of them for one: after a crash
   * what the one has made would be found under the other too.
   */
  nameKey(dir: OpenFile, name: Uint8Array): string {
    if (this.context.diskSet.mayFoldNames(dir)) return `${dir.key}/`;
    return `${dir.key}/${byteString(name, 0, name.length)}`;
  }

  /** The keys of the directories of its names; on volumes with a path index (path-index.ts) every directory above, too. */
  relyingOn(...keys: readonly string[]): readonly string[] {
    return this.volume.pathIndex === null ? keys : [...keys, EVERY_PATH];
  }

  planned(lockKeys: readonly string[], reliesOn: readonly string[], plan: unknown): Check {
    return { lockKeys, reliesOn, plan: new BoundPlan(this.#request, this, plan), results: NOTHING };
  }

  answered(lockKeys: readonly string[], reliesOn: readonly string[], results: Uint8Array): Check {
    return { lockKeys, reliesOn, plan: null, results };
  }

  refused(lockKeys: readonly string[], reliesOn: readonly string[], failure: VolumeFailure): Check {
    return { lockKeys, reliesOn, plan: null, results: this.failed(failure) };
  }

  /** Attributes of the objects as they are before the change, which comes now. Not ok: it can't be done. */
  beginChange(): VolumeFailure | null {
    const { directory, before } = this.context;
    const { attributes } = this.#request.procedure;
    for (let index = 0; index < attributes.length; index++) {
      if (attributes[index] !== 'wcc') continue;
      const status = directory.read(this.files[index]!);
      if (status !== 'ok') return status;
      before[index]!.take(directory.stat);
    }
    directory.forget();
    return null;
  }

  failed(failure: VolumeFailure): Uint8Array {
    return this.#request.results(nfsstat3Of(failure), this.files);
  }

  /** Results of a procedure that returns attributes alone. */
  succeeded(): Uint8Array {
    return this.#request.results(NFS3_OK, this.files);
  }

  /** wcc_data of the object at that place, as it was before this step and is now. */
  encodeWcc(w: XdrWriter, index: number): void {
    encodeWcc(w, this.context, index, this.files[index]!);
  }

  /** Results that were put together in NfsContext.out. */
  taken(): Uint8Array {
    return resultsToKeep(this.key, this.context.out.writtenNow());
  }
}

const NOTHING = new Uint8Array(0);

function encodeWcc(w: XdrWriter, { directory, before }: NfsContext, index: number, file: OpenFile): void {
  before[index]!.encode(w);
  encodePostOp(w, directory.readNow(file) === 'ok' ? directory.stat : null, file.volume);
}

class BoundPlan implements Plan {
  readonly needsSpace: boolean;
  readonly isLong: boolean;
  readonly #request: Request;
  readonly #target: Target;
  readonly #plan: unknown;

  constructor(request: Request, target: Target, plan: unknown) {
    this.needsSpace = request.procedure.needsSpace(plan);
    this.isLong = request.procedure.truncation(plan) !== null;
    this.#request = request;
    this.#target = target;
    this.#plan = plan;
  }

  get createdKey(): string | null {
    return this.#target.createdKey;
  }

  intent(): Uint8Array {
    const { context, key, procedure, args } = this.#request;
    const { out } = context;
    out.reset();
    procedure.encodePreState(out, this.#plan);
    const { user } = this.#target;
    const record = {
      key,
      procedure: nfsproc3[procedure.name],
      identity: user,
      args,
      evidence: out.writtenNow(),
    };
    return encodeIntentRecord(record);
  }

  applyPart(): boolean {
    const { procedure, context } = this.#request;
    const cut = procedure.truncation(this.#plan)?.next(context.diskSet, this.#target.user) === true;
    if (cut) this.#target.step('duringExecution');
    return cut;
  }

  apply(flushes: FlushSet): Uint8Array {
    const target = this.#target;
    const { context, procedure, decoded } = this.#request;
    context.forgetBefore();
    const failure = target.beginChange();
    return failure === null ? procedure.apply(target, decoded, this.#plan, flushes) : target.failed(failure);
  }
}

/** One call of a journaled procedure. */
export class Request implements JournaledOperation {
  readonly context: NfsContext;
  readonly key: string;
  readonly procedure: AnyJournaledProcedure;
  /** The call's arguments, in memory of their own; and what they say. */
  readonly args: Uint8Array;
  readonly decoded: unknown;
  readonly #userOf: UserOf;
  #target: Target | null = null;
  /** Exports by which the target was found. */
  #boundBy: ExportTable | null = null;

  /** Throws XdrError for arguments that are malformed. */
  constructor(
    context: NfsContext,
    key: string,
    procedure: AnyJournaledProcedure,
    args: Uint8Array,
    userOf: UserOf,
  ) {
    const r = context.argumentReader;
    r.reset(args, 0, args.length);
    this.context = context;
    this.key = key;
    this.procedure = procedure;
    this.args = args;
    this.decoded = procedure.args.decode(r);
    r.expectEnd();
    this.#userOf = userOf;
  }

  get operation(): string {
    return this.procedure.name;
  }

  /** The files of the handles, by the exports as they are now; or why the caller can't have them. */
  bind(): Target | VolumeFailure {
    const { exports } = this.context.diskSet;
    if (this.#target !== null && this.#boundBy === exports) return this.#target;
    this.#target = null;
    this.#boundBy = exports;
    const bound = this.#bind();
    if (typeof bound !== 'string') this.#target = bound;
    return bound;
  }

  #bind(): Target | VolumeFailure {
    const { diskSet } = this.context;
    // One or two: to push them would make room for many more.
    let files: readonly OpenFile[] = [];
    let user: Identity | null = null;
    for (const handle of this.procedure.handles(this.decoded)) {
      const file = diskSet.resolveHandle(handle);
      if (typeof file === 'string') return file;
      // Between exports nothing is renamed or linked, even if they lie on one volume: each has its own rules.
      if (user !== null && file.tree !== files[0]!.tree) return 'crossesVolumes';
      if (user === null) {
        const found = this.#userOf(file.tree);
        if (found === 'notAllowed') return 'accessDenied';
        if (file.tree.readOnly) return 'readOnly';
        user = found;
      }
      files = files.concat(file);
    }
    return new Target(this, files, user!);
  }

  /** Exports may have changed while it waited. */
  check(): Check {
    const target = this.bind();
    this.context.forgetBefore();
    if (typeof target !== 'string') return this.procedure.check(target, this.decoded);
    return { lockKeys: [], reliesOn: [], plan: null, results: this.refuse(target) };
  }

  /** Without attributes from before: others may have been checked since. */
  refuse(failure: VolumeFailure): Uint8Array {
    this.context.forgetBefore();
    return this.results(nfsstat3Of(failure), this.#target?.files ?? []);
  }

  /** After a crash. null: it was not begun, or that is not known. */
  recover(preState: XdrReader, flushes: FlushSet): { results: Uint8Array; createdKey: string | null } | null {
    const target = this.bind();
    this.context.forgetBefore();
    if (typeof target === 'string') return null;
    const results = this.procedure.recover(target, this.decoded, preState, flushes);
    return results === null ? null : { results, createdKey: target.createdKey };
  }

  /** The status, and what its procedure shows of the files, as they are now; none: they are not to be had. */
  results(status: number, files: readonly OpenFile[]): Uint8Array {
    const { context, procedure, key } = this;
    const { out } = context;
    out.reset();
    out.u32(status);
    for (let index = 0; index < procedure.attributes.length; index++) {
      const file = files[index];
      if (procedure.attributes[index] === 'wcc') {
        if (file !== undefined) encodeWcc(out, context, index, file);
        else {
          out.u32(0);
          out.u32(0);
        }
      } else {
        const stat = file?.volume.stat;
        const known = file !== undefined && context.diskSet.attributes(file, stat!) === 'ok';
        if (known) encodePostOp(out, stat!, file.volume);
        else out.u32(0);
      }
    }
    return resultsToKeep(key, out.writtenNow());
  }
}
