/**
 * From an RPC message to a reply (RFC 5531): header, credential, program, version, procedure. Errors of the protocol
 * have replies of the protocol; what is no call at all closes its connection, and only that.
 */
import { MOUNT_PROGRAM, mountproc3 } from '../../protocol/mount.ts';
import { NFS_PROGRAM, nfsproc3 } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import {
  accept_stat,
  auth_stat,
  CallHeader,
  decodeCallHeader,
  encodeAcceptedError,
  encodeAuthError,
  encodeProgMismatch,
  encodeRpcMismatch,
  encodeSuccessHeader,
} from '../../protocol/rpc.ts';
import {
  decodeAnnouncement,
  decodeHoldsArgs,
  decodeIdentity,
  encodeHoldsRes,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../../protocol/succession.ts';
import { XdrError, type XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import { MOUNT_PROCEDURE } from '../metrics/data-metrics.ts';
import type { Mounts } from '../mount/mount-list.ts';
import { MOUNT_VERSION_MAX, MOUNT_VERSION_MIN, type MountCall, mountProcedures } from '../mount/program.ts';
import type { NfsCall, NfsService, Outcome, Procedure } from '../nfs3/call.ts';
import { NFS_VERSION_MAX, NFS_VERSION_MIN } from '../nfs3/program.ts';
import type { AnswerListener } from '../storage/duplicate-requests/reply-cache.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import { EXPORT_AT } from '../storage/handles/file-handle.ts';
import type { ConnectionCaller } from './caller.ts';
import type { ForwardingConnection } from './forwarding-connection.ts';

export interface Programs {
  readonly nfs: NfsService;
  readonly nfsProcedures: readonly Procedure[];
  /** null: everything is executed where it arrives. */
  readonly forwarding: Forwarding | null;
  readonly diskSet: DiskSet;
  /** Numbers of exports, as in handles: for the figures of each. */
  readonly exportNumbers: readonly number[];
  readonly mounts: Mounts;
  /** Where users' groups are looked up; null: clients' credentials say them. */
  readonly groups: GroupDirectory | null;
  /** An exception that is no XdrError: a bug. The client gets SYSTEM_ERR. */
  readonly onBug: (error: unknown) => void;
}

/** Which NFS calls are executed by another thread. */
export interface Forwarding {
  /** null: here. bytes[at .. end) are the call's arguments. */
  routeOf(procedure: number, bytes: Uint8Array, at: number, end: number): Route | null;
  /** To the thread of the volume whose handle comes first in the arguments. */
  ofVolume(bytes: Uint8Array, at: number, end: number): Route;
}

/** The way to that thread. */
export interface Route extends HeldCalls {
  /** The call bytes[start .. end) of a connection; copied before this returns. */
  forward(
    connection: ForwardingConnection,
    bytes: Uint8Array,
    start: number,
    end: number,
    answer: AnswerListener,
  ): void;
}

/** Calls that wait for one volume, of all connections of a thread. */
export interface HeldCalls {
  heldSize: number;
}

/** Takes the answers of calls that are not answered at once. */
export interface LateAnswers extends ForwardingConnection {
  /** Of a procedure: its results are to be put behind a reply header. */
  answerLater(xid: number): AnswerListener;
  /** Of another thread: complete records. `size`: bytes of the call that wait with it, counted in `held`. */
  answerElsewhere(xid: number, size: number, held: HeldCalls): AnswerListener;
  /** The client that has this number goes on by this connection: what it left in others is not executed any more. */
  announced(client: Uint8Array): void;
  /** Has the message, in memory of its own, handled again when the user's groups are known. */
  waitForGroups(uid: number, message: Uint8Array): void;
}

/** Procedures whose last argument says how long the reply may become. */
const SIZED: readonly number[] = [nfsproc3.READ, nfsproc3.READDIR, nfsproc3.READDIRPLUS];
/** Bytes of any other NFS reply: attributes, a path of 4 KiB, headers. */
export const SHORT_REPLY_SIZE = 8 * 1024;
const SIZED_MAX = 1024 * 1024;

/** Of a record with a reply: accept_stat, and the results behind it (RFC 5531 §9). */
const ACCEPT_STAT_AT = 24;
const RESULTS_AT = 28;

/** Not one of the procedures that are counted. */
export const UNCOUNTED = -1;

/** One for each connection. */
export class Dispatcher {
  /** Of the call that was handled last, for the figures: see data-metrics.ts; UNCOUNTED. */
  procedure: number;
  /** Of its export, as in handles; -1 if it has no handle of an export. */
  exportNumber: number;
  /** Bytes that it is to write. */
  writeSize: number;
  readonly #programs: Programs;
  readonly #late: LateAnswers;
  readonly #caller: ConnectionCaller;
  readonly #header: CallHeader;
  readonly #nfsCall: NfsCall;
  readonly #mountCall: MountCall;
  /** Who is to be told the answer of the call that is handled, if it comes later. */
  #promised: AnswerListener | null;

  constructor(programs: Programs, caller: ConnectionCaller, r: XdrReader, w: XdrWriter, late: LateAnswers) {
    const header = new CallHeader();
    this.procedure = UNCOUNTED;
    this.exportNumber = -1;
    this.writeSize = 0;
    this.#programs = programs;
    this.#late = late;
    this.#caller = caller;
    this.#header = header;
    this.#promised = null;
    this.#nfsCall = {
      service: programs.nfs,
      caller,
      r,
      w,
      callStart: 0,
      procedure: 0,
      answerLater: () => this.#promise(late.answerLater(header.xid)),
    };
    const { host, port } = caller;
    this.#mountCall = { diskSet: programs.diskSet, mounts: programs.mounts, host, port, r, w };
  }

  #promise(answer: AnswerListener): AnswerListener {
    this.#promised = answer;
    return answer;
  }

  /** Room in bytes that the reply to the message at the reader's position may need. Reads nothing. */
  static replySize(r: XdrReader): number {
    const at = r.position;
    if (r.end - at < 28) return SHORT_REPLY_SIZE;
    const { bytes } = r;
    const procedure = (bytes[at + 22]! << 8) | bytes[at + 23]!;
    if (!SIZED.includes(procedure)) return SHORT_REPLY_SIZE;
    const { end } = r;
    const last =
      bytes[end - 4]! * 0x1000000 + ((bytes[end - 3]! << 16) | (bytes[end - 2]! << 8) | bytes[end - 1]!);
    return SHORT_REPLY_SIZE + Math.min(last, SIZED_MAX);
  }

  /**
   * Handles the message under `r`, writes a record with the reply to `w`. `later`: written by the AnswerListener.
   * `refused`: nothing may be answered any more. Throws XdrError: not a call; the connection has to be closed.
   */
  handle(r: XdrReader, w: XdrWriter): Outcome {
    const header = this.#header;
    const callStart = r.position;
    this.procedure = UNCOUNTED;
    this.exportNumber = -1;
    this.writeSize = 0;
    const verdict = decodeCallHeader(r, header);
    const start = beginRecord(w);
    switch (verdict) {
      case 'ok':
        break;
      case 'rpc-mismatch':
        encodeRpcMismatch(w, header.xid);
        return done(w, start);
      case 'bad-credential':
        encodeAuthError(w, header.xid, auth_stat.AUTH_BADCRED);
        return done(w, start);
      case 'bad-verifier':
        encodeAuthError(w, header.xid, auth_stat.AUTH_BADVERF);
        return done(w, start);
    }
    if (!this.#caller.take(r, header)) {
      encodeAuthError(w, header.xid, auth_stat.AUTH_BADCRED);
      return done(w, start);
    }
    if (this.#caller.waitsFor >= 0) {
      this.#late.waitForGroups(this.#caller.waitsFor, r.bytes.slice(callStart, r.end));
      w.position = start;
      return 'later';
    }
    const bodyStart = w.position;
    this.#promised = null;
    try {
      const outcome = this.#call(r, w, callStart);
      if (outcome === 'answered') return done(w, start);
      w.position = start;
      return outcome;
    } catch (error) {
      return this.#refuse(w, start, bodyStart, error);
    }
  }

  /** A call whose procedure has thrown. */
  #refuse(w: XdrWriter, start: number, bodyStart: number, error: unknown): Outcome {
    const malformed = error instanceof XdrError;
    if (!malformed) this.#programs.onBug(error);
    if (this.#promised !== null) {
      // It is counted as one that waits.
      w.position = start;
      this.#promised(null);
      return 'later';
    }
    w.position = bodyStart;
    encodeAcceptedError(w, this.#header.xid, malformed ? accept_stat.GARBAGE_ARGS : accept_stat.SYSTEM_ERR);
    return done(w, start);
  }

  #call(r: XdrReader, w: XdrWriter, callStart: number): Outcome {
    const header = this.#header;
    if (header.prog === NFS_PROGRAM) return this.#callNfs(r, w, callStart);
    if (header.prog === MOUNT_PROGRAM) return this.#callMount(r, w);
    if (header.prog === SUCCESSION_PROGRAM) return this.#callSuccession(r, w);
    encodeAcceptedError(w, header.xid, accept_stat.PROG_UNAVAIL);
    return 'answered';
  }

  #callNfs(r: XdrReader, w: XdrWriter, callStart: number): Outcome {
    const header = this.#header;
    const nfsCall = this.#nfsCall;
    if (header.vers < NFS_VERSION_MIN || header.vers > NFS_VERSION_MAX) {
      encodeProgMismatch(w, header.xid, NFS_VERSION_MIN, NFS_VERSION_MAX);
      return 'answered';
    }
    const procedure = this.#programs.nfsProcedures[header.proc];
    if (procedure === undefined) {
      encodeAcceptedError(w, header.xid, accept_stat.PROC_UNAVAIL);
      return 'answered';
    }
    this.#note(header.proc, r.bytes, r.position, r.end);
    const { forwarding } = this.#programs;
    const argumentsAt = r.position;
    const route = forwarding?.routeOf(header.proc, r.bytes, argumentsAt, r.end) ?? null;
    if (route !== null) {
      const late = this.#late;
      const answer = this.#promise(late.answerElsewhere(this.#header.xid, r.end - callStart, route));
      route.forward(late, r.bytes, callStart, r.end, answer);
      return 'later';
    }
    encodeSuccessHeader(w, header.xid);
    nfsCall.r = r;
    nfsCall.w = w;
    nfsCall.callStart = callStart;
    nfsCall.procedure = header.proc;
    const outcome = procedure(nfsCall);
    if (outcome !== 'elsewhere' || forwarding === null) return outcome;
    return this.#callElsewhere(r, callStart, argumentsAt, forwarding.ofVolume(r.bytes, argumentsAt, r.end));
  }

  /** It would have waited for a disk here. Next time this file is open, and most likely need not. */
  #callElsewhere(r: XdrReader, callStart: number, argumentsAt: number, route: Route): Outcome {
    const late = this.#late;
    const { diskSet } = this.#programs;
    r.position = argumentsAt;
    const size = r.u32();
    const file = diskSet.resolve(r.bytes, r.position, size);
    const answer = this.#promise(late.answerElsewhere(this.#header.xid, r.end - callStart, route));
    const answered = (reply: Uint8Array | null): void => {
      answer(reply);
      if (typeof file !== 'string' && reply !== null && succeeded(reply)) diskSet.becameWarm(file);
    };
    route.forward(late, r.bytes, callStart, r.end, answered);
    return 'later';
  }

  /** What the call is about, read off its arguments; bytes[at .. end). */
  #note(procedure: number, bytes: Uint8Array, at: number, end: number): void {
    this.procedure = procedure;
    const handle = at + 4;
    if (handle + EXPORT_AT + 4 > end) return;
    const number = wordAt(bytes, handle + EXPORT_AT);
    const { exportNumbers } = this.#programs;
    // Others are made up, or of exports that are no more.
    if (exportNumbers.includes(number)) this.exportNumber = number;
    if (procedure !== nfsproc3.WRITE) return;
    // WRITE3args: handle, offset, count.
    const count = handle + ((bytes[at + 3]! + 3) & ~3) + 8;
    if (count + 4 <= end) this.writeSize = wordAt(bytes, count);
  }

  #callSuccession(r: XdrReader, w: XdrWriter): Outcome {
    const { xid, vers, proc } = this.#header;
    if (vers !== SUCCESSION_VERSION) {
      encodeProgMismatch(w, xid, SUCCESSION_VERSION, SUCCESSION_VERSION);
      return 'answered';
    }
    switch (proc) {
      case successionproc1.NULL:
        encodeSuccessHeader(w, xid);
        break;
      case successionproc1.ANNOUNCE:
        this.#late.announced(decodeAnnouncement(r));
        encodeSuccessHeader(w, xid);
        break;
      case successionproc1.HOLDS: {
        const holds = this.#programs.diskSet.holds(decodeHoldsArgs(r));
        encodeSuccessHeader(w, xid);
        encodeHoldsRes(w, holds);
        break;
      }
      case successionproc1.IDENTIFY:
        this.#caller.identify(decodeIdentity(r));
        encodeSuccessHeader(w, xid);
        break;
      default:
        encodeAcceptedError(w, xid, accept_stat.PROC_UNAVAIL);
    }
    return 'answered';
  }

  #callMount(r: XdrReader, w: XdrWriter): Outcome {
    const header = this.#header;
    const mountCall = this.#mountCall;
    if (header.vers < MOUNT_VERSION_MIN || header.vers > MOUNT_VERSION_MAX) {
      encodeProgMismatch(w, header.xid, MOUNT_VERSION_MIN, MOUNT_VERSION_MAX);
      return 'answered';
    }
    const procedure = mountProcedures[header.proc];
    this.procedure = MOUNT_PROCEDURE;
    if (procedure === undefined || header.proc > mountproc3.EXPORT) {
      encodeAcceptedError(w, header.xid, accept_stat.PROC_UNAVAIL);
      return 'answered';
    }
    encodeSuccessHeader(w, header.xid);
    mountCall.r = r;
    mountCall.w = w;
    procedure(mountCall);
    return 'answered';
  }
}

/** Of a whole record: accepted, and NFS3_OK. */
function succeeded(record: Uint8Array): boolean {
  return (
    record.length > RESULTS_AT + 4 && wordAt(record, ACCEPT_STAT_AT) === 0 && wordAt(record, RESULTS_AT) === 0
  );
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function done(w: XdrWriter, start: number): Outcome {
  endRecord(w, start);
  return 'answered';
}
