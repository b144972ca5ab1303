/** Calls and their replies over a connection that fails over: gives out XIDs, encodes, matches, times. */
import { performance } from 'node:perf_hooks';
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
import type { AttemptsOptions } from './attempts-state.ts';
import type { ConnectionEvent } from './connection-event.ts';
import type { DiskSetIdentity } from './disk-set-identity.ts';
import { CallTimeout, ClientClosed, type ErrorContext, RpcError } from './errors.ts';
import { FailoverConnection } from './failover-connection.ts';
import { tell } from './listeners.ts';
import type { Operation } from './operation.ts';
import type { ReservedPorts } from './reserved-ports.ts';
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

/** A finished call. Times are ms of performance.now(). */
export interface CallRecord {
  /** Transaction ID (RFC 5531 §9). */
  readonly xid: number;
  /** Name of the procedure: `GETATTR`. */
  readonly name: string;
  /** When the call was made. */
  readonly sentAtMs: number;
  /** When its reply came. */
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
  readonly clientIdentity?: Uint8Array | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Connections are opened from local ports below 1024, if this process may. Absent: from any. */
  readonly ports?: ReservedPorts | undefined;
  /** Longest wait for one reply, in ms; undefined, or more than 24.8 days, waits through any outage. */
  readonly callTimeoutMs?: number | undefined;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
  readonly onCall?: ((call: CallRecord) => void) | undefined;
  /** Asked after each call, so that what nobody hears of costs nothing. Default: true. */
  readonly isCallHeard?: (() => boolean) | undefined;
}

interface Waiting {
  readonly name: string;
  readonly operation: Operation | undefined;
  readonly sentAtMs: number;
  /** Part of the call lies in the caller's memory, who may use it again when the call is over. */
  readonly borrowed: boolean;
  readonly decodeRes: (r: XdrReader) => unknown;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  timer: NodeJS.Timeout | null;
  /** Listens to the operation's signal. */
  onAbort: (() => void) | null;
}

/** Longest time of a timer of Node (2^31 - 1), in ms. */
const TIMER_MS_MAX = 0x7fff_ffff;

/** Room for a header with AUTH_SYS and the arguments of every call but WRITE. Bytes. */
const CALL_SIZE = 512;
/** Memory that calls lie in one behind the other, until all of them are answered. Bytes. */
const CALLS_SIZE = 16 * 1024;
/** Larger ones are objects to the engine: a map of them is slower, and each costs memory. */
const XID_MAX = 0x7fff_ffff;
const NOTHING = new Uint8Array(0);
const ZEROS = new Uint8Array(4);

export class RpcClient {
  readonly #options: RpcClientOptions;
  readonly #connection: FailoverConnection;
  readonly #waiting = new Map<number, Waiting>();
  readonly #header = new ReplyHeader();
  readonly #w = new XdrWriter(CALLS_SIZE);
  #xid: number;
  #closed = false;
  #idleRef = true;
  #idleWaiters: (() => void)[] = [];

  constructor(options: RpcClientOptions) {
    this.#options = options;
    // A random start: a client that restarts must not repeat the XIDs of its last run, whose replies the
    // servers remember.
    this.#xid = Math.floor(Math.random() * XID_MAX);
    this.#connection = new FailoverConnection({
      endpoints: options.endpoints,
      resolver: options.resolver,
      program: options.program,
      version: options.version,
      identity: options.identity,
      clientIdentity: options.clientIdentity,
      attempts: options.attempts,
      ports: options.ports,
      onReply: (xid, reply) => this.#settle(xid, reply),
      onRefused: (xid) => this.#refused(xid),
      onEvent: options.onEvent,
    });
    this.#connection.start();
  }

  /**
   * Calls, and resolves with the decoded result, whatever happens to servers in between. Data in the arguments
   * must not be changed until then; data in a result may be a view of the received record.
   * Rejects with RpcError, CallTimeout, AbortError or ClientClosed.
   */
  call<Args, Res>(procedure: Procedure<Args, Res>, args: Args, operation?: Operation): Promise<Res> {
    if (this.#closed) return Promise.reject(new ClientClosed(contextOf(operation)));
    if (operation?.signal?.aborted === true) return Promise.reject(operation.aborted());
    const timeoutMs = this.timeoutMs(operation);
    if (timeoutMs <= 0) return Promise.reject(this.#timeout(procedure.name, operation, timeoutMs));
    const xid = this.#nextXid();
    const w = this.#w;
    if (w.position + CALL_SIZE > CALLS_SIZE) w.renew(CALLS_SIZE);
    const mark = beginRecord(w);
    encodeCallHeader(
      w,
      xid,
      procedure.program,
      procedure.version,
      procedure.procedure,
      this.#options.credential,
    );
    procedure.encodeArgs(w, args);
    const payload = procedure.payloadOf?.(args) ?? NOTHING;
    const padding = paddedSize(payload.length) - payload.length;
    endRecord(w, mark, payload.length + padding);
    const record = w.written(mark);
    return new Promise<Res>((resolve, reject) => {
      const waiting: Waiting = {
        name: procedure.name,
        operation,
        sentAtMs: performance.now(),
        borrowed: payload.length > 0,
        decodeRes: procedure.decodeRes,
        resolve: resolve as (result: never) => void,
        reject,
        timer: null,
        onAbort: null,
      };
      this.#waiting.set(xid, waiting);
      this.#limit(xid, waiting, timeoutMs);
      if (this.#waiting.size === 1) this.#keepAlive();
      if (payload.length === 0) this.#connection.send(xid, record);
      else this.#connection.send(xid, record, payload, ZEROS.subarray(0, padding));
    });
  }

  /** Longest wait for a reply from now on, in ms; not positive: the operation has no time left. Infinity: any outage. */
  timeoutMs(operation: Operation | undefined, now?: number): number {
    const callTimeoutMs = operation?.callTimeoutMs ?? this.#options.callTimeoutMs ?? Number.POSITIVE_INFINITY;
    if (operation === undefined || operation.deadlineMs === Number.POSITIVE_INFINITY) return callTimeoutMs;
    return Math.min(callTimeoutMs, operation.deadlineMs - (now ?? performance.now()));
  }

  /** False: the connection keeps the process alive only while a call waits for its reply. */
  setRef(ref: boolean): void {
    this.#idleRef = ref;
    this.#keepAlive();
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#connection.port;
  }

  /** Calls without a reply yet. */
  get outstanding(): number {
    return this.#waiting.size;
  }

  /** Resolves when no call waits for its reply any more. */
  idle(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** True if no name of the server has ever had an address, and the resolver says that none of them exists. */
  get isNameUnknown(): boolean {
    return this.#connection.isNameUnknown;
  }

  /** One sentence on why nothing is reached. */
  describeFailure(): string {
    return this.#connection.describeFailure();
  }

  /** Ends the connection; outstanding calls reject with `error`, by default ClientClosed. */
  close(error?: Error): void {
    this.#closed = true;
    this.#connection.close();
    for (const [xid, call] of this.#waiting) {
      this.#forget(xid, call);
      call.reject(error ?? new ClientClosed(contextOf(call.operation)));
    }
  }

  #nextXid(): number {
    do this.#xid = (this.#xid + 1) & XID_MAX;
    while (this.#connection.isPending(this.#xid));
    return this.#xid;
  }

  #limit(xid: number, call: Waiting, timeoutMs: number): void {
    // Node's timers take longer times for a millisecond. This one is 24.8 days.
    if (timeoutMs <= TIMER_MS_MAX) {
      call.timer = setTimeout(() => {
        const error = this.#timeout(call.name, call.operation, timeoutMs);
        this.#giveUp(xid, call);
        call.reject(error);
      }, timeoutMs);
    }
    const { operation } = call;
    if (operation?.signal === undefined) return;
    call.onAbort = () => {
      this.#giveUp(xid, call);
      call.reject(operation.aborted());
    };
    operation.signal.addEventListener('abort', call.onAbort, { once: true });
  }

  #timeout(name: string, operation: Operation | undefined, timeoutMs: number): CallTimeout {
    const { port } = this.#connection;
    const why =
      port === null
        ? this.#connection.describeFailure()
        : `the server is there (${port} port) but works on it still`;
    // The operation's own limit, where that is the one that has been reached.
    const limitMs = operation && performance.now() >= operation.deadlineMs ? operation.timeoutMs : timeoutMs;
    return new CallTimeout(name, limitMs, why, contextOf(operation));
  }

  /** Nobody waits for the reply any more. */
  #forget(xid: number, call: Waiting): void {
    this.#waiting.delete(xid);
    if (call.timer !== null) clearTimeout(call.timer);
    if (call.onAbort !== null) call.operation?.signal?.removeEventListener('abort', call.onAbort);
    if (this.#waiting.size > 0) return;
    this.#keepAlive();
    if (this.#idleWaiters.length > 0) for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  #giveUp(xid: number, call: Waiting): void {
    this.#forget(xid, call);
    if (call.borrowed) this.#connection.giveBack(xid);
    else this.#connection.forget(xid);
  }

  #keepAlive(): void {
    this.#connection.setRef(this.#idleRef || this.#waiting.size > 0);
  }

  #report(xid: number, call: Waiting): void {
    const { onCall, isCallHeard } = this.#options;
    if (onCall === undefined || isCallHeard?.() === false) return;
    const { name, sentAtMs } = call;
    const { port } = this.#connection;
    tell(onCall, { xid, name, sentAtMs, answeredAtMs: performance.now(), port });
  }

  #refused(xid: number): void {
    const call = this.#waiting.get(xid);
    if (!call) return;
    this.#forget(xid, call);
    const reason = `${call.name}: the server closes the connection instead of an answer`;
    call.reject(new RpcError('ECONNRESET', reason, contextOf(call.operation)));
  }

  #settle(xid: number, reply: XdrReader): void {
    const call = this.#waiting.get(xid);
    if (!call) return;
    this.#forget(xid, call);
    this.#report(xid, call);
    try {
      decodeReplyHeader(reply, this.#header);
      const { kind } = this.#header;
      if (kind === 'success') {
        call.resolve(call.decodeRes(reply) as never);
        return;
      }
      const code = kind === 'auth-error' ? 'EACCES' : 'EPROTO';
      const reason = `${call.name}: ${describeRefusal(this.#header)}`;
      call.reject(new RpcError(code, reason, contextOf(call.operation)));
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      const reason = `${call.name}: the reply cannot be decoded: ${error.message}`;
      call.reject(new RpcError('EPROTO', reason, { ...contextOf(call.operation), cause: error }));
    }
  }
}

function contextOf(operation: Operation | undefined): ErrorContext {
  if (operation === undefined) return {};
  const { syscall, path, dest } = operation;
  return { syscall, path, dest };
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
