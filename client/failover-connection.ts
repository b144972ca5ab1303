/** A connection to a disk set, wherever it is served: the driver of the plan in attempts.ts. */
import { randomBytes, randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { beginRecord, endRecord } from '../protocol/record.ts';
import {
  AUTH_NONE_CREDENTIAL,
  decodeReplyHeader,
  encodeCallHeader,
  peekXid,
  ReplyHeader,
} from '../protocol/rpc.ts';
import {
  CLIENT_SIZE,
  encodeAnnouncement,
  encodeIdentity,
  IDENTITY_SIZE,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../protocol/succession.ts';
import { XdrError, type XdrReader, XdrWriter } from '../protocol/xdr.ts';
import { attemptsWakeAt, stepAttempts } from './attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from './attempts-state.ts';
import { DiskSetIdentity, type ProofQuestion } from './disk-set-identity.ts';
import { tell } from './listeners.ts';
import { RecordConnection, type RecordConnectionHandlers } from './record-connection.ts';
import { afterFailure, isRefused, type Suspicion, suspect } from './refused-call.ts';
import { admits, afterAnswer, afterFruitless, OPEN_WINDOW, type ResendWindow } from './resend-window.ts';
import type { ReservedPorts } from './reserved-ports.ts';
import type { Resolver } from './resolver.ts';
import { type Endpoints, formatAddress, type PortRole, type TransportAddress } from './transport-address.ts';

// Each call that is sent here gets its reply, some day, once. In between the connection below may break, the server may die, its
// partner may take over and give back. Unanswered calls are kept and resent with the same XID and the same bytes, in order, on
// the connection that the plan adopts. The servers execute a resent call once (their duplicate request cache lies on the volume);
// what arrives on an abandoned connection is ignored.

/** As long as other NFS clients wait over TCP before they send a call again. */
const STUCK_MS = 60_000;

/** While the adopted connection stands still: interval between two checks whether it has sent bytes, in ms. */
const SENT_INTERVAL_MS = 200;

/** An outage of this length is more than a failover: a caller that waits should know what for. */
const WAITING_MS = 3000;

/** XID and message type; RFC 5531 §9. Bytes. */
const REPLY_SIZE_MIN = 8;

/** What an observer of the failover may want to know. Times are ms of performance.now(). */
export type ConnectionEvent =
  /** The adopted connection is silent with calls outstanding; the search begins beside it. */
  | { readonly kind: 'Doubted'; readonly atMs: number; readonly port: PortRole; readonly target: string }
  /** It was only slow. */
  | { readonly kind: 'Reassured'; readonly atMs: number; readonly afterMs: number }
  | {
      readonly kind: 'Lost';
      readonly atMs: number;
      readonly port: PortRole;
      readonly target: string;
      readonly reason: string;
    }
  /** Neither port has answered for a while; once for each search. `why` says what each of them did last. */
  | { readonly kind: 'Waiting'; readonly atMs: number; readonly afterMs: number; readonly why: string }
  /** `afterMs` since the loss or the doubt; `resent` calls went out again. */
  | {
      readonly kind: 'Adopted';
      readonly atMs: number;
      readonly port: PortRole;
      readonly target: string;
      readonly afterMs: number;
      readonly attempts: number;
      readonly resent: number;
    };

export interface FailoverConnectionOptions {
  readonly endpoints: Endpoints;
  readonly resolver: Resolver;
  /** The program and version whose NULL procedure proves that a port is served. */
  readonly program: number;
  readonly version: number;
  /**
   * Who this is to the servers: they answer a call again only to who has sent it. The same for all connections whose calls may be sent
   * again by one another, and a secret. IDENTITY_SIZE bytes. Default: one of its own.
   */
  readonly clientIdentity?: Uint8Array | undefined;
  /** Of the disk set that is looked for; shared by connections to the same one. Default: one of its own. */
  readonly identity?: DiskSetIdentity | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /**
   * A living server that leaves a call unanswered for so long has lost it: the calls go out again. Twice as long after
   * each time, until nothing is unanswered. Ms.
   */
  readonly stuckMs?: number | undefined;
  /** The reply to a call of `callSize` bytes, once for each. The bytes are the receiver's to keep. */
  readonly onReply: (xid: number, reply: XdrReader, callSize: number) => void;
  /** The server answers this call by closing the connection, each time: it is not sent any more. */
  readonly onRefused: (xid: number) => void;
  /** Asked before each attempt: may another connection be opened? A process may run out of descriptors. */
  readonly mayConnect?: (() => boolean) | undefined;
  /** Connections are opened from local ports below 1024, if this process may. Absent: from any. */
  readonly ports?: ReservedPorts | undefined;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
}

interface PendingCall {
  readonly xid: number;
  /** The complete record with its mark in parts, exactly as it is sent, now and again. */
  readonly parts: readonly Uint8Array[];
  readonly size: number;
  /** When it was handed to the present connection; Infinity while it waits for one, or for room. */
  sentAtMs: number;
  /** How much that connection had been given by then, this call included. Bytes. */
  sentUpTo: number;
}

/** Why a port could not be used the last time, for messages. */
export interface PortFailure {
  readonly target: string;
  readonly reason: string;
  /** The resolver knows that there is no such name. */
  readonly nameUnknown?: boolean;
}

export class FailoverConnection {
  readonly #options: FailoverConnectionOptions;
  readonly #plan: AttemptsOptions;
  readonly #identity: DiskSetIdentity;
  /** Tells the server which of its connections are this one's. */
  readonly #client = randomBytes(CLIENT_SIZE);
  readonly #clientIdentity: Uint8Array;
  #state: AttemptsState;
  readonly #connections = new Map<number, RecordConnection>();
  /** What attempts have been asked last, by their ids. */
  readonly #asked = new Map<number, 'Null' | ProofQuestion>();
  #adopted: RecordConnection | null = null;
  /** In the order in which they were sent first. */
  readonly #pending = new Map<number, PendingCall>();
  #pendingSizeNow = 0;
  #window: ResendWindow = OPEN_WINDOW;
  /** Bytes of the unanswered calls on the adopted connection. */
  #inFlight = 0;
  #inFlightCount = 0;
  /** Calls that wait for the window, in order, from unsent[unsentAt] on; some may be forgotten. */
  #unsent: PendingCall[] = [];
  #unsentAt = 0;
  #answeredCount = 0;
  #suspicion: Suspicion | null = null;
  #stuckMs: number;
  #unsentSizeBefore = 0;
  #heardAtMs = 0;
  /** XIDs of our own calls on the adopted connection while they are unanswered: NULL, and who and where we are. */
  #askXid: number | null = null;
  readonly #greetingXids = new Set<number>();
  #paused = false;
  #ref = true;
  #attemptCount = 0;
  /** Start of the search about which Waiting was emitted. */
  #toldSinceMs = -1;
  #tickTimer: NodeJS.Timeout | null = null;
  #silenceTimer: NodeJS.Timeout | null = null;
  readonly #failures: Record<PortRole, PortFailure | null> = { primary: null, secondary: null };
  readonly #rotation: Record<PortRole, number> = { primary: 0, secondary: 0 };
  readonly #header = new ReplyHeader();

  constructor(options: FailoverConnectionOptions) {
    this.#options = options;
    this.#stuckMs = options.stuckMs ?? STUCK_MS;
    this.#clientIdentity = options.clientIdentity ?? randomBytes(IDENTITY_SIZE);
    this.#identity = options.identity ?? new DiskSetIdentity();
    this.#plan = { ...ATTEMPTS_DEFAULTS, seed: Math.floor(Math.random() * 2 ** 31), ...options.attempts };
    const roles: PortRole[] = options.endpoints.secondary ? ['primary', 'secondary'] : ['primary'];
    this.#state = initialAttempts(roles, this.#plan);
  }

  /** Begins to look for the serving port. Calls may be sent before and after. */
  start(): void {
    this.#input({ kind: 'Start' });
  }

  /** Ends everything; unanswered calls stay unanswered. */
  close(): void {
    this.#input({ kind: 'Stop' });
    if (this.#silenceTimer !== null) clearTimeout(this.#silenceTimer);
    this.#silenceTimer = null;
    this.#pending.clear();
    this.#pendingSizeNow = 0;
    this.#unsent = [];
    this.#unsentAt = 0;
  }

  /**
   * Takes a complete call record, whole or in parts, whose XID is not outstanding (see isPending). Its bytes must
   * not be changed until its reply has come.
   */
  send(xid: number, ...parts: readonly Uint8Array[]): void {
    if (this.#pending.has(xid)) throw new Error(`XID ${xid} is outstanding already`);
    let size = 0;
    for (const part of parts) size += part.length;
    const call: PendingCall = { xid, parts, size, sentAtMs: Number.POSITIVE_INFINITY, sentUpTo: 0 };
    this.#pending.set(xid, call);
    this.#pendingSizeNow += size;
    // Our own call and this one could not be told apart by their replies. One in four billion: start afresh.
    if (this.#isOwn(xid)) this.#breakAdopted('XID of our own call reused');
    else if (this.#adopted === null) this.#input({ kind: 'Wanted' });
    else if (this.#unsent.length === 0 && admits(this.#window, this.#inFlight, size)) {
      this.#transmit(this.#adopted, call);
    } else {
      this.#unsent.push(call);
    }
  }

  /** A repeated call (same XID) is not to be sent again: its reply is on the way or will be asked for again. */
  isPending(xid: number): boolean {
    return this.#pending.has(xid);
  }

  /** The record of an unanswered call, with its mark, if it was sent in one part. */
  pendingRecord(xid: number): Uint8Array | null {
    return this.#pending.get(xid)?.parts[0] ?? null;
  }

  /** Stops waiting for a reply; should it come, it is ignored. The call may be executed nevertheless. */
  forget(xid: number): void {
    this.#take(xid);
    // Those behind it may have waited for its answer.
    if (this.#unsent.length > 0) this.#sendWaiting();
  }

  /**
   * Like forget(), and its bytes may be changed from here on. If the present connection has not sent all of them
   * yet, it would send what they are changed to: it is reset, and the other calls go out again on the next one.
   */
  giveBack(xid: number): void {
    const call = this.#take(xid);
    if (call === null) return;
    const adopted = this.#adopted;
    const begun = call.sentAtMs !== Number.POSITIVE_INFINITY;
    if (adopted !== null && begun && call.sentUpTo > adopted.handedOver) {
      this.#breakAdopted('a call was given up before it was sent');
    } else if (this.#unsent.length > 0) {
      this.#sendWaiting();
    }
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Bytes of unanswered calls. */
  get pendingSize(): number {
    return this.#pendingSizeNow;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#state.adopted?.role ?? null;
  }

  /** True if no name has ever had an address, and the resolver says that none of them exists. */
  get isNameUnknown(): boolean {
    return this.#state.roles.every((role) => this.#failures[role]?.nameUnknown === true);
  }

  /** Whether this keeps the process alive: sockets, and the timers that open and watch them. */
  setRef(ref: boolean): void {
    if (this.#ref === ref) return;
    this.#ref = ref;
    for (const connection of this.#connections.values()) connection.setRef(ref);
    for (const timer of [this.#tickTimer, this.#silenceTimer]) if (timer !== null) setTimerRef(timer, ref);
  }

  /** One sentence on why nothing is reached. */
  describeFailure(): string {
    const { endpoints } = this.#options;
    const parts = [describePort(endpoints.primary, this.#failures.primary)];
    if (endpoints.secondary) parts.push(describePort(endpoints.secondary, this.#failures.secondary));
    return parts.join('; ');
  }

  /** Somebody else's calls to the adopted port are unanswered: the server is asked whether it is there, and the search begins. */
  doubt(): void {
    if (this.#adopted !== null) this.#input({ kind: 'Silent' });
  }

  /** Back-pressure from the receiver of replies. Silence while paused is our own doing and starts no doubt. */
  pause(): void {
    this.#paused = true;
    this.#adopted?.pause();
    if (this.#state.mode === 'suspect') this.#input({ kind: 'Heard', progress: false });
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardAtMs = performance.now();
    this.#adopted?.resume();
    this.#watchSilence();
  }

  #input(input: AttemptsInput): void {
    const now = performance.now();
    const before = this.#state;
    const step = stepAttempts(before, input, now, this.#plan);
    this.#state = step.state;
    this.#report(before, input, now);
    for (const effect of step.effects) this.#execute(effect);
    this.#armTick();
    this.#watchSilence();
  }

  #execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        void this.#connect(effect.id, effect.role);
        break;
      case 'Ask':
        this.#asked.set(effect.id, 'Null');
        this.#connections.get(effect.id)?.send([this.#nullCall(effect.id >>> 0)]);
        break;
      case 'AskAdopted':
        this.#askAdopted();
        break;
      case 'Abandon':
        this.#abandon(effect.id);
        break;
      case 'Adopt':
        this.#adopt(effect.id, effect.role, effect.fruitless);
        break;
    }
  }

  async #connect(id: number, role: PortRole): Promise<void> {
    const target = this.#targetOf(role);
    this.#attemptCount += 1;
    if (this.#options.mayConnect?.() === false) {
      this.#failures[role] = {
        target: formatAddress(target),
        reason: 'this process has no file descriptor left',
      };
      queueMicrotask(() => this.#input({ kind: 'Lost', id }));
      return;
    }
    let addresses: readonly string[];
    try {
      const resolved = this.#options.resolver.resolve(target.address);
      addresses = Array.isArray(resolved) ? resolved : await resolved;
    } catch (error) {
      const nameUnknown = (error as NodeJS.ErrnoException).code === 'ENOTFOUND';
      this.#failures[role] = { target: formatAddress(target), reason: lookupReason(error), nameUnknown };
      // Never in the step that asked for it: effects are executed before the next input.
      queueMicrotask(() => this.#input({ kind: 'Lost', id }));
      return;
    }
    // Abandoned while the name was being looked up.
    if (!this.#state.attempts.some((attempt) => attempt.id === id)) return;
    const host = addresses[this.#rotation[role]++ % addresses.length]!;
    const handlers: RecordConnectionHandlers = {
      onOpen: () => this.#input({ kind: 'Connected', id }),
      onBytes: () => this.#arriving(id),
      onRecord: (from, record) => this.#receive(from, role, record),
      onEnd: (from, reason) => this.#ended(from, role, reason),
    };
    const { port } = target.discriminator;
    const connection = new RecordConnection(id, host, port, handlers, this.#options.ports ?? null);
    if (!this.#ref) connection.setRef(false);
    this.#connections.set(id, connection);
  }

  /** A reply of many bytes on a slow link is life, long before it is whole. */
  #arriving(id: number): void {
    if (id !== this.#adopted?.id) return;
    this.#heardAtMs = performance.now();
    this.#heard(false);
  }

  #receive(from: RecordConnection, role: PortRole, record: XdrReader): void {
    if (from !== this.#adopted) {
      this.#receiveAnswer(from, role, record);
      return;
    }
    this.#heardAtMs = performance.now();
    if (record.remaining < REPLY_SIZE_MIN) {
      this.#breakAdopted(`the server sent a reply of ${record.remaining} bytes`);
      return;
    }
    const xid = peekXid(record);
    if (xid === this.#askXid) {
      this.#askXid = null;
      this.#heard(false);
      return;
    }
    if (this.#greetingXids.size > 0 && this.#greetingXids.delete(xid)) return;
    // Not outstanding: a reply to a call that was forgotten.
    const call = this.#take(xid);
    this.#heard(call !== null);
    if (call === null) return;
    this.#answeredCount += 1;
    this.#suspicion = null;
    if (this.#window !== OPEN_WINDOW || this.#unsent.length > 0) {
      this.#window = afterAnswer(this.#window, call.size, this.#heardAtMs);
      this.#sendWaiting();
    }
    if (this.#identity.isWanted(this.#heardAtMs)) {
      this.#identity.learn(call.parts[0]!, record, this.#heardAtMs);
    }
    this.#options.onReply(xid, record, call.size);
  }

  /** The reply to what was asked last on a connection that is not adopted yet: to NULL, or whose disks are served there. */
  #receiveAnswer(from: RecordConnection, role: PortRole, record: XdrReader): void {
    const identity = this.#identity;
    const asked = this.#asked.get(from.id);
    // A standby has answered everything.
    if (asked === undefined) return;
    try {
      if (asked === 'Null') {
        decodeReplyHeader(record, this.#header);
        const { kind } = this.#header;
        if (kind !== 'success') this.#refuse(from, role, `answers NULL with ${kind}`);
        else if (identity.isKnown) this.#prove(from, 'Holds');
        else this.#answered(from, false);
        return;
      }
      const answer = identity.judge(asked, record);
      if (answer.kind === 'Proven') this.#answered(from, true);
      else if (answer.kind === 'Ask') this.#prove(from, answer.question);
      else this.#refuse(from, role, answer.reason);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.#refuse(from, role, `answers without a valid RPC reply: ${error.message}`);
    }
  }

  #prove(connection: RecordConnection, question: ProofQuestion): void {
    this.#asked.set(connection.id, question);
    connection.send([this.#identity.ask(question, connection.id >>> 0)]);
  }

  #answered(connection: RecordConnection, proven: boolean): void {
    this.#asked.delete(connection.id);
    this.#input({ kind: 'Answered', id: connection.id, proven });
  }

  /** Not the server that is looked for: a failure of its address, not of any call. */
  #refuse(connection: RecordConnection, role: PortRole, reason: string): void {
    this.#abandon(connection.id);
    this.#ended(connection, role, reason);
  }

  #heard(progress: boolean): void {
    // The plan has to know only when it changes something: not for each of thousands of replies a second.
    const { mode, patienceMs, samePortPatienceMs, fruitless } = this.#state;
    const changed =
      fruitless > 0 ||
      patienceMs !== this.#plan.patienceMs ||
      samePortPatienceMs !== this.#plan.samePortPatienceMs;
    if (mode === 'suspect' || (progress && changed)) this.#input({ kind: 'Heard', progress });
  }

  #ended(connection: RecordConnection, role: PortRole, reason: string): void {
    this.#connections.delete(connection.id);
    this.#asked.delete(connection.id);
    this.#failures[role] = { target: connection.target, reason };
    const wasAdopted = connection === this.#adopted;
    if (!wasAdopted) this.#suspicion = afterFailure(this.#suspicion, role);
    if (wasAdopted) {
      this.#lookForCause(role);
      this.#detach();
      const atMs = performance.now();
      this.#emit({ kind: 'Lost', atMs, port: role, target: connection.target, reason });
    }
    this.#input({ kind: 'Lost', id: connection.id });
  }

  #breakAdopted(reason: string): void {
    const connection = this.#adopted;
    const role = this.#state.adopted?.role;
    if (connection === null || role === undefined) return;
    connection.abandon();
    this.#ended(connection, role, reason);
    // Our own doing says nothing about the server.
    this.#suspicion = null;
  }

  #abandon(id: number): void {
    const connection = this.#connections.get(id);
    if (!connection) return;
    this.#connections.delete(id);
    this.#asked.delete(id);
    connection.abandon();
    if (connection === this.#adopted) this.#detach();
  }

  /** The adopted connection has ended: because of the one call that was on it? */
  #lookForCause(role: PortRole): void {
    if (this.#answeredCount > 0 || this.#inFlightCount !== 1) return;
    const [call] = this.#pending.values();
    if (call === undefined || call.sentAtMs === Number.POSITIVE_INFINITY) return;
    this.#suspicion = suspect(this.#suspicion, call.xid, role, performance.now());
    if (!isRefused(this.#suspicion)) return;
    this.#suspicion = null;
    this.#take(call.xid);
    // After the current step: the callback may close this connection.
    queueMicrotask(() => this.#options.onRefused(call.xid));
  }

  #detach(): void {
    this.#adopted = null;
    this.#askXid = null;
    this.#greetingXids.clear();
    for (const call of this.#pending.values()) call.sentAtMs = Number.POSITIVE_INFINITY;
  }

  #adopt(id: number, role: PortRole, fruitless: boolean): void {
    const connection = this.#connections.get(id)!;
    const now = performance.now();
    if (fruitless) this.#window = afterFruitless(this.#window, this.#inFlight, now);
    this.#inFlight = 0;
    this.#inFlightCount = 0;
    this.#answeredCount = 0;
    this.#unsent = [...this.#pending.values()];
    this.#unsentAt = 0;
    this.#unsentSizeBefore = 0;
    this.#adopted = connection;
    connection.send(this.#greeting());
    this.#heardAtMs = now;
    this.#failures[role] = null;
    if (this.#paused) connection.pause();
    this.#sendWaiting();
    this.#emit({
      kind: 'Adopted',
      atMs: this.#heardAtMs,
      port: role,
      target: connection.target,
      afterMs: this.#heardAtMs - this.#state.sinceMs,
      attempts: this.#attemptCount,
      resent: this.#pending.size,
    });
    this.#attemptCount = 0;
  }

  /** Hands over what the window admits of the calls that wait. */
  #sendWaiting(): void {
    const adopted = this.#adopted;
    const unsent = this.#unsent;
    if (adopted === null) return;
    for (; this.#unsentAt < unsent.length; this.#unsentAt++) {
      const call = unsent[this.#unsentAt]!;
      if (this.#pending.get(call.xid) !== call) continue;
      if (!admits(this.#window, this.#inFlight, call.size)) return;
      this.#transmit(adopted, call);
    }
    this.#unsent = [];
    this.#unsentAt = 0;
  }

  #transmit(connection: RecordConnection, call: PendingCall): void {
    call.sentAtMs = performance.now();
    this.#inFlight += call.size;
    this.#inFlightCount += 1;
    connection.send(call.parts);
    call.sentUpTo = connection.queued;
    this.#watchSilence();
  }

  #take(xid: number): PendingCall | null {
    const call = this.#pending.get(xid);
    if (!call) return null;
    this.#pending.delete(xid);
    this.#pendingSizeNow -= call.size;
    if (call.sentAtMs !== Number.POSITIVE_INFINITY) {
      this.#inFlight -= call.size;
      this.#inFlightCount -= 1;
    }
    if (this.#pending.size === 0) this.#stuckMs = this.#options.stuckMs ?? STUCK_MS;
    return call;
  }

  #askAdopted(): void {
    if (this.#adopted === null) return;
    this.#askXid = this.#ownXid();
    this.#adopted.send([this.#nullCall(this.#askXid)]);
  }

  /**
   * Random, since a rule would be everybody's: a client of this library behind the proxy, which is one too, would come upon
   * the proxy's XIDs.
   */
  #ownXid(): number {
    for (;;) {
      const xid = randomInt(2 ** 32);
      if (!this.#pending.has(xid) && !this.#isOwn(xid)) return xid;
    }
  }

  #isOwn(xid: number): boolean {
    return xid === this.#askXid || this.#greetingXids.has(xid);
  }

  /**
   * What lies unread in connections before this one is not to be executed any more, and whose the calls are that come by it
   * (protocol/succession.ts).
   */
  #greeting(): Uint8Array[] {
    const { ANNOUNCE, IDENTIFY } = successionproc1;
    return [
      this.#greetingCall(ANNOUNCE, (w) => encodeAnnouncement(w, this.#client)),
      this.#greetingCall(IDENTIFY, (w) => encodeIdentity(w, this.#clientIdentity)),
    ];
  }

  #greetingCall(procedure: number, encodeArgs: (w: XdrWriter) => void): Uint8Array {
    const w = new XdrWriter(64);
    const mark = beginRecord(w);
    const xid = this.#ownXid();
    this.#greetingXids.add(xid);
    encodeCallHeader(w, xid, SUCCESSION_PROGRAM, SUCCESSION_VERSION, procedure, AUTH_NONE_CREDENTIAL);
    encodeArgs(w);
    endRecord(w, mark);
    return w.written();
  }

  #nullCall(xid: number): Uint8Array {
    const w = new XdrWriter(64);
    const mark = beginRecord(w);
    encodeCallHeader(w, xid, this.#options.program, this.#options.version, 0, AUTH_NONE_CREDENTIAL);
    endRecord(w, mark);
    return w.written();
  }

  #armTick(): void {
    if (this.#tickTimer !== null) clearTimeout(this.#tickTimer);
    this.#tickTimer = null;
    const wakeAt = attemptsWakeAt(this.#state, this.#plan);
    if (wakeAt === null) return;
    // Timers round down by up to a millisecond; one that fires early would only come again.
    const delayMs = Math.max(0, Math.ceil(wakeAt - performance.now()));
    // As with silence: what has been answered while this process was busy is not too old.
    const timer = setTimeout(() => setImmediate(() => this.#tick(timer)), delayMs);
    this.#tickTimer = timer;
    if (!this.#ref) timer.unref();
  }

  #tick(timer: NodeJS.Timeout): void {
    // Set anew meanwhile, or not needed any more.
    if (this.#tickTimer !== timer) return;
    this.#tickTimer = null;
    this.#input({ kind: 'Tick' });
  }

  /** One timer for all calls, set anew only when it fires: a call costs nothing here. */
  #watchSilence(): void {
    if (this.#silenceTimer !== null || this.#adopted === null) return;
    if (this.#pending.size === 0 || this.#paused) return;
    if (this.#state.mode === 'suspect') {
      this.#silenceTimer = setTimeout(() => this.#checkSilence(), SENT_INTERVAL_MS);
      if (!this.#ref) this.#silenceTimer.unref();
      return;
    }
    const oldest: PendingCall = this.#pending.values().next().value!;
    const quietSinceMs = Math.max(this.#heardAtMs, oldest.sentAtMs);
    const delayMs = Math.max(1, Math.ceil(quietSinceMs + this.#state.patienceMs - performance.now()));
    // After the timer the event loop looks at the sockets, then runs immediates: replies that were already here
    // while this process was busy are heard before silence is declared.
    this.#silenceTimer = setTimeout(() => setImmediate(() => this.#checkSilence()), Math.min(delayMs, 1000));
    if (!this.#ref) this.#silenceTimer.unref();
  }

  #checkSilence(): void {
    if (this.#silenceTimer === null) return;
    this.#silenceTimer = null;
    if (this.#adopted === null || this.#pending.size === 0 || this.#paused) return;
    if (this.#state.mode === 'suspect') {
      this.#checkSent(this.#adopted);
      this.#watchSilence();
      return;
    }
    const now = performance.now();
    const oldest: PendingCall = this.#pending.values().next().value!;
    const stuckMs = this.#stuckMs;
    if (now - oldest.sentAtMs >= stuckMs) {
      this.#stuckMs *= 2;
      this.#window = afterFruitless(this.#window, this.#inFlight, now);
      this.#breakAdopted(`the server left a call unanswered for ${stuckMs / 1000} s`);
    } else if (now - Math.max(this.#heardAtMs, oldest.sentAtMs) >= this.#state.patienceMs) {
      this.#input({ kind: 'Silent' });
    }
    this.#watchSilence();
  }

  #checkSent(connection: RecordConnection): void {
    const before = this.#unsentSizeBefore;
    this.#unsentSizeBefore = connection.unsentSize;
    // Larger: what was there before has gone out, and the next has begun.
    if (before > 0 && this.#unsentSizeBefore !== before) this.#input({ kind: 'Sent' });
  }

  #targetOf(role: PortRole): TransportAddress {
    const { endpoints } = this.#options;
    return role === 'primary' ? endpoints.primary : endpoints.secondary!;
  }

  #report(before: AttemptsState, input: AttemptsInput, now: number): void {
    if (before.mode === 'serving' && this.#state.mode === 'suspect' && this.#adopted) {
      this.#emit({ kind: 'Doubted', atMs: now, port: before.adopted!.role, target: this.#adopted.target });
    } else if (before.mode === 'suspect' && input.kind === 'Heard') {
      this.#attemptCount = 0;
      this.#emit({ kind: 'Reassured', atMs: now, afterMs: now - before.sinceMs });
    }
    const { mode, sinceMs } = this.#state;
    const afterMs = now - sinceMs;
    if (mode !== 'searching' || afterMs < WAITING_MS || this.#toldSinceMs === sinceMs) return;
    this.#toldSinceMs = sinceMs;
    this.#emit({ kind: 'Waiting', atMs: now, afterMs, why: this.describeFailure() });
  }

  #emit(event: ConnectionEvent): void {
    tell(this.#options.onEvent, event);
  }
}

function setTimerRef(timer: NodeJS.Timeout, ref: boolean): void {
  if (ref) timer.ref();
  else timer.unref();
}

function describePort(target: TransportAddress, failure: PortFailure | null): string {
  const name = formatAddress(target);
  if (failure === null) return `${name} did not answer`;
  const where = failure.target === name ? name : `${name} (${failure.target})`;
  if (failure.reason === 'ECONNREFUSED') return `${where} refused the connection`;
  return `${where}: ${failure.reason}`;
}

function lookupReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND') return 'the name does not resolve';
  if (code === 'EAI_AGAIN') return 'the name server does not answer';
  return message;
}
