/**
 * From an RPC message to a reply (RFC 5531): header, credential, program, version, procedure. Errors of the protocol
 * have replies of the protocol; what is not a valid RPC message closes its connection, and only that.
 */
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
import { XdrError, type XdrReader, type XdrWriter } from '../../protocol/xdr.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import { FAILED_INTERNALLY, REFUSED } from '../metrics/data-metrics.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import { EXPORT_AT } from '../storage/handles/file-handle.ts';
import type { ConnectionCaller } from './caller.ts';
import type { ForwardingConnection } from './forwarding-connection.ts';
import {
  LATER,
  LEASE_EXPIRED,
  type RpcCall,
  type RpcProcedure,
  type RpcRegistry,
  UNMETERED,
  WOULD_BLOCK,
} from './rpc-program.ts';

export interface Services {
  readonly registry: RpcRegistry;
  /** null: everything is executed where it arrives. */
  readonly forwarding: Forwarding | null;
  /** Is it the number of an export, as in handles? For the figures of each. */
  readonly isExport: (number: number) => boolean;
  /** Where users' groups are looked up; null: clients' credentials say them. */
  readonly groups: GroupDirectory | null;
  /** An exception that is no XdrError: a bug. The client gets SYSTEM_ERR. */
  readonly onBug: (error: unknown) => void;
}

/** Which calls another thread executes. */
export interface Forwarding {
  /** null: here. bytes[at .. end) are the call's arguments. */
  routeOf(procedure: RpcProcedure, bytes: Uint8Array, at: number, end: number): Route | null;
  /** To the thread of the volume whose handle comes first in the arguments: the call WOULD_BLOCK here. */
  ofVolume(bytes: Uint8Array, at: number, end: number): Route;
  /** Called when such a call has succeeded there: the next one mostly need not wait. null: nothing to call. */
  whenUnblocked(bytes: Uint8Array, at: number, end: number): (() => void) | null;
}

/** The way to that thread. */
export interface Route extends HeldCalls {
  /** The call bytes[start .. end) of a connection; copied before this returns. */
  forward(
    connection: ForwardingConnection,
    bytes: Uint8Array,
    start: number,
    end: number,
    reply: ReplyListener,
  ): void;
}

/** Calls that wait for one volume, of all connections of a thread. */
export interface HeldCalls {
  heldSize: number;
}

/** Takes the replies to calls that are not answered at once. */
export interface LateReplies extends ForwardingConnection {
  /** Listener for a procedure: its results are put behind a reply header. */
  answerLater(xid: number): ReplyListener;
  /** Listener for another thread, which gives complete records. `size`: bytes of the call that wait with it, counted in `held`. */
  answerForwarded(xid: number, size: number, held: HeldCalls): ReplyListener;
  /** See RpcCall. */
  announced(client: Uint8Array): void;
  /** Has the message, in memory of its own, handled again when the user's groups are known. */
  waitForGroups(uid: number, message: Uint8Array): void;
}

/** `refused`: no right to serve any more; nothing may be answered. */
export type Handled = 'answered' | 'later' | 'refused';

/** One for each connection. */
export class Dispatcher {
  /** Procedure of the call that was handled last. null: no procedure of ours. */
  procedure: RpcProcedure | null = null;
  /** Its line of the metrics, or UNMETERED. */
  meter: number = UNMETERED;
  /** Number of its export, as in handles; -1 if it has no handle of an export. */
  exportNumber = -1;
  /** If it was answered: of its results, or REFUSED or FAILED_INTERNALLY if it has none. */
  status: number = REFUSED;
  /** If it was answered: bytes of data that it has moved. */
  byteCount = 0;
  readonly #services: Services;
  readonly #late: LateReplies;
  readonly #caller: ConnectionCaller;
  readonly #header = new CallHeader();
  readonly #call: RpcCall;
  /** Listener for the reply to the call that is handled, if it comes later. */
  #promised: ReplyListener | null = null;

  constructor(services: Services, caller: ConnectionCaller, r: XdrReader, w: XdrWriter, late: LateReplies) {
    this.#services = services;
    this.#late = late;
    this.#caller = caller;
    this.#call = {
      caller,
      r,
      w,
      callStart: 0,
      byteCount: 0,
      announced: (client) => late.announced(client),
      answerLater: () => this.#promise(late.answerLater(this.#header.xid)),
    };
  }

  #promise(reply: ReplyListener): ReplyListener {
    this.#promised = reply;
    return reply;
  }

  /** Handles the message under `r`, writes a record with the reply to `w`. Throws XdrError: not a call; the connection has to be closed. */
  handle(r: XdrReader, w: XdrWriter): Handled {
    const header = this.#header;
    const callStart = r.position;
    this.procedure = null;
    this.meter = UNMETERED;
    this.exportNumber = -1;
    this.status = REFUSED;
    this.byteCount = 0;
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
      const outcome = this.#execute(r, w, callStart);
      if (outcome === 'answered') return done(w, start);
      w.position = start;
      return outcome;
    } catch (error) {
      return this.#refuse(w, start, bodyStart, error);
    }
  }

  /** A call whose procedure has thrown. */
  #refuse(w: XdrWriter, start: number, bodyStart: number, error: unknown): Handled {
    const malformed = error instanceof XdrError;
    if (!malformed) this.#services.onBug(error);
    if (this.#promised !== null) {
      // It is counted as one that waits.
      w.position = start;
      this.#promised(null, FAILED_INTERNALLY, 0);
      return 'later';
    }
    this.status = malformed ? REFUSED : FAILED_INTERNALLY;
    w.position = bodyStart;
    encodeAcceptedError(w, this.#header.xid, malformed ? accept_stat.GARBAGE_ARGS : accept_stat.SYSTEM_ERR);
    return done(w, start);
  }

  #execute(r: XdrReader, w: XdrWriter, callStart: number): Handled {
    const header = this.#header;
    const { registry, forwarding } = this.#services;
    const version = registry.find(header.prog, header.vers);
    if (version === null) {
      const range = registry.range(header.prog);
      if (range === null) encodeAcceptedError(w, header.xid, accept_stat.PROG_UNAVAIL);
      else encodeProgMismatch(w, header.xid, range.low, range.high);
      return 'answered';
    }
    const procedure = version.procedures[header.proc];
    if (procedure === undefined) {
      this.meter = version.meter;
      encodeAcceptedError(w, header.xid, accept_stat.PROC_UNAVAIL);
      return 'answered';
    }
    this.procedure = procedure;
    this.meter = procedure.meter;
    if (procedure.handles !== 'none') this.#noteExport(r);
    const argumentsAt = r.position;
    const route = forwarding?.routeOf(procedure, r.bytes, argumentsAt, r.end) ?? null;
    if (route !== null) return this.#forward(r, callStart, route, null);
    encodeSuccessHeader(w, header.xid);
    const call = this.#call;
    call.r = r;
    call.w = w;
    call.callStart = callStart;
    call.byteCount = 0;
    const outcome = procedure.execute(call);
    if (outcome >= 0) {
      this.status = outcome;
      this.byteCount = call.byteCount;
      return 'answered';
    }
    if (outcome === LATER) return 'later';
    if (outcome === LEASE_EXPIRED) return 'refused';
    if (outcome !== WOULD_BLOCK || forwarding === null)
      throw new Error(`${procedure.name}: outcome ${outcome} is none of this thread`);
    const unblocked = forwarding.whenUnblocked(r.bytes, argumentsAt, r.end);
    return this.#forward(r, callStart, forwarding.ofVolume(r.bytes, argumentsAt, r.end), unblocked);
  }

  #forward(r: XdrReader, callStart: number, route: Route, unblocked: (() => void) | null): Handled {
    const late = this.#late;
    const reply = this.#promise(late.answerForwarded(this.#header.xid, r.end - callStart, route));
    const listener: ReplyListener =
      unblocked === null
        ? reply
        : (results, status, byteCount) => {
            reply(results, status, byteCount);
            if (status === 0) unblocked();
          };
    route.forward(late, r.bytes, callStart, r.end, listener);
    return 'later';
  }

  /** Which export the call is about, by the handle that its arguments begin with. */
  #noteExport(r: XdrReader): void {
    const at = r.position + 4 + EXPORT_AT;
    if (at + 4 > r.end) return;
    const number = r.wordAt(at);
    // Others are made up, or of exports that are no more.
    if (this.#services.isExport(number)) this.exportNumber = number;
  }
}

function done(w: XdrWriter, start: number): Handled {
  endRecord(w, start);
  return 'answered';
}
