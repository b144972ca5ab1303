/**
 * ONC RPC version 2 (RFC 5531): the headers of calls and replies, in both directions, and the two authentication flavors that
 * NFSv3 lives on, AUTH_NONE and AUTH_SYS.
 */

import type { XdrReader, XdrWriter } from './xdr.ts';
import { XdrError, xdrFault } from './xdr.ts';

// Headers are decoded into an object that the caller keeps and reuses: a server decodes one for each call. What the protocol has
// an answer for is a value (a wrong RPC version, a bad credential). A message that is not a valid RPC message is an XdrError,
// after which only the connection can be closed.

export const RPC_VERSION = 2;

// RFC 5531 §9: msg_type, reply_stat, accept_stat, reject_stat, auth_stat.
export const CALL = 0;
export const REPLY = 1;
export const MSG_ACCEPTED = 0;
export const MSG_DENIED = 1;

export const accept_stat = {
  SUCCESS: 0,
  PROG_UNAVAIL: 1,
  PROG_MISMATCH: 2,
  PROC_UNAVAIL: 3,
  GARBAGE_ARGS: 4,
  SYSTEM_ERR: 5,
} as const;
export type accept_stat = (typeof accept_stat)[keyof typeof accept_stat];

export const reject_stat = { RPC_MISMATCH: 0, AUTH_ERROR: 1 } as const;
export type reject_stat = (typeof reject_stat)[keyof typeof reject_stat];

export const auth_stat = {
  AUTH_OK: 0,
  AUTH_BADCRED: 1,
  AUTH_REJECTEDCRED: 2,
  AUTH_BADVERF: 3,
  AUTH_REJECTEDVERF: 4,
  AUTH_TOOWEAK: 5,
  AUTH_INVALIDRESP: 6,
  AUTH_FAILED: 7,
} as const;
export type auth_stat = (typeof auth_stat)[keyof typeof auth_stat];

// RFC 5531 §8.2 and the IANA registry: authentication flavors.
export const AUTH_NONE = 0;
export const AUTH_SYS = 1;
export const AUTH_SHORT = 2;
export const AUTH_DH = 3;
export const RPCSEC_GSS = 6;

/** RFC 5531 §8.2: opaque_auth.body<400>. Bytes. */
export const AUTH_BODY_SIZE_MAX = 400;
/** RFC 5531 appendix A: authsys_parms.machinename<255>. Bytes. */
export const AUTH_SYS_MACHINENAME_SIZE_MAX = 255;
/** RFC 5531 appendix A: authsys_parms.gids<16>. */
export const AUTH_SYS_GIDS_MAX = 16;

/** A call's header, filled by decodeCallHeader. Positions are indices into the reader's buffer. */
export class CallHeader {
  xid = 0;
  rpcvers = 0;
  prog = 0;
  vers = 0;
  proc = 0;
  credFlavor = AUTH_NONE;
  /** The credential's body, without its length word. */
  credStart = 0;
  credSize = 0;
  verfFlavor = AUTH_NONE;
  /** Offset of the arguments. */
  argumentsStart = 0;
}

/**
 * A server's verdict on the header: `ok` dispatches it; each of the others has a reply of its own
 * (RPC_MISMATCH, AUTH_ERROR with AUTH_BADCRED, AUTH_ERROR with AUTH_BADVERF).
 */
export type CallHeaderVerdict = 'ok' | 'rpc-mismatch' | 'bad-credential' | 'bad-verifier';

/**
 * Decodes RFC 5531 §9 call_body up to the arguments. With any verdict but `ok` only the fields up to the
 * offending one are meaningful; xid always is. XdrError: not a call, or cut off before its verifier.
 */
export function decodeCallHeader(r: XdrReader, into: CallHeader): CallHeaderVerdict {
  into.xid = r.u32();
  const type = r.u32();
  if (type !== CALL) throw new XdrError(xdrFault.badMessage, `message type ${type} where a call is expected`);
  into.rpcvers = r.u32();
  if (into.rpcvers !== RPC_VERSION) return 'rpc-mismatch';
  into.prog = r.u32();
  into.vers = r.u32();
  into.proc = r.u32();
  into.credFlavor = r.u32();
  const credSize = r.u32();
  if (credSize > AUTH_BODY_SIZE_MAX) return 'bad-credential';
  into.credStart = r.position;
  into.credSize = credSize;
  skipBody(r, credSize);
  into.verfFlavor = r.u32();
  const verfSize = r.u32();
  if (verfSize > AUTH_BODY_SIZE_MAX) return 'bad-verifier';
  skipBody(r, verfSize);
  into.argumentsStart = r.position;
  return 'ok';
}

function skipBody(r: XdrReader, size: number): void {
  const padded = (size + 3) & ~3;
  if (padded > r.remaining) {
    throw new XdrError(xdrFault.truncated, `${size} bytes of authentication where ${r.remaining} are left`);
  }
  r.position += padded;
}

/** RFC 5531 appendix A: authsys_parms. `machinename` is bytes; nobody promises an encoding. */
export interface authsys_parms {
  stamp: number;
  machinename: Uint8Array;
  uid: number;
  gid: number;
  gids: number[];
}

/**
 * Decodes an AUTH_SYS body of `size` bytes at `start` of the reader's buffer and leaves the reader where it was. Null: the body
 * breaks a limit or its own length, which a server answers with AUTH_BADCRED.
 */
export function decodeAuthSys(r: XdrReader, start: number, size: number): authsys_parms | null {
  const { position, end } = r;
  if (start + size > r.bytes.length) return null;
  r.position = start;
  r.end = start + size;
  try {
    const stamp = r.u32();
    const machinename = r.opaque(AUTH_SYS_MACHINENAME_SIZE_MAX);
    const uid = r.u32();
    const gid = r.u32();
    const gidCount = r.u32();
    if (gidCount > AUTH_SYS_GIDS_MAX) return null;
    const gids: number[] = [];
    for (let i = 0; i < gidCount; i++) gids.push(r.u32());
    if (r.position !== r.end) return null;
    return { stamp, machinename, uid, gid, gids };
  } catch (error) {
    if (error instanceof XdrError) return null;
    throw error;
  } finally {
    r.position = position;
    r.end = end;
  }
}

/** A credential with the body already encoded: a client has one for thousands of calls. */
export interface opaque_auth {
  flavor: number;
  body: Uint8Array;
}

export const AUTH_NONE_CREDENTIAL: opaque_auth = { flavor: AUTH_NONE, body: new Uint8Array(0) };

/** RangeError when a limit of RFC 5531 appendix A is exceeded: what is ours to send is ours to check. */
export function authSysCredential(parms: authsys_parms, w: XdrWriter): opaque_auth {
  if (parms.machinename.length > AUTH_SYS_MACHINENAME_SIZE_MAX) {
    throw new RangeError(
      `machine name of ${parms.machinename.length} bytes, allowed are ${AUTH_SYS_MACHINENAME_SIZE_MAX}`,
    );
  }
  if (parms.gids.length > AUTH_SYS_GIDS_MAX) {
    throw new RangeError(`${parms.gids.length} groups, AUTH_SYS carries ${AUTH_SYS_GIDS_MAX}`);
  }
  const start = w.position;
  w.u32(parms.stamp);
  w.opaque(parms.machinename);
  w.u32(parms.uid);
  w.u32(parms.gid);
  w.u32(parms.gids.length);
  for (const gid of parms.gids) w.u32(gid);
  const body = w.bytes.slice(start, w.position);
  w.position = start;
  return { flavor: AUTH_SYS, body };
}

/** RFC 5531 §9 call_body up to the arguments, with an AUTH_NONE verifier. */
export function encodeCallHeader(
  w: XdrWriter,
  xid: number,
  prog: number,
  vers: number,
  proc: number,
  credential: opaque_auth,
): void {
  w.u32(xid);
  w.u32(CALL);
  w.u32(RPC_VERSION);
  w.u32(prog);
  w.u32(vers);
  w.u32(proc);
  w.u32(credential.flavor);
  w.opaque(credential.body);
  w.u32(AUTH_NONE);
  w.u32(0);
}

/** Bytes of an accepted reply's header when the verifier is AUTH_NONE; the results follow. */
export const ACCEPTED_HEADER_SIZE = 24;

/** SUCCESS: the procedure's results follow. The hot one. */
export function encodeSuccessHeader(w: XdrWriter, xid: number): void {
  encodeAcceptedHeader(w, xid, accept_stat.SUCCESS);
}

function encodeAcceptedHeader(w: XdrWriter, xid: number, stat: accept_stat): void {
  w.u32(xid);
  w.u32(REPLY);
  w.u32(MSG_ACCEPTED);
  w.u32(AUTH_NONE);
  w.u32(0);
  w.u32(stat);
}

/** The accepted replies that carry nothing. */
export type accept_stat_void = Exclude<
  accept_stat,
  typeof accept_stat.SUCCESS | typeof accept_stat.PROG_MISMATCH
>;

/** PROG_UNAVAIL, PROC_UNAVAIL, GARBAGE_ARGS or SYSTEM_ERR: complete replies. */
export function encodeAcceptedError(w: XdrWriter, xid: number, stat: accept_stat_void): void {
  encodeAcceptedHeader(w, xid, stat);
}

/** PROG_MISMATCH with the lowest and highest version of the program that is served. */
export function encodeProgMismatch(w: XdrWriter, xid: number, low: number, high: number): void {
  encodeAcceptedHeader(w, xid, accept_stat.PROG_MISMATCH);
  w.u32(low);
  w.u32(high);
}

/** RPC_MISMATCH: the call was not RPC version 2. */
export function encodeRpcMismatch(w: XdrWriter, xid: number): void {
  w.u32(xid);
  w.u32(REPLY);
  w.u32(MSG_DENIED);
  w.u32(reject_stat.RPC_MISMATCH);
  w.u32(RPC_VERSION);
  w.u32(RPC_VERSION);
}

/** AUTH_ERROR: the credential was refused (RFC 5531 §9). `xid`: of the call. */
export function encodeAuthError(w: XdrWriter, xid: number, stat: auth_stat): void {
  w.u32(xid);
  w.u32(REPLY);
  w.u32(MSG_DENIED);
  w.u32(reject_stat.AUTH_ERROR);
  w.u32(stat);
}

/**
 * A reply's header, filled by decodeReplyHeader. `kind` says which fields count:
 * success: the results follow at the reader's position · error: acceptStat ·
 * prog-mismatch, rpc-mismatch: low, high · auth-error: authStat.
 */
export class ReplyHeader {
  xid = 0;
  kind: 'success' | 'error' | 'prog-mismatch' | 'rpc-mismatch' | 'auth-error' = 'success';
  acceptStat: accept_stat = accept_stat.SUCCESS;
  authStat: auth_stat = auth_stat.AUTH_OK;
  low = 0;
  high = 0;
}

/** RFC 5531 §9 reply_body. XdrError: not a reply, cut off, or a status the RFC does not know. */
export function decodeReplyHeader(r: XdrReader, into: ReplyHeader): void {
  into.xid = r.u32();
  const type = r.u32();
  if (type !== REPLY)
    throw new XdrError(xdrFault.badMessage, `message type ${type} where a reply is expected`);
  if (r.enumWithin('reply_stat', MSG_ACCEPTED, MSG_DENIED) === MSG_ACCEPTED) decodeAccepted(r, into);
  else decodeDenied(r, into);
}

function decodeAccepted(r: XdrReader, into: ReplyHeader): void {
  r.u32();
  r.skipOpaque(AUTH_BODY_SIZE_MAX);
  const stat = r.enumWithin('accept_stat', accept_stat.SUCCESS, accept_stat.SYSTEM_ERR) as accept_stat;
  into.acceptStat = stat;
  if (stat === accept_stat.SUCCESS) {
    into.kind = 'success';
  } else if (stat === accept_stat.PROG_MISMATCH) {
    into.kind = 'prog-mismatch';
    into.low = r.u32();
    into.high = r.u32();
  } else {
    into.kind = 'error';
  }
}

function decodeDenied(r: XdrReader, into: ReplyHeader): void {
  if (
    r.enumWithin('reject_stat', reject_stat.RPC_MISMATCH, reject_stat.AUTH_ERROR) === reject_stat.AUTH_ERROR
  ) {
    into.kind = 'auth-error';
    into.authStat = r.enumWithin('auth_stat', auth_stat.AUTH_OK, 14) as auth_stat;
    return;
  }
  into.kind = 'rpc-mismatch';
  into.low = r.u32();
  into.high = r.u32();
}

/** The transaction identifier of a message without touching the reader; calls and replies both begin with it. */
export function peekXid(r: XdrReader): number {
  const xid = r.u32();
  r.position -= 4;
  return xid;
}
