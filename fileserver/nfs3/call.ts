/** One NFS call as a procedure sees it: arguments to read, results to write, and who asks. Reused for every call. */

import { NFS3_FHSIZE } from '../../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { paddedSize } from '../../protocol/xdr.ts';
import type { Sender } from '../callers/origin.ts';
import type { ChangeQueue } from '../storage/duplicate-requests/change-queue.ts';
import type { AnswerListener } from '../storage/duplicate-requests/reply-cache.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { Export } from '../storage/files/export.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { DataFlusher } from '../storage/flush/data-flusher.ts';
import type { Volume } from '../storage/volume/volume.ts';
import type { Identity } from '../system/thread-identity.ts';
import type { RecentWrites } from './recent-writes.ts';

/** Whose call it is, by export: the squashed credential. `notAllowed`: the export is not for that client. */
export type UserOf = (tree: Export) => Identity | 'notAllowed';

/** The client behind a call. */
export interface Caller extends Sender {
  /** Is the export for the client's address and port? */
  allowed(tree: Export): boolean;
  /** The user of the call's credential, squashed as the export wants it. */
  identity(tree: Export): Identity;
  /** Both, of the present call, for as long as that takes: exports may change meanwhile, and the next call has another user. */
  userOf(): UserOf;
}

/** What a disk set's procedures share. */
export interface NfsService {
  readonly diskSet: DiskSet;
  readonly flusher: DataFlusher;
  readonly recentWrites: RecentWrites;
  changesOf(volume: Volume): ChangeQueue;
  /** An exception that costs one call: for the log. */
  onBug(error: unknown): void;
}

export interface NfsCall {
  readonly service: NfsService;
  readonly caller: Caller;
  /** At the arguments. */
  r: XdrReader;
  /** Behind the reply's header. */
  w: XdrWriter;
  /** Where in r.bytes the call begins (its XID). */
  callStart: number;
  procedure: number;
  /**
   * Answers later: returns what takes the results. A procedure that calls it writes nothing to `w` and returns
   * `later`.
   */
  answerLater(): AnswerListener;
}

/**
 * `later`: the procedure has called answerLater(). `refused`: no right to serve any more; nobody gets an answer.
 * `elsewhere`: it would have to wait for a disk, and this thread must not: the thread of the volume is to execute it.
 */
export type Outcome = 'answered' | 'later' | 'refused' | 'elsewhere';

export type Procedure = (call: NfsCall) => Outcome;

/** Reads a file handle and finds its file; or why the client can't have it. */
export function readFile(call: NfsCall): OpenFile | VolumeFailure {
  const { r } = call;
  const size = r.skipOpaque(NFS3_FHSIZE);
  const file = call.service.diskSet.resolve(r.bytes, r.position - paddedSize(size), size);
  if (typeof file === 'string') return file;
  return call.caller.allowed(file.tree) ? file : 'accessDenied';
}

/** What a call still has to do when it comes back later. An exception costs this call alone. */
export function contained(service: NfsService, answer: AnswerListener, work: () => void): void {
  try {
    work();
  } catch (error) {
    service.onBug(error);
    answer(null);
  }
}
