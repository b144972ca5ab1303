// Calls and their replies over a connection that fails over: gives out XIDs, encodes, matches, times.
import { beginRecord, endRecord } from '../protocol/record.ts';
import {
  accept_stat,
  auth_stat,
  decodeReplyHeader,
  encodeCallHeader,
  type opaque_auth,
  ReplyHeader,
} from '../protocol/rpc.ts';
import { paddedSize, XdrError, type XdrReader, XdrWriter } from '../protocol/xdr.ts';
import type { AttemptsOptions } from './attempts.ts';
import type { DiskSetIdentity } from './disk-set-identity.ts';
import { CallTimeout, ClientClosed, RpcError } from './errors.ts';
import { type ConnectionEvent, FailoverConnection } from './failover-connection.ts';
import { tell } from './listeners.ts';
import type { Resolver } from './resolver.ts';
import type { Endpoints, PortRole } from './transport-address.ts';

/** One procedure of one program, with the codecs of its two sides. */
export interface Procedure<Args, Res> {
  /** For messages: `WRITE`. */
  readonly name: string;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  /** All arguments, or all but the bytes that `payloadOf` returns. */
  readonly encodeArgs: (w: XdrWriter, args: Args) => void;
  /** Opaque data at the very end of the arguments that is sent from where it lies; its length word is encoded. */
  readonly payloadOf?: (args: Args) => Uint8Array;
  readonly decodeRes: (r: XdrReader) => Res;
}

/** A finished call, for who measures. Times are ms of performance.now(). */
export interface CallRecord {
  readonly xid: number;
  readonly name: string;
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
  /** Where the answer came from. */
  readonly port: PortRole | null;
}

export interface RpcClientOptions {
  readonly endpoints: Endpoints;
  readonly resolver: Resolver;
  readonly program: number;
  readonly version: number;
  readonly credential: opaque_auth;
  readonly identity?: DiskSetIdentity | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Longest wait for one reply; undefined, or more than 24.8 days, waits through any outage. */
  readonly timeoutMs?: number | undefined;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
  readonly onCall?: ((call: CallRecord) => void) | undefined;
}

interface Waiting {
  readonly name: string;
  readonly sentAtMs: number;
  readonly decodeRes: (r: XdrReader) => unknown;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout | null;
}

/** Longest time of a timer of Node (2^31 - 1), in ms. */
const TIMER_MS_MAX = 0x7fff_ffff;

/** Room for a header with AUTH_SYS and the arguments of every call but WRITE. Bytes. */
const CALL_SIZE = 512;
const NOTHING = new Uint8Array(0);
const ZEROS = new Uint8Array(4);

export class RpcClient {
  private readonly options: RpcClientOptions;
  private readonly connection: FailoverConnection;
  private readonly waiting = new Map<number, Waiting>();
  private readonly header = new ReplyHeader();
  private xid: number;
  private closed = false;

  constructor(options: RpcClientOptions) {
    this.options = options;
    // A random start: a client that begins anew must not repeat the XIDs of its last run, whose replies the
    // servers remember.
    this.xid = Math.floor(Math.random() * 2 ** 32);
    this.connection = new FailoverConnection({
      endpoints: options.endpoints,
      resolver: options.resolver,
      program: options.program,
      version: options.version,
      identity: options.identity,
      attempts: options.attempts,
      onReply: (xid, reply) => this.settle(xid, reply),
      onRefused: (xid) => this.refused(xid),
      onEvent: options.onEvent,
    });
    this.connection.start();
  }

  /**
   * Calls, and resolves with the decoded result, whatever happens to servers in between. Data in the arguments
   * must not be changed until then; data in a result may be a view of the received record.
   * Rejects with RpcError, CallTimeout or ClientClosed.
   */
  call<Args, Res>(procedure: Procedure<Args, Res>, args: Args): Promise<Res> {
    if (this.closed) return Promise.reject(new ClientClosed(procedure.name));
    const xid = this.nextXid();
    const w = new XdrWriter(CALL_SIZE);
    const mark = beginRecord(w);
    encodeCallHeader(
      w,
      xid,
      procedure.program,
      procedure.version,
      procedure.procedure,
      this.options.credential,
    );
    procedure.encodeArgs(w, args);
    const payload = procedure.payloadOf?.(args) ?? NOTHING;
    const padding = paddedSize(payload.length) - payload.length;
    endRecord(w, mark, payload.length + padding);
    return new Promise<Res>((resolve, reject) => {
      this.waiting.set(xid, {
        name: procedure.name,
        sentAtMs: performance.now(),
        decodeRes: procedure.decodeRes,
        resolve: resolve as (result: never) => void,
        reject,
        timer: this.armTimeout(xid, payload.length > 0),
      });
      if (payload.length === 0) this.connection.send(xid, w.written());
      else this.connection.send(xid, w.written(), payload, ZEROS.subarray(0, padding));
    });
  }

  /** Longest wait for one reply, in ms; Infinity: any outage is waited through. */
  get timeoutMs(): number {
    return this.options.timeoutMs ?? Number.POSITIVE_INFINITY;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.connection.port;
  }

  /** Calls without a reply yet. */
  get outstanding(): number {
    return this.waiting.size;
  }

  /** Ends the connection; outstanding calls reject with ClientClosed. */
  close(): void {
    this.closed = true;
    this.connection.close();
    for (const call of this.waiting.values()) {
      if (call.timer !== null) clearTimeout(call.timer);
      call.reject(new ClientClosed(call.name));
    }
    this.waiting.clear();
  }

  private nextXid(): number {
    do this.xid = (this.xid + 1) >>> 0;
    while (this.connection.isPending(this.xid));
    return this.xid;
  }

  /** `borrowed`: part of the call lies in the caller's memory, who may use it again when the call is over. */
  private armTimeout(xid: number, borrowed: boolean): NodeJS.Timeout | null {
    const { timeoutMs } = this.options;
    // Node's timers take longer times for a millisecond. This one is 24.8 days.
    if (timeoutMs === undefined || timeoutMs > TIMER_MS_MAX) return null;
    return setTimeout(() => {
      const call = this.waiting.get(xid)!;
      this.waiting.delete(xid);
      const { port } = this.connection;
      const why =
        port === null
          ? this.connection.describeFailure()
          : `the server is there (${port} port) but works on it still`;
      if (borrowed) this.connection.giveBack(xid);
      else this.connection.forget(xid);
      call.reject(new CallTimeout(call.name, timeoutMs, why));
    }, timeoutMs);
  }

  private report(xid: number, call: Waiting): void {
    const { onCall } = this.options;
    if (onCall === undefined) return;
    const { name, sentAtMs } = call;
    const { port } = this.connection;
    tell(onCall, { xid, name, sentAtMs, answeredAtMs: performance.now(), port });
  }

  private refused(xid: number): void {
    const call = this.waiting.get(xid);
    if (!call) return;
    this.waiting.delete(xid);
    if (call.timer !== null) clearTimeout(call.timer);
    call.reject(new RpcError(`${call.name}: the server closes the connection instead of an answer`));
  }

  private settle(xid: number, reply: XdrReader): void {
    const call = this.waiting.get(xid);
    if (!call) return;
    this.waiting.delete(xid);
    if (call.timer !== null) clearTimeout(call.timer);
    this.report(xid, call);
    try {
      decodeReplyHeader(reply, this.header);
      if (this.header.kind === 'success') call.resolve(call.decodeRes(reply) as never);
      else call.reject(new RpcError(`${call.name}: ${describeRefusal(this.header)}`));
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      call.reject(new RpcError(`${call.name}: the reply cannot be decoded: ${error.message}`));
    }
  }
}

function describeRefusal(header: ReplyHeader): string {
  switch (header.kind) {
    case 'success':
      return 'answered';
    case 'auth-error':
      return `the server refuses our credentials (${nameOf(auth_stat, header.authStat)})`;
    case 'rpc-mismatch':
      return `the server speaks RPC versions ${header.low} to ${header.high}`;
    case 'prog-mismatch':
      return `the server speaks versions ${header.low} to ${header.high} of this program`;
    case 'error':
      return `the server refuses the call (${nameOf(accept_stat, header.acceptStat)})`;
  }
}

function nameOf(names: Record<string, number>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}
