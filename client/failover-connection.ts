// A connection to a disk set, wherever it is served: the driver of the plan in attempts.ts.
//
// Whoever sends a call here gets its reply, some day, once. In between the connection below may break, the server
// may die, its partner may take over and give back: unanswered calls are kept and resent with the same XID and the
// same bytes, in order, on the connection that the plan adopts. The servers execute a resent call once (their
// duplicate request cache lies on the volume); what arrives on an abandoned connection is ignored.
import { randomBytes } from 'node:crypto';
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
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../protocol/succession.ts';
import { XdrError, type XdrReader, XdrWriter } from '../protocol/xdr.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  attemptsWakeAt,
  initialAttempts,
  stepAttempts,
} from './attempts.ts';
import { RecordConnection } from './record-connection.ts';
import type { Resolver } from './resolver.ts';
import { type Endpoints, formatAddress, type PortRole, type TransportAddress } from './transport-address.ts';

/** As long as other NFS clients wait over TCP before they send a call again. */
const STUCK_MS = 60_000;

/** An outage of this length is more than a failover: whoever waits should know what for. */
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
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** A living server that leaves a call unanswered for so long has lost it: the calls go out again. Ms. */
  readonly stuckMs?: number | undefined;
  /** The reply to a call, once for each. The bytes are the receiver's to keep. */
  readonly onReply: (xid: number, reply: XdrReader) => void;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
}

interface PendingCall {
  readonly xid: number;
  /** The complete record with its mark in parts, exactly as it is sent, now and again. */
  readonly parts: readonly Uint8Array[];
  readonly size: number;
  /** When it was handed to the present connection; Infinity while it waits for one. */
  sentAtMs: number;
  /** How much that connection had been given by then, this call included. Bytes. */
  sentUpTo: number;
}

/** Why a port could not be used the last time, for messages. */
export interface PortFailure {
  readonly target: string;
  readonly reason: string;
}

export class FailoverConnection {
  private readonly options: FailoverConnectionOptions;
  private readonly plan: AttemptsOptions;
  /** Tells the server which of its connections are this one's. */
  private readonly client = randomBytes(CLIENT_SIZE);
  private state: AttemptsState;
  private readonly connections = new Map<number, RecordConnection>();
  private adopted: RecordConnection | null = null;
  /** In the order in which they were sent first. */
  private readonly pending = new Map<number, PendingCall>();
  private pendingSizeNow = 0;
  private heardAtMs = 0;
  /** XID of our own NULL on the adopted connection while it is unanswered. */
  private askXid: number | null = null;
  private lastXid = 0;
  private paused = false;
  private attemptCount = 0;
  /** Start of the search about which Waiting was emitted. */
  private toldSinceMs = -1;
  private tickTimer: NodeJS.Timeout | null = null;
  private silenceTimer: NodeJS.Timeout | null = null;
  private readonly failures: Record<PortRole, PortFailure | null> = { primary: null, secondary: null };
  private readonly rotation: Record<PortRole, number> = { primary: 0, secondary: 0 };
  private readonly header = new ReplyHeader();

  constructor(options: FailoverConnectionOptions) {
    this.options = options;
    this.plan = { ...ATTEMPTS_DEFAULTS, seed: Math.floor(Math.random() * 2 ** 31), ...options.attempts };
    const roles: PortRole[] = options.endpoints.secondary ? ['primary', 'secondary'] : ['primary'];
    this.state = initialAttempts(roles, this.plan);
  }

  /** Begins to look for the serving port. Calls may be sent before and after. */
  start(): void {
    this.input({ kind: 'Start' });
  }

  /** Ends everything; unanswered calls stay unanswered. */
  close(): void {
    this.input({ kind: 'Stop' });
    if (this.silenceTimer !== null) clearTimeout(this.silenceTimer);
    this.silenceTimer = null;
    this.pending.clear();
    this.pendingSizeNow = 0;
  }

  /**
   * Takes a complete call record, whole or in parts, whose XID is not outstanding (see isPending). Its bytes must
   * not be changed until its reply has come.
   */
  send(xid: number, ...parts: readonly Uint8Array[]): void {
    if (this.pending.has(xid)) throw new Error(`XID ${xid} is outstanding already`);
    let size = 0;
    for (const part of parts) size += part.length;
    const call: PendingCall = { xid, parts, size, sentAtMs: Number.POSITIVE_INFINITY, sentUpTo: 0 };
    this.pending.set(xid, call);
    this.pendingSizeNow += size;
    this.lastXid = xid;
    // Our NULL and this call could not be told apart by their replies. One in four billion: start afresh.
    if (xid === this.askXid) this.breakAdopted('XID of the liveness check reused');
    else if (this.adopted !== null) this.transmit(this.adopted, call);
    else this.input({ kind: 'Wanted' });
  }

  /** A repeated call (same XID) is not to be sent again: its reply is on the way or will be asked for again. */
  isPending(xid: number): boolean {
    return this.pending.has(xid);
  }

  /** Stops waiting for a reply; should it come, it is ignored. The call may be executed nevertheless. */
  forget(xid: number): void {
    this.take(xid);
  }

  /**
   * Like forget(), and its bytes may be changed from here on. If the present connection has not sent all of them
   * yet, it would send what they are changed to: it is reset, and the other calls go out again on the next one.
   */
  giveBack(xid: number): void {
    const call = this.take(xid);
    if (call === null || this.adopted === null || call.sentUpTo <= this.adopted.handedOver) return;
    if (call.sentAtMs !== Number.POSITIVE_INFINITY)
      this.breakAdopted('a call was given up before it was sent');
  }

  get pendingCount(): number {
    return this.pending.size;
  }

  /** Bytes of unanswered calls. */
  get pendingSize(): number {
    return this.pendingSizeNow;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.state.adopted?.role ?? null;
  }

  /** One sentence on why nothing is reached. */
  describeFailure(): string {
    const { endpoints } = this.options;
    const parts = [describePort(endpoints.primary, this.failures.primary)];
    if (endpoints.secondary) parts.push(describePort(endpoints.secondary, this.failures.secondary));
    return parts.join('; ');
  }

  /** Back-pressure from the receiver of replies. Silence while paused is our own doing and starts no doubt. */
  pause(): void {
    this.paused = true;
    this.adopted?.pause();
    if (this.state.mode === 'doubting') this.input({ kind: 'Heard', progress: false });
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.heardAtMs = performance.now();
    this.adopted?.resume();
    this.watchSilence();
  }

  private input(input: AttemptsInput): void {
    const now = performance.now();
    const before = this.state;
    const step = stepAttempts(before, input, now, this.plan);
    this.state = step.state;
    this.report(before, input, now);
    for (const effect of step.effects) this.execute(effect);
    this.armTick();
    this.watchSilence();
  }

  private execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        void this.connect(effect.id, effect.role);
        break;
      case 'Ask':
        this.connections.get(effect.id)?.send([this.nullCall(effect.id >>> 0)]);
        break;
      case 'AskAdopted':
        this.askAdopted();
        break;
      case 'Abandon':
        this.abandon(effect.id);
        break;
      case 'Adopt':
        this.adopt(effect.id, effect.role);
        break;
    }
  }

  private async connect(id: number, role: PortRole): Promise<void> {
    const target = this.targetOf(role);
    this.attemptCount += 1;
    let addresses: readonly string[];
    try {
      const resolved = this.options.resolver.resolve(target.address);
      addresses = Array.isArray(resolved) ? resolved : await resolved;
    } catch (error) {
      this.failures[role] = { target: formatAddress(target), reason: lookupReason(error) };
      // Never in the step that asked for it: effects are executed before the next input.
      queueMicrotask(() => this.input({ kind: 'Lost', id }));
      return;
    }
    // Abandoned while the name was being looked up.
    if (!this.state.attempts.some((attempt) => attempt.id === id)) return;
    const host = addresses[this.rotation[role]++ % addresses.length]!;
    const connection = new RecordConnection(id, host, target.discriminator.port, {
      onOpen: () => this.input({ kind: 'Connected', id }),
      onRecord: (from, record) => this.receive(from, role, record),
      onEnd: (from, reason) => this.ended(from, role, reason),
    });
    this.connections.set(id, connection);
  }

  private receive(from: RecordConnection, role: PortRole, record: XdrReader): void {
    if (from !== this.adopted) {
      this.receiveAnswer(from, role, record);
      return;
    }
    this.heardAtMs = performance.now();
    if (record.remaining < REPLY_SIZE_MIN) {
      this.breakAdopted(`the server sent a reply of ${record.remaining} bytes`);
      return;
    }
    const xid = peekXid(record);
    if (xid === this.askXid) {
      this.askXid = null;
      this.heard(false);
      return;
    }
    // Not outstanding: a reply to a call that was forgotten.
    const call = this.take(xid);
    this.heard(call !== null);
    if (call !== null) this.options.onReply(xid, record);
  }

  /** The reply to NULL on a connection that is not adopted yet. */
  private receiveAnswer(from: RecordConnection, role: PortRole, record: XdrReader): void {
    const wrong = this.wrongAnswer(record);
    if (wrong === null) {
      this.input({ kind: 'Answered', id: from.id });
    } else {
      this.abandon(from.id);
      this.ended(from, role, wrong);
    }
  }

  private wrongAnswer(record: XdrReader): string | null {
    try {
      decodeReplyHeader(record, this.header);
      return this.header.kind === 'success' ? null : `answers NULL with ${this.header.kind}`;
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      return `answers NULL with what is no RPC reply: ${error.message}`;
    }
  }

  private heard(progress: boolean): void {
    // The plan has to know only when it changes something: not for each of thousands of replies a second.
    const { mode, patienceMs, barren } = this.state;
    if (mode === 'doubting' || (progress && (barren > 0 || patienceMs !== this.plan.patienceMs))) {
      this.input({ kind: 'Heard', progress });
    }
  }

  private ended(connection: RecordConnection, role: PortRole, reason: string): void {
    this.connections.delete(connection.id);
    this.failures[role] = { target: connection.target, reason };
    const wasAdopted = connection === this.adopted;
    if (wasAdopted) this.detach();
    if (wasAdopted) {
      const atMs = performance.now();
      this.emit({ kind: 'Lost', atMs, port: role, target: connection.target, reason });
    }
    this.input({ kind: 'Lost', id: connection.id });
  }

  private breakAdopted(reason: string): void {
    const connection = this.adopted;
    const role = this.state.adopted?.role;
    if (connection === null || role === undefined) return;
    connection.abandon();
    this.ended(connection, role, reason);
  }

  private abandon(id: number): void {
    const connection = this.connections.get(id);
    if (!connection) return;
    this.connections.delete(id);
    connection.abandon();
    if (connection === this.adopted) this.detach();
  }

  private detach(): void {
    this.adopted = null;
    this.askXid = null;
    for (const call of this.pending.values()) call.sentAtMs = Number.POSITIVE_INFINITY;
  }

  private adopt(id: number, role: PortRole): void {
    const connection = this.connections.get(id)!;
    this.adopted = connection;
    connection.send([this.announcement()]);
    this.heardAtMs = performance.now();
    this.failures[role] = null;
    if (this.paused) connection.pause();
    for (const call of this.pending.values()) this.transmit(connection, call);
    this.emit({
      kind: 'Adopted',
      atMs: this.heardAtMs,
      port: role,
      target: connection.target,
      afterMs: this.heardAtMs - this.state.sinceMs,
      attempts: this.attemptCount,
      resent: this.pending.size,
    });
    this.attemptCount = 0;
  }

  private transmit(connection: RecordConnection, call: PendingCall): void {
    call.sentAtMs = performance.now();
    connection.send(call.parts);
    call.sentUpTo = connection.queued;
    this.watchSilence();
  }

  private take(xid: number): PendingCall | null {
    const call = this.pending.get(xid);
    if (!call) return null;
    this.pending.delete(xid);
    this.pendingSizeNow -= call.size;
    return call;
  }

  private askAdopted(): void {
    if (this.adopted === null) return;
    // Far away from the XIDs in use, which count upwards in every client there is.
    let xid = (this.lastXid ^ 0x8000_0000) >>> 0;
    while (this.pending.has(xid)) xid = (xid + 1) >>> 0;
    this.askXid = xid;
    this.adopted.send([this.nullCall(xid)]);
  }

  /** What lies unread in connections before this one is not to be executed any more (protocol/succession.ts). */
  private announcement(): Uint8Array {
    const w = new XdrWriter(64);
    const mark = beginRecord(w);
    // The XID of no call that is under way: the reply is ignored.
    let xid = (this.lastXid ^ 0x4000_0000) >>> 0;
    while (this.pending.has(xid) || xid === this.askXid) xid = (xid + 1) >>> 0;
    const { ANNOUNCE } = successionproc1;
    encodeCallHeader(w, xid, SUCCESSION_PROGRAM, SUCCESSION_VERSION, ANNOUNCE, AUTH_NONE_CREDENTIAL);
    encodeAnnouncement(w, this.client);
    endRecord(w, mark);
    return w.written();
  }

  private nullCall(xid: number): Uint8Array {
    const w = new XdrWriter(64);
    const mark = beginRecord(w);
    encodeCallHeader(w, xid, this.options.program, this.options.version, 0, AUTH_NONE_CREDENTIAL);
    endRecord(w, mark);
    return w.written();
  }

  private armTick(): void {
    if (this.tickTimer !== null) clearTimeout(this.tickTimer);
    this.tickTimer = null;
    const wakeAt = attemptsWakeAt(this.state, this.plan);
    if (wakeAt === null) return;
    // Timers round down by up to a millisecond; one that fires early would only come again.
    const delayMs = Math.max(0, Math.ceil(wakeAt - performance.now()));
    this.tickTimer = setTimeout(() => {
      this.tickTimer = null;
      this.input({ kind: 'Tick' });
    }, delayMs);
  }

  /** One timer for all calls, set anew only when it fires: a call costs nothing here. */
  private watchSilence(): void {
    if (this.silenceTimer !== null || this.state.mode !== 'serving') return;
    if (this.pending.size === 0 || this.paused) return;
    const oldest: PendingCall = this.pending.values().next().value!;
    const quietSinceMs = Math.max(this.heardAtMs, oldest.sentAtMs);
    const delayMs = Math.max(1, Math.ceil(quietSinceMs + this.state.patienceMs - performance.now()));
    // After the timer the event loop looks at the sockets, then runs immediates: replies that were already here
    // while this process was busy are heard before silence is declared.
    this.silenceTimer = setTimeout(() => setImmediate(() => this.checkSilence()), Math.min(delayMs, 1000));
  }

  private checkSilence(): void {
    if (this.silenceTimer === null) return;
    this.silenceTimer = null;
    if (this.state.mode !== 'serving' || this.pending.size === 0 || this.paused) return;
    const now = performance.now();
    const oldest: PendingCall = this.pending.values().next().value!;
    const stuckMs = this.options.stuckMs ?? STUCK_MS;
    if (now - oldest.sentAtMs >= stuckMs) {
      this.breakAdopted(`the server left a call unanswered for ${stuckMs / 1000} s`);
    } else if (now - Math.max(this.heardAtMs, oldest.sentAtMs) >= this.state.patienceMs) {
      this.input({ kind: 'Silent' });
    }
    this.watchSilence();
  }

  private targetOf(role: PortRole): TransportAddress {
    const { endpoints } = this.options;
    return role === 'primary' ? endpoints.primary : endpoints.secondary!;
  }

  private report(before: AttemptsState, input: AttemptsInput, now: number): void {
    if (before.mode === 'serving' && this.state.mode === 'doubting' && this.adopted) {
      this.emit({ kind: 'Doubted', atMs: now, port: before.adopted!.role, target: this.adopted.target });
    } else if (before.mode === 'doubting' && input.kind === 'Heard') {
      this.attemptCount = 0;
      this.emit({ kind: 'Reassured', atMs: now, afterMs: now - before.sinceMs });
    }
    const { mode, sinceMs } = this.state;
    const afterMs = now - sinceMs;
    if (mode !== 'seeking' || afterMs < WAITING_MS || this.toldSinceMs === sinceMs) return;
    this.toldSinceMs = sinceMs;
    this.emit({ kind: 'Waiting', atMs: now, afterMs, why: this.describeFailure() });
  }

  private emit(event: ConnectionEvent): void {
    this.options.onEvent?.(event);
  }
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
