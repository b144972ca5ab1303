/** A connection to a disk set, wherever it is served: the driver of the plan in attempts.ts. */
import { performance } from 'node:perf_hooks';
import { peekXid } from '../protocol/rpc.ts';
import type { XdrReader } from '../protocol/xdr.ts';
import { attemptsWakeAt, stepAttempts } from './attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from './attempts-state.ts';
import type { ConnectionEvent } from './connection-event.ts';
import { EventLoopClock, type Timed } from './event-loop-clock.ts';
import { tell } from './listeners.ts';
import { OwnCalls } from './own-calls.ts';
import { PortCandidates, type PortCandidatesOptions } from './port-candidates.ts';
import type { RecordConnection } from './record-connection.ts';
import { afterFailure, isRefused, type Suspicion, suspect } from './refused-call.ts';
import { type SilenceHandlers, SilenceWatch } from './silence-watch.ts';
import type { PortRole } from './transport-address.ts';
import { type UnansweredCall, UnansweredCalls } from './unanswered-calls.ts';

// Each call that is sent here gets its reply once, however long that takes. Meanwhile the connection below may break, the server may
// die, and its partner may take over and give back. Unanswered calls are kept and resent with the same XID and the same bytes, in order, on
// the connection that the plan adopts. The servers execute a resent call once (their duplicate request cache lies on the volume);
// what arrives on an abandoned connection is ignored.

/** An outage of this length is more than a failover: a caller that waits should know what for. */
const WAITING_MS = 2000;

/** XID and message type; RFC 5531 §9. Bytes. */
const REPLY_SIZE_MIN = 8;

export interface FailoverConnectionOptions extends PortCandidatesOptions {
  /**
   * The client's identity: servers repeat a reply only to the client that has sent the call. A secret, shared by all connections that
   * may resend each other's calls. IDENTITY_SIZE bytes. Default: one of its own.
   */
  readonly clientIdentity?: Uint8Array | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /**
   * A living server that leaves a call unanswered for so long has lost it, and the calls are resent. The time doubles with each
   * resend, until nothing is unanswered. Ms.
   */
  readonly stuckMs?: number | undefined;
  /**
   * The reply to a call of `callSize` bytes, once for each. The bytes are the receiver's to keep. `begunAtMs`: when the call was
   * given to send(), on performance.now(); a failover since then is in the wait.
   */
  readonly onReply: (xid: number, reply: XdrReader, callSize: number, begunAtMs: number) => void;
  /** The server closes the connection each time that it gets this call, so it is no longer sent. */
  readonly onRefused: (xid: number) => void;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
}

export class FailoverConnection {
  readonly #options: FailoverConnectionOptions;
  readonly #plan: AttemptsOptions;
  #state: AttemptsState;
  readonly #candidates: PortCandidates;
  #adopted: RecordConnection | null = null;
  readonly #calls = new UnansweredCalls();
  readonly #own: OwnCalls;
  /** Calls answered on the adopted connection. */
  #answeredCount = 0;
  #suspicion: Suspicion | null = null;
  readonly #clock = new EventLoopClock();
  readonly #silence: SilenceWatch;
  /** Unsent bytes of the adopted connection at the last look. */
  #unsentSize = 0;
  #paused = false;
  #ref = true;
  #attemptCount = 0;
  /** Start of the search about which Waiting was emitted. */
  #toldSinceMs = -1;
  readonly #tick: Timed = {
    dueAtMs: Number.POSITIVE_INFINITY,
    onDue: () => this.#input({ kind: 'Tick' }),
  };

  constructor(options: FailoverConnectionOptions) {
    this.#options = options;
    this.#own = new OwnCalls(options.clientIdentity, (xid) => this.#calls.has(xid));
    this.#candidates = new PortCandidates(options, {
      onProgress: (input) => this.#input(input),
      onFailed: (role) => {
        this.#suspicion = afterFailure(this.#suspicion, role);
      },
      onAdoptedBytes: () => this.#arriving(),
      onAdoptedRecord: (record) => this.#receive(record),
      onAdoptedEnd: (connection, role, reason) => this.#lost(connection, role, reason),
    });
    const silence: SilenceHandlers = {
      plan: () => (this.#adopted === null ? null : this.#state),
      hasSent: () => this.#hasSent(),
      onSilent: () => this.#input({ kind: 'Silent' }),
      onSent: () => this.#input({ kind: 'Sent' }),
      onStuck: (stuckMs, now) => {
        this.#calls.narrow(now);
        this.#breakAdopted(`the server left a call unanswered for ${stuckMs / 1000} s`);
      },
    };
    this.#silence = new SilenceWatch(this.#clock, this.#calls, silence, options.stuckMs);
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
    this.#silence.stop();
    this.#calls.clear();
  }

  /**
   * Takes a complete call record, whole or in parts, whose XID is not outstanding (see isPending). Its bytes must
   * not be changed until its reply has come.
   */
  send(xid: number, ...parts: readonly Uint8Array[]): void {
    const call = this.#calls.add(xid, parts);
    // Our own call and this one could not be told apart by their replies. One in four billion: start afresh.
    if (this.#own.has(xid)) this.#breakAdopted('XID of our own call reused');
    else if (this.#adopted === null) this.#input({ kind: 'Wanted' });
    else if (this.#calls.admit(call)) this.#transmit(this.#adopted, call);
  }

  /** A repeated call (same XID) is not to be sent again: its reply is on the way or will be asked for again. */
  isPending(xid: number): boolean {
    return this.#calls.has(xid);
  }

  /** The record of an unanswered call, with its mark, if it was sent in one part. */
  pendingRecord(xid: number): Uint8Array | null {
    return this.#calls.get(xid)?.parts[0] ?? null;
  }

  /** Stops waiting for a reply; should it come, it is ignored. The call may be executed nevertheless. */
  forget(xid: number): void {
    this.#take(xid);
    // Calls behind it may have waited for its answer.
    this.#sendWaiting();
  }

  /**
   * Like forget(), and the caller may change the call's bytes afterwards. A connection that has not sent all of them yet is reset,
   * since it would send the changed ones; the other calls are resent on the next connection.
   */
  giveBack(xid: number): void {
    const call = this.#take(xid);
    if (call === null) return;
    const adopted = this.#adopted;
    const begun = call.sentAtMs !== Number.POSITIVE_INFINITY;
    if (adopted !== null && begun && call.sentUpTo > adopted.handedOver) {
      this.#breakAdopted('a call was given up before it was sent');
    } else {
      this.#sendWaiting();
    }
  }

  /** When the oldest unanswered call was sent, on performance.now(); null: none is unanswered. */
  get pendingSinceMs(): number | null {
    return this.#calls.oldest?.begunAtMs ?? null;
  }

  get pendingCount(): number {
    return this.#calls.count;
  }

  /** Bytes of unanswered calls. */
  get pendingSize(): number {
    return this.#calls.size;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#state.adopted?.role ?? null;
  }

  /** True if no name has ever had an address, and the resolver says that none of them exists. */
  get isNameUnknown(): boolean {
    return this.#candidates.failures.isNameUnknown;
  }

  /** One sentence on why nothing is reached. */
  describeFailure(): string {
    return this.#candidates.failures.describe();
  }

  /** Whether this keeps the process alive: sockets, and the timers that open and watch them. */
  setRef(ref: boolean): void {
    if (this.#ref === ref) return;
    this.#ref = ref;
    this.#candidates.setRef(ref);
    this.#clock.setRef(ref);
  }

  /** Somebody else's calls to the adopted port are unanswered: the server is asked whether it is there, and the search begins. */
  doubt(): void {
    if (this.#adopted !== null) this.#input({ kind: 'Silent' });
  }

  /** Somebody else's call was answered at the adopted port: the connection has been of use. */
  worked(): void {
    if (this.#adopted !== null) this.#heard(true);
  }

  /** New connections to the adopted port fail: the search restarts, whatever this connection says. */
  renew(): void {
    this.#breakAdopted('new connections fail');
  }

  /** Back-pressure from the receiver of replies. Silence while paused is our own doing and starts no doubt. */
  pause(): void {
    this.#paused = true;
    this.#silence.pause();
    this.#adopted?.pause();
    if (this.#state.mode === 'suspect') this.#input({ kind: 'Heard', progress: false });
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#adopted?.resume();
    this.#silence.resume();
  }

  #input(input: AttemptsInput): void {
    const now = performance.now();
    const before = this.#state;
    const step = stepAttempts(before, input, now, this.#plan);
    this.#state = step.state;
    this.#report(before, input, now);
    for (const effect of step.effects) this.#execute(effect);
    const wakeAtMs = attemptsWakeAt(this.#state, this.#plan) ?? Number.POSITIVE_INFINITY;
    this.#clock.callAt(this.#tick, wakeAtMs);
    this.#silence.watch();
  }

  #execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        this.#attemptCount += 1;
        void this.#candidates.connect(effect.id, effect.role);
        break;
      case 'Ask':
        this.#candidates.ask(effect.id);
        break;
      case 'AskAdopted':
        this.#askAdopted();
        break;
      case 'Abandon':
        this.#candidates.abandon(effect.id);
        if (effect.id === this.#adopted?.id) this.#detach();
        break;
      case 'Adopt':
        this.#adopt(effect.id, effect.role, effect.fruitless);
        break;
    }
  }

  /** A reply of many bytes on a slow link is life, long before it is whole. */
  #arriving(): void {
    this.#silence.heard();
    this.#heard(false);
  }

  #receive(record: XdrReader): void {
    const now = performance.now();
    this.#silence.heard();
    if (record.remaining < REPLY_SIZE_MIN) {
      this.#breakAdopted(`the server sent a reply of ${record.remaining} bytes`);
      return;
    }
    const xid = peekXid(record);
    if (this.#own.isAnswer(xid)) {
      this.#heard(false);
      return;
    }
    if (this.#own.isGreeted(xid)) return;
    // Not outstanding: a reply to a call that was forgotten.
    const call = this.#take(xid);
    this.#heard(call !== null);
    if (call === null) return;
    this.#answeredCount += 1;
    this.#suspicion = null;
    this.#calls.answered(call, now);
    this.#sendWaiting();
    const { identity } = this.#candidates;
    if (identity.isWanted(now)) identity.learn(call.parts[0]!, record, now);
    this.#options.onReply(xid, record, call.size, call.begunAtMs);
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

  /** The adopted connection has ended. */
  #lost(connection: RecordConnection, role: PortRole, reason: string): void {
    this.#lookForCause(role);
    this.#detach();
    const { target } = connection;
    this.#emit({ kind: 'Lost', atMs: performance.now(), port: role, target, reason });
  }

  #breakAdopted(reason: string): void {
    if (this.#adopted === null) return;
    this.#candidates.end(this.#adopted.id, reason);
    // Our own doing says nothing about the server.
    this.#suspicion = null;
  }

  /** The adopted connection has ended: because of the one call that was on it? */
  #lookForCause(role: PortRole): void {
    const call = this.#calls.loneInFlight;
    if (this.#answeredCount > 0 || call === null) return;
    this.#suspicion = suspect(this.#suspicion, call.xid, role, performance.now());
    if (!isRefused(this.#suspicion)) return;
    this.#suspicion = null;
    this.#take(call.xid);
    // After the current step: the callback may close this connection.
    queueMicrotask(() => this.#options.onRefused(call.xid));
  }

  #detach(): void {
    this.#adopted = null;
    this.#own.clear();
    this.#calls.detach();
  }

  #adopt(id: number, role: PortRole, fruitless: boolean): void {
    const connection = this.#candidates.adopt(id);
    const now = performance.now();
    if (fruitless) this.#calls.narrow(now);
    this.#calls.restart();
    this.#answeredCount = 0;
    this.#adopted = connection;
    this.#unsentSize = 0;
    this.#silence.heard();
    connection.send(this.#own.greeting());
    if (this.#paused) connection.pause();
    this.#sendWaiting();
    this.#emit({
      kind: 'Adopted',
      atMs: now,
      port: role,
      target: connection.target,
      afterMs: now - this.#state.sinceMs,
      attempts: this.#attemptCount,
      resent: this.#calls.count,
    });
    this.#attemptCount = 0;
  }

  /** Hands over what the window admits of the calls that wait. */
  #sendWaiting(): void {
    const adopted = this.#adopted;
    if (adopted === null) return;
    for (let call = this.#calls.nextToSend(); call !== null; call = this.#calls.nextToSend())
      this.#transmit(adopted, call);
  }

  #transmit(connection: RecordConnection, call: UnansweredCall): void {
    connection.send(call.parts);
    this.#calls.sent(call, performance.now(), connection.queued);
    this.#silence.watch();
  }

  #take(xid: number): UnansweredCall | null {
    const call = this.#calls.take(xid);
    if (this.#calls.count === 0) this.#silence.relax();
    return call;
  }

  #askAdopted(): void {
    const { program, version } = this.#options;
    this.#adopted?.send([this.#own.ask(program, version)]);
  }

  /** The first call for a connection only records how much is unsent. */
  #hasSent(): boolean {
    const before = this.#unsentSize;
    this.#unsentSize = this.#adopted!.unsentSize;
    // Larger: what was there before has gone out, and the next has begun.
    return before > 0 && this.#unsentSize !== before;
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
