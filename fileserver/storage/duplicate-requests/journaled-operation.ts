/**
 * One request of a procedure that must not be executed twice, as the operation log sees it: check, then apply the plan. The
 * plan is the only way to apply, so no check can be forgotten, and nothing is kept from one step for the next beside it.
 */
import type { VolumeFailure } from '../failures/status.ts';
import type { FlushSet } from '../flush/flush-set.ts';

export interface JournaledOperation {
  /** RFC 1813's name: CREATE, RENAME... */
  readonly operation: string;
  /** Key of the request, for the duplicate request cache. */
  readonly key: string;
  /** Looks at the state before, as the caller. Asked again when the operation had to wait: by then a name may stand for something else. */
  check(): Check;
  /** The reply of a failure that is not the operation's own. In memory of resultsToKeep(). */
  refuse(failure: VolumeFailure): Uint8Array;
}

/** Effect that an operation would have at this moment. Worthless when something of `lockKeys` or `reliesOn` has changed. */
export interface Check {
  /** Names and objects that it touches, as strings that are equal for the same name or object. */
  readonly lockKeys: readonly string[];
  /**
   * Objects that it only looks at, and that recovery has to find as they are now. An operation that touches one of them comes in
   * another group; others may rely on them too.
   */
  readonly reliesOn: readonly string[];
  /** null: nothing is to be changed, and `results` are the reply: a failure, or that there is nothing to do. */
  readonly plan: Plan | null;
  readonly results: Uint8Array;
}

export interface Plan {
  /** It needs space on the disk that it does not give back. */
  readonly needsSpace: boolean;
  /** It takes long. Then applyPart() is called, until it returns false, before apply(). */
  readonly isLong: boolean;
  /** An object that apply() has created and that recovery might have to complete; also when apply() has thrown. null: none. */
  readonly createdKey: string | null;
  /** The journal's record of what is about to happen. */
  intent(): Uint8Array;
  /** Does a part of it, which takes some milliseconds. false: did nothing, and apply() does what is left. */
  applyPart(): boolean;
  /** Does it, as the caller. The reply, whether it succeeded or not, in memory of resultsToKeep(). */
  apply(flushes: FlushSet): Uint8Array;
}

/** Outcome of an operation that was executed, or given up. */
export interface Done {
  readonly operation: string;
  readonly key: string;
  readonly createdKey: string | null;
  /**
   * In memory that journal-payloads.ts has made (resultsToKeep): they are kept, and appended as they lie. Empty: none, and
   * the reply is SYSTEM_ERR.
   */
  readonly results: Uint8Array;
}
