/**
 * A client's connection to the servers: where the finder says that the disk set is served, asked and proven before it carries a
 * call. The plan of attempts (client/attempts.ts) decides when it is replaced; this is its driver with raw calls.
 */

import { constants } from 'node:os';
import { NativeBuffer } from '../../../native/native-buffer.ts';
import { NFS_PROGRAM, NFS_V3 } from '../../../protocol/nfs3.ts';
import { RecordParser } from '../../../protocol/record.ts';
import { decodeReplyHeader, ReplyHeader } from '../../../protocol/rpc.ts';
import { XdrError, type XdrReader } from '../../../protocol/xdr.ts';
import { attemptsWakeAt, stepAttempts } from '../../attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from '../../attempts-state.ts';
import type { DiskSetIdentity, ProofQuestion } from '../../disk-set-identity.ts';
import type { Timed } from '../../event-loop-clock.ts';
import { nullCall } from '../../own-calls.ts';
import type { Suspicion } from '../../refused-call.ts';
import { afterFailure } from '../../refused-call.ts';
import type { ReservedPorts } from '../../reserved-ports.ts';
import type { ServingPlace } from '../../serving-port/serving-port.ts';
import type { Poller, Ready } from './poller.ts';
import {
  bindPort,
  connect,
  EPOLLIN,
  EPOLLOUT,
  errorName,
  openSocket,
  receive,
  resetAndClose,
  send,
  socketAddress,
  socketError,
  WOULD_BLOCK,
} from './system-calls.ts';

const { EINPROGRESS } = constants.errno;
/** Answers to NULL and to what proves the disk set are short. Bytes. */
const ANSWER_SIZE_MAX = 64 * 1024;
/** There is one place to connect to, whichever port of the pair it is. */
const ROLE = 'primary';

/** Attempts at one place at most. More of them bring nothing: this is no search. */
const ATTEMPTS: Partial<AttemptsOptions> = { inFlightMax: 3, askingMax: 3 };

/** Objects that all clients of a thread share. */
export interface UpstreamSurroundings {
  readonly poller: Poller;
  readonly identity: DiskSetIdentity;
  readonly attempts: Partial<AttemptsOptions> | undefined;
  /** Asked before each attempt: is there a descriptor for it? */
  readonly mayConnect: () => boolean;
  /** One more connection, or one less. */
  readonly counted: (change: 1 | -1) => void;
}

export interface UpstreamHandlers {
  /** This connection carries the calls from now on. */
  readonly onAdopted: (connection: UpstreamConnection, fruitless: boolean) => void;
  /** The adopted connection is no more. `reason`: it ended; null: it is replaced. */
  readonly onDetached: (connection: UpstreamConnection, reason: string | null) => void;
  /** A new connection failed, or was not answered as it should be. */
  readonly onRefused: () => void;
  /** The adopted connection is to be asked whether its server lives. */
  readonly onAskAdopted: () => void;
  /** The adopted connection is ready. */
  readonly onReady: (events: number) => void;
  /** The plan has changed. */
  readonly onStep: (before: AttemptsState, input: AttemptsInput) => void;
}

export class UpstreamConnection implements Ready {
  readonly id: number;
  readonly fd: number;
  readonly place: ServingPlace;
  isOpen = false;
  isAdopted = false;
  asked: 'Null' | ProofQuestion | null = null;
  readonly parser = new RecordParser(ANSWER_SIZE_MAX);
  readonly #onReady: (connection: UpstreamConnection, events: number) => void;

  constructor(
    id: number,
    fd: number,
    place: ServingPlace,
    onReady: (connection: UpstreamConnection, events: number) => void,
  ) {
    this.id = id;
    this.fd = fd;
    this.place = place;
    this.#onReady = onReady;
  }

  get target(): string {
    const { host, port } = this.place;
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }

  onReady(events: number): void {
    this.#onReady(this, events);
  }
}

const answerMemory = new NativeBuffer(ANSWER_SIZE_MAX);

export class Upstream implements Timed {
  dueAtMs = Number.POSITIVE_INFINITY;
  adopted: UpstreamConnection | null = null;
  suspicion: Suspicion | null = null;
  attemptCount = 0;
  readonly plan: AttemptsOptions;
  state: AttemptsState;
  readonly #surroundings: UpstreamSurroundings;
  readonly #handlers: UpstreamHandlers;
  readonly #ports: ReservedPorts | null;
  readonly #connections = new Map<number, UpstreamConnection>();
  readonly #header = new ReplyHeader();
  #place: ServingPlace | null = null;
  #address: NativeBuffer | null = null;
  #portTries = 0;
  #closed = false;
  /** Inputs that came while effects were executed. */
  #inputs: AttemptsInput[] = [];
  #stepping = false;

  /** ports: local ports below 1024 to connect from; null: any. */
  constructor(surroundings: UpstreamSurroundings, ports: ReservedPorts | null, handlers: UpstreamHandlers) {
    this.#surroundings = surroundings;
    this.#ports = ports;
    this.#handlers = handlers;
    const seed = Math.floor(Math.random() * 2 ** 31);
    this.plan = { ...ATTEMPTS_DEFAULTS, ...surroundings.attempts, ...ATTEMPTS, seed };
    this.state = initialAttempts([ROLE], this.plan);
  }

  /** Moves to where the disk set is served from now on; null: no known place. A connection that is open there already stays. */
  move(place: ServingPlace | null): void {
    const before = this.#place;
    if (place === null) {
      this.#place = null;
      if (this.adopted === null) this.input({ kind: 'Stop' });
      return;
    }
    const current = this.adopted?.place ?? before;
    this.#place = place;
    if (current !== null && isSamePlace(current, place)) {
      if (this.state.mode === 'stopped') this.input({ kind: 'Start' });
      return;
    }
    this.#address = socketAddress(place.host, place.port);
    this.input({ kind: 'Stop' });
    // The other server's known pace does not hold here.
    const { fruitless, nextId } = this.state;
    this.state = { ...initialAttempts([ROLE], this.plan), fruitless, nextId };
    this.input({ kind: 'Start' });
  }

  input(input: AttemptsInput): void {
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#inputs.shift(); next !== undefined && !this.#closed; next = this.#inputs.shift()) {
      const before = this.state;
      const step = stepAttempts(before, next, this.#now, this.plan);
      this.state = step.state;
      this.#handlers.onStep(before, next);
      for (const effect of step.effects) this.#execute(effect);
    }
    this.#stepping = false;
    this.#arm();
  }

  onDue(): void {
    if (!this.#closed) this.input({ kind: 'Tick' });
  }

  /** Ends the adopted connection for a reason of our own. */
  break(reason: string): void {
    const connection = this.adopted;
    if (connection === null) return;
    this.end(connection, reason);
    // Our own doing says nothing about the server.
    this.suspicion = null;
  }

  /** The connection has ended, or is not to be used. */
  end(connection: UpstreamConnection, reason: string): void {
    if (!this.#connections.delete(connection.id)) return;
    this.#destroy(connection);
    if (connection === this.adopted) {
      this.adopted = null;
      this.#handlers.onDetached(connection, reason);
      this.input({ kind: 'Lost', id: connection.id });
      // Its place is known no more: there is nowhere to connect to.
      if (this.#place === null) this.input({ kind: 'Stop' });
      return;
    }
    this.suspicion = afterFailure(this.suspicion, ROLE);
    this.#handlers.onRefused();
    this.input({ kind: 'Lost', id: connection.id });
  }

  close(): void {
    this.#closed = true;
    this.#surroundings.poller.callAt(this, Number.POSITIVE_INFINITY);
    for (const connection of this.#connections.values()) this.#destroy(connection);
    this.#connections.clear();
    this.adopted = null;
  }

  get #now(): number {
    return this.#surroundings.poller.now;
  }

  #execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        this.#connect(effect.id);
        break;
      case 'Ask':
        this.#ask(effect.id);
        break;
      case 'AskAdopted':
        this.#handlers.onAskAdopted();
        break;
      case 'Abandon':
        this.#abandon(effect.id);
        break;
      case 'Adopt':
        this.#adopt(effect.id, effect.fruitless);
        break;
    }
  }

  #connect(id: number): void {
    this.attemptCount += 1;
    const { poller, counted, mayConnect } = this.#surroundings;
    const place = this.#place;
    const address = this.#address;
    if (place === null || address === null || !mayConnect()) {
      this.input({ kind: 'Lost', id });
      return;
    }
    const fd = this.#open(address);
    if (fd < 0) {
      this.suspicion = afterFailure(this.suspicion, ROLE);
      this.#handlers.onRefused();
      this.input({ kind: 'Lost', id });
      return;
    }
    const connection = new UpstreamConnection(id, fd, place, (from, events) => this.#ready(from, events));
    this.#connections.set(id, connection);
    counted(1);
    poller.add(fd, EPOLLOUT, connection);
  }

  /** A socket whose connection is being opened, or a negative errno. */
  #open(address: NativeBuffer): number {
    for (;;) {
      const fd = openSocket(address);
      if (fd < 0) return fd;
      const port = this.#ports?.next(this.#portTries) ?? 0;
      this.#portTries = port === 0 ? 0 : this.#portTries + 1;
      let result = port === 0 ? 0 : bindPort(fd, address, port);
      if (result === 0) result = connect(fd, address);
      if (result === 0 || result === -EINPROGRESS) return fd;
      resetAndClose(fd);
      if (port === 0 || this.#ports?.failed(errorName(result)) !== true) return result;
    }
  }

  #ready(connection: UpstreamConnection, events: number): void {
    if (connection.isAdopted) this.#handlers.onReady(events);
    else if (!connection.isOpen) this.#opened(connection);
    else this.#receiveAnswer(connection);
  }

  #opened(connection: UpstreamConnection): void {
    const errno = socketError(connection.fd);
    if (errno !== 0) {
      this.end(connection, errorName(-errno));
      return;
    }
    this.#portTries = 0;
    connection.isOpen = true;
    this.#surroundings.poller.change(connection.fd, EPOLLIN);
    this.input({ kind: 'Connected', id: connection.id });
  }

  #ask(id: number): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    connection.asked = 'Null';
    this.#say(connection, nullCall(NFS_PROGRAM, NFS_V3, id >>> 0));
  }

  /** On a connection that carries nothing yet there is room for it. */
  #say(connection: UpstreamConnection, record: Uint8Array): void {
    answerMemory.bytes.set(record);
    const sent = send(connection.fd, answerMemory.address, record.length);
    if (sent !== record.length) this.end(connection, sent < 0 ? errorName(sent) : 'no room for a call');
  }

  #receiveAnswer(connection: UpstreamConnection): void {
    const received = receive(connection.fd, answerMemory.address, ANSWER_SIZE_MAX);
    if (received === WOULD_BLOCK) return;
    if (received <= 0) {
      this.end(connection, received === 0 ? 'the server closed the connection' : errorName(received));
      return;
    }
    try {
      connection.parser.push(answerMemory.bytes.slice(0, received));
      while (connection.asked !== null && connection.parser.next())
        this.#judge(connection, connection.parser.record);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.end(connection, `answers without a valid RPC reply: ${error.message}`);
    }
  }

  /** The reply to what was asked last: to NULL, or whose disks are served there. */
  #judge(connection: UpstreamConnection, reply: XdrReader): void {
    const { identity } = this.#surroundings;
    if (connection.asked === 'Null') {
      decodeReplyHeader(reply, this.#header);
      const { kind } = this.#header;
      if (kind !== 'success') this.end(connection, `answers NULL with ${kind}`);
      else if (identity.isKnown) this.#prove(connection, 'Holds');
      else this.#answered(connection, false);
      return;
    }
    const answer = identity.judge(connection.asked!, reply);
    if (answer.kind === 'Proven') this.#answered(connection, true);
    else if (answer.kind === 'Ask') this.#prove(connection, answer.question);
    else this.end(connection, answer.reason);
  }

  #prove(connection: UpstreamConnection, question: ProofQuestion): void {
    connection.asked = question;
    this.#say(connection, this.#surroundings.identity.ask(question, connection.id >>> 0));
  }

  #answered(connection: UpstreamConnection, proven: boolean): void {
    connection.asked = null;
    this.input({ kind: 'Answered', id: connection.id, proven });
  }

  #abandon(id: number): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#connections.delete(id);
    this.#destroy(connection);
    if (connection !== this.adopted) return;
    this.adopted = null;
    this.#handlers.onDetached(connection, null);
  }

  #adopt(id: number, fruitless: boolean): void {
    const connection = this.#connections.get(id)!;
    connection.isAdopted = true;
    this.adopted = connection;
    this.#handlers.onAdopted(connection, fruitless);
    this.attemptCount = 0;
  }

  #destroy({ fd }: UpstreamConnection): void {
    this.#surroundings.poller.remove(fd);
    resetAndClose(fd);
    this.#surroundings.counted(-1);
  }

  #arm(): void {
    if (this.#closed) return;
    const wakeAt = attemptsWakeAt(this.state, this.plan);
    this.#surroundings.poller.callAt(this, wakeAt ?? Number.POSITIVE_INFINITY);
  }
}

function isSamePlace(a: ServingPlace, b: ServingPlace): boolean {
  return a.host === b.host && a.port === b.port && a.role === b.role;
}
