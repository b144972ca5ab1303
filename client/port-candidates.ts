/**
 * Connections to the ports that may serve a disk set: the name resolved, the port opened, asked, and the disk set's identity
 * proven. Which of them is adopted is the plan's to say (attempts.ts).
 */
import { decodeReplyHeader, ReplyHeader } from '../protocol/rpc.ts';
import { XdrError, type XdrReader } from '../protocol/xdr.ts';
import type { AttemptsInput } from './attempts-state.ts';
import { DiskSetIdentity, type ProofQuestion } from './disk-set-identity.ts';
import { nullCall } from './own-calls.ts';
import { PortFailures } from './port-failures.ts';
import { RecordConnection } from './record-connection.ts';
import type { ReservedPorts } from './reserved-ports.ts';
import type { Resolver } from './resolver.ts';
import { type Endpoints, formatAddress, type PortRole, type TransportAddress } from './transport-address.ts';

export interface PortCandidatesOptions {
  readonly endpoints: Endpoints;
  readonly resolver: Resolver;
  /** The program and version whose NULL procedure proves that a port is served. */
  readonly program: number;
  readonly version: number;
  /** The disk set that is searched for; connections to the same one share it. Default: one of its own. */
  readonly identity?: DiskSetIdentity | undefined;
  /** Asked before each attempt: may another connection be opened? A process may run out of descriptors. */
  readonly mayConnect?: (() => boolean) | undefined;
  /** Connections are opened from local ports below 1024, if this process may. Absent: from any. */
  readonly ports?: ReservedPorts | undefined;
}

export interface PortCandidatesHandlers {
  /** For the plan: Connected, Answered or Lost. */
  readonly onProgress: (input: AttemptsInput) => void;
  /** A connection that was not adopted has ended. */
  readonly onFailed: (role: PortRole) => void;
  /** The adopted connection: part of a message, a whole one, and its end. */
  readonly onAdoptedBytes: () => void;
  readonly onAdoptedRecord: (record: XdrReader) => void;
  readonly onAdoptedEnd: (connection: RecordConnection, role: PortRole, reason: string) => void;
}

interface Candidate {
  readonly id: number;
  readonly role: PortRole;
  /** Null while its name is looked up. */
  connection: RecordConnection | null;
  /** The question that it was asked last; null: none that is unanswered. */
  asked: 'Null' | ProofQuestion | null;
  adopted: boolean;
}

export class PortCandidates {
  readonly identity: DiskSetIdentity;
  readonly failures: PortFailures;
  readonly #options: PortCandidatesOptions;
  readonly #handlers: PortCandidatesHandlers;
  readonly #candidates = new Map<number, Candidate>();
  /** Which of a name's addresses comes next. */
  readonly #rotation: Record<PortRole, number> = { primary: 0, secondary: 0 };
  readonly #header = new ReplyHeader();
  #ref = true;

  constructor(options: PortCandidatesOptions, handlers: PortCandidatesHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.identity = options.identity ?? new DiskSetIdentity();
    this.failures = new PortFailures(options.endpoints);
  }

  /** Begins to open a connection. */
  async connect(id: number, role: PortRole): Promise<void> {
    const target = this.#targetOf(role);
    if (this.#options.mayConnect?.() === false) {
      this.failures.failed(role, formatAddress(target), 'this process has no file descriptor left');
      this.#lostSoon(id);
      return;
    }
    const candidate: Candidate = { id, role, connection: null, asked: null, adopted: false };
    this.#candidates.set(id, candidate);
    let addresses: readonly string[];
    try {
      const resolved = this.#options.resolver.resolve(target.address);
      addresses = Array.isArray(resolved) ? resolved : await resolved;
    } catch (error) {
      this.#candidates.delete(id);
      this.failures.lookupFailed(role, formatAddress(target), error);
      this.#lostSoon(id);
      return;
    }
    // Abandoned while the name was being looked up.
    if (this.#candidates.get(id) !== candidate) return;
    const host = addresses[this.#rotation[role]++ % addresses.length]!;
    this.#open(candidate, host, target.discriminator.port);
  }

  /** Is the port served? For an attempt whose connection has opened. */
  ask(id: number): void {
    const candidate = this.#candidates.get(id);
    if (candidate === undefined) return;
    candidate.asked = 'Null';
    const { program, version } = this.#options;
    candidate.connection?.send([nullCall(program, version, id >>> 0)]);
  }

  /** From now on its records go to the adopted connection's handlers. */
  adopt(id: number): RecordConnection {
    const candidate = this.#candidates.get(id)!;
    candidate.adopted = true;
    this.failures.succeeded(candidate.role);
    return candidate.connection!;
  }

  /** Ends an attempt, or the adopted connection, with a reset and without a word to the handlers. */
  abandon(id: number): void {
    const candidate = this.#candidates.get(id);
    this.#candidates.delete(id);
    candidate?.connection?.abandon();
  }

  /** Ends a connection with a reset, as if it had ended by itself for this reason. */
  end(id: number, reason: string): void {
    const candidate = this.#candidates.get(id)!;
    const connection = candidate.connection!;
    connection.abandon();
    this.#ended(candidate, connection, reason);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    for (const { connection } of this.#candidates.values()) connection?.setRef(ref);
  }

  #open(candidate: Candidate, host: string, port: number): void {
    const { id } = candidate;
    const connection = new RecordConnection(
      id,
      host,
      port,
      {
        onOpen: () => this.#handlers.onProgress({ kind: 'Connected', id }),
        onBytes: () => {
          if (candidate.adopted) this.#handlers.onAdoptedBytes();
        },
        onRecord: (from, record) => {
          if (candidate.adopted) this.#handlers.onAdoptedRecord(record);
          else this.#receiveAnswer(candidate, from, record);
        },
        onEnd: (from, reason) => this.#ended(candidate, from, reason),
      },
      this.#options.ports ?? null,
    );
    if (!this.#ref) connection.setRef(false);
    candidate.connection = connection;
  }

  /** The reply to what was asked last: to NULL, or whose disks are served there. */
  #receiveAnswer(candidate: Candidate, from: RecordConnection, record: XdrReader): void {
    const { asked, id } = candidate;
    // A standby has answered everything.
    if (asked === null) return;
    try {
      if (asked === 'Null') {
        decodeReplyHeader(record, this.#header);
        const { kind } = this.#header;
        if (kind !== 'success') this.end(id, `answers NULL with ${kind}`);
        else if (this.identity.isKnown) this.#prove(candidate, from, 'Holds');
        else this.#answered(candidate, false);
        return;
      }
      const answer = this.identity.judge(asked, record);
      if (answer.kind === 'Proven') this.#answered(candidate, true);
      else if (answer.kind === 'Ask') this.#prove(candidate, from, answer.question);
      // Not the server that is looked for: a failure of its address, not of any call.
      else this.end(id, answer.reason);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.end(id, `answers without a valid RPC reply: ${error.message}`);
    }
  }

  #prove(candidate: Candidate, connection: RecordConnection, question: ProofQuestion): void {
    candidate.asked = question;
    connection.send([this.identity.ask(question, candidate.id >>> 0)]);
  }

  #answered(candidate: Candidate, proven: boolean): void {
    candidate.asked = null;
    this.#handlers.onProgress({ kind: 'Answered', id: candidate.id, proven });
  }

  #ended({ id, role, adopted }: Candidate, connection: RecordConnection, reason: string): void {
    this.#candidates.delete(id);
    this.failures.failed(role, connection.target, reason);
    if (adopted) this.#handlers.onAdoptedEnd(connection, role, reason);
    else this.#handlers.onFailed(role);
    this.#handlers.onProgress({ kind: 'Lost', id });
  }

  /** Never in the step that asked for it: effects are executed before the next input. */
  #lostSoon(id: number): void {
    queueMicrotask(() => this.#handlers.onProgress({ kind: 'Lost', id }));
  }

  #targetOf(role: PortRole): TransportAddress {
    const { endpoints } = this.#options;
    return role === 'primary' ? endpoints.primary : endpoints.secondary!;
  }
}
