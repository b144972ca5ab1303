/**
 * RPC programs (RFC 5531) as the server sees them: for each procedure of each version everything but its arguments and results.
 * Connections, dispatcher, forwarding to other threads and metrics read it here and nowhere else.
 */
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import type { Caller } from './caller.ts';

/** One call as a procedure sees it: arguments to read, results to write, and who asks. Reused for every call of a connection. */
export interface RpcCall {
  readonly caller: Caller;
  /** At the arguments. */
  r: XdrReader;
  /** Results are written here, behind the reply's header. */
  w: XdrWriter;
  /** Offset of the call (its XID) in r.bytes. */
  callStart: number;
  /** Bytes of data that the call has moved, for READ and WRITE. Set by the procedure; 0 before. */
  byteCount: number;
  /** The client that has this number goes on by this connection: what it left in others is not executed any more. */
  announced(client: Uint8Array): void;
  /** Answers later. A procedure that calls it writes nothing to `w` and returns LATER. */
  answerLater(): ReplyListener;
}

/** Result of a procedure: the status of the results that it has written (0: success), or one of these. */
export type Outcome = number;
/** It has called answerLater(). */
export const LATER = -10;
/** The right to serve has ended: no reply may be sent. */
export const LEASE_EXPIRED = -11;
/** It would have to wait for a disk, and this thread must not: the thread of the volume is to execute it. Nothing was written. */
export const WOULD_BLOCK = -12;

/**
 * connection: in the thread of the connection. volume: in the thread that changes the volume. either: in the thread of the
 * connection, until it finds that it WOULD_BLOCK.
 */
export type RunsIn = 'connection' | 'volume' | 'either';

/** File handles that the arguments begin with: none, one, two in a row, or two with a name between them. */
export type Handles = 'none' | 'one' | 'two' | 'twoAroundName';

export interface RpcProcedure {
  readonly name: string;
  /** Line of the metrics (data-metrics.ts); UNMETERED: not counted. */
  readonly meter: number;
  readonly runsIn: RunsIn;
  readonly handles: Handles;
  /** The last argument says how many bytes the reply may have; otherwise it is a short one. */
  readonly isSized: boolean;
  /** Which way the data goes that RpcCall.byteCount counts. */
  readonly moves: 'nothing' | 'read' | 'written';
  /** It may take milliseconds: others have their turn behind it. */
  readonly isLong: boolean;
  execute(call: RpcCall): Outcome;
}

export const UNMETERED = -1;

export interface RpcVersion {
  readonly program: number;
  readonly version: number;
  /** The index is the procedure's number; absent: PROC_UNAVAIL. */
  readonly procedures: readonly (RpcProcedure | undefined)[];
  /** Line of the metrics for calls of procedures that do not exist. */
  readonly meter: number;
}

/** Bytes of a short reply: attributes, a path of 4 KiB, headers. */
export const SHORT_REPLY_SIZE = 8 * 1024;
const SIZED_MAX = 1024 * 1024;
/** Offset of program, version and procedure in a call's header (RFC 5531 §9). */
const PROGRAM_AT = 12;
const HEADER_SIZE = 28;

/** The programs and versions of one disk set. */
export class RpcRegistry {
  readonly #versions: readonly RpcVersion[];

  constructor(versions: readonly RpcVersion[]) {
    this.#versions = versions;
  }

  find(program: number, version: number): RpcVersion | null {
    for (const one of this.#versions) if (one.program === program && one.version === version) return one;
    return null;
  }

  /** Lowest and highest version of a program; null: it is not served. */
  range(program: number): { readonly low: number; readonly high: number } | null {
    const versions = this.#versions.filter((one) => one.program === program).map(({ version }) => version);
    return versions.length === 0 ? null : { low: Math.min(...versions), high: Math.max(...versions) };
  }

  /** Room in bytes that the reply to the message at the reader's position may need. Reads nothing. */
  replySize(r: XdrReader): number {
    const at = r.position + PROGRAM_AT;
    if (r.end - r.position < HEADER_SIZE) return SHORT_REPLY_SIZE;
    const version = this.find(r.wordAt(at), r.wordAt(at + 4));
    if (version?.procedures[r.wordAt(at + 8)]?.isSized !== true) return SHORT_REPLY_SIZE;
    return SHORT_REPLY_SIZE + Math.min(r.wordAt(r.end - 4), SIZED_MAX);
  }
}
