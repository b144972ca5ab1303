/**
 * A simulated client of one disk set: the real code that decides where to connect, when to doubt and when to restart
 * (client/attempts.ts), with a driver like client/failover-connection.ts around it. It has one call open at a time and sends it
 * again, with the same XID, over each connection that is adopted, until it is answered.
 */

import { ATTEMPTS_DEFAULTS } from '../client/attempts-state.ts';
import type { PortRole } from '../client/transport-address.ts';
import type { ServerName } from '../pair/incarnation.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import { AttemptsDriver } from './attempts-driver.ts';
import type { OpenDiskSet } from './data-path-host.ts';
import type { EventQueue } from './event-queue.ts';
import { type Answer, type Operation, RegisterHistory } from './history.ts';
import type { SimulatedProcess } from './process.ts';
import { ServerConnection } from './server-connection.ts';
import type { SimulatedVolume } from './volume.ts';

// The network between it and the servers: connections that are refused or swallowed, and answers that come late or not at all.
// Requests lie in the receive buffer of a stopped server and are read long after their connection was given up.

/** How often the failover name leads a client to the disk set of the partner, which its server serves itself. */
const STRANGER_RATE = 0.2;

/** Names in a disk set: few, so that clients meet. */
const NAMES = ['a', 'b', 'c'] as const;

/** The world around a client, as far as it needs that. */
export interface ClientWorld {
  readonly queue: EventQueue;
  /** The server process that listens at this port now; null: nobody. */
  listening(home: ServerName, role: PortRole): SimulatedProcess | null;
  partnerOf(server: ServerName): ServerName;
  violate(message: string): void;
  note(line: string): void;
  readonly calm: boolean;
}

/** Faults of a client, for showing that the checker sees them. */
export type ClientFault =
  /** It is not asked whose disks a server serves. */
  | 'whoeverAnswersIsAdopted'
  /** A call that is sent again gets a new XID: it looks like another one. */
  | 'newXidWhenSentAgain'
  /** No server recognizes a call that it has answered before. */
  | 'noDuplicateRequestCache'
  /** A server keeps no WRITE in memory to recognize its copy by. */
  | 'writesNotRecognized'
  /** A server still executes what comes over a connection whose client has spoken over a later one. */
  | 'oldConnectionsServed'
  /** A server does not look whether the kernel could write out what it flushes. */
  | 'writeBackErrorForgotten'
  /** All openings of a disk set have the same write verifier. */
  | 'verifierKept'
  /** Servers answer a moment before the change is on the disk. */
  | 'answeredBeforeDone';

interface Call {
  readonly number: number;
  readonly name: string;
  readonly operation: Operation;
  xid: string;
  /** Verifier of a WRITE that is not stable, as it was told. Null: not yet, or all of its data has to be sent again. */
  verifier: string | null;
  /** Grows with each request that is not a copy. */
  requests: number;
}

/** As a server sends it. */
interface Reply {
  readonly answer: Answer;
  readonly verifier: string;
}

/** Knowledge that one opening of a disk set has in memory, and the next one has not. */
class ServersMemory {
  readonly verifier: string;
  /** Last WRITE of each client. */
  readonly writes = new Map<number, { readonly xid: string; readonly reply: Reply }>();
  /** Latest connection over which each client has spoken. */
  readonly connections = new Map<number, number>();
  readonly writeBackErrors: number;

  constructor(verifier: string, { writeBackErrors }: SimulatedVolume) {
    this.verifier = verifier;
    this.writeBackErrors = writeBackErrors;
  }
}

/** All histories of one disk set; its clients share it. */
export class Histories {
  readonly #memories = new WeakMap<OpenDiskSet, ServersMemory>();
  answered = 0;
  #calls = 0;
  #openings = 0;
  readonly #byName = new Map(NAMES.map((name) => [name as string, new RegisterHistory()]));

  called(name: string, operation: Operation): number {
    const call = ++this.#calls;
    this.#byName.get(name)!.called(call, operation);
    return call;
  }

  /** Memory of that opening; its first call makes it. */
  memoryOf(opening: OpenDiskSet, make: (number: number) => ServersMemory): ServersMemory {
    const known = this.#memories.get(opening);
    if (known !== undefined) return known;
    const memory = make(++this.#openings);
    this.#memories.set(opening, memory);
    for (const history of this.#byName.values()) history.interrupted();
    return memory;
  }

  hasAnswer(name: string, call: number, answer: Answer): boolean {
    this.answered++;
    return this.#byName.get(name)!.answered(call, answer);
  }
}

export class SimulatedClient {
  readonly #world: ClientWorld;
  readonly #random: SeededRandom;
  readonly #id: number;
  readonly #home: ServerName;
  readonly #histories: Histories;
  readonly #fault: ClientFault | null;
  readonly #connections = new Map<number, ServerConnection>();
  readonly #driver: AttemptsDriver;
  #call: Call | null = null;
  #sends = 0;

  constructor(
    world: ClientWorld,
    random: SeededRandom,
    id: number,
    home: ServerName,
    histories: Histories,
    fault: ClientFault | null,
  ) {
    this.#world = world;
    this.#random = random;
    this.#id = id;
    this.#home = home;
    this.#histories = histories;
    this.#fault = fault;
    this.#driver = new AttemptsDriver(
      world.queue,
      { ...ATTEMPTS_DEFAULTS, seed: id },
      {
        connect: (attempt, role) => this.#connect(attempt, role),
        ask: (attempt) => this.#connections.get(attempt)?.ask(() => this.#prove(attempt)),
        askAdopted: (adopted) => this.#connections.get(adopted)?.ask(() => this.#driver.heard(false)),
        abandon: (attempt) => this.#abandon(attempt),
        adopt: () => {
          if (this.#call !== null) this.#send();
        },
      },
    );
    this.#driver.input({ kind: 'Start' });
    this.#thinkThenCall();
  }

  #abandon(id: number): void {
    const connection = this.#connections.get(id);
    if (connection !== undefined) connection.open = false;
    this.#connections.delete(id);
  }

  #connect(id: number, role: PortRole): void {
    const { queue } = this.#world;
    queue.after(this.#delay(), () => {
      if (!this.#driver.isAttempt(id)) return;
      const stranger = role === 'secondary' && this.#random.chance(STRANGER_RATE);
      const home = stranger ? this.#world.partnerOf(this.#home) : this.#home;
      const process = this.#world.listening(home, stranger ? 'primary' : role);
      if (process === null) {
        // A closed port behind a Service: most requests are swallowed.
        if (this.#random.chance(0.5)) this.#driver.input({ kind: 'Lost', id });
        return;
      }
      const connection = new ServerConnection(role, home, process, queue, () => this.#delay());
      this.#connections.set(id, connection);
      process.whenClosed(home, () => {
        // The end of the server, or of its service, breaks the connection; sometimes nobody tells.
        if (this.#random.chance(0.2)) return;
        queue.after(this.#delay(), () => {
          if (!connection.open) return;
          this.#abandon(id);
          if (this.#driver.adopted === id) this.#driver.adopted = null;
          this.#driver.input({ kind: 'Lost', id });
        });
      });
      // The kernel of a stopped server opens connections too.
      this.#driver.input({ kind: 'Connected', id });
    });
  }

  /** The server has answered NULL: does it hold the disk set? All that is kept there for sure is the volume. */
  #prove(id: number): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    if (connection.home === this.#home || this.#fault === 'whoeverAnswersIsAdopted') {
      this.#driver.input({ kind: 'Answered', id, proven: true });
      return;
    }
    this.#abandon(id);
    this.#driver.input({ kind: 'Lost', id });
  }

  // --------------------------------------------------------------------------------------------------- calls

  #thinkThenCall(): void {
    this.#world.queue.after(this.#random.between(10, 250), () => {
      const name = this.#random.pick(NAMES);
      const operation = this.#operation();
      const number = this.#histories.called(name, operation);
      this.#call = { number, name, operation, xid: '', verifier: null, requests: 0 };
      this.#nextRequest(this.#call);
      this.#driver.input({ kind: 'Wanted' });
      if (this.#driver.adopted !== null) this.#send();
    });
  }

  #operation(): Operation {
    const kind = this.#random.pick([
      'create',
      'create',
      'remove',
      'lookup',
      'write',
      'write',
      'read',
    ] as const);
    const fresh = this.#id * 1_000_000 + this.#sends + 1;
    if (kind === 'create') return { kind, id: fresh };
    return kind === 'write' ? { kind, data: fresh, stable: this.#random.chance(0.4) } : { kind };
  }

  #nextRequest(call: Call): void {
    call.requests++;
    call.xid = `${this.#id}/${call.number}/${call.requests}`;
  }

  #send(): void {
    const call = this.#call!;
    const connection = this.#connections.get(this.#driver.adopted!);
    if (connection === undefined) return;
    this.#sends++;
    if (this.#fault === 'newXidWhenSentAgain') this.#nextRequest(call);
    const { xid, verifier } = call;
    const over = this.#driver.adopted!;
    // A sent call is read sooner or later, also when its connection has been given up meanwhile.
    connection.arrive('there', () =>
      connection.process.serve(
        connection.home,
        (volume) =>
          this.#carryOut(volume, connection.process, call, { xid, over, commit: verifier !== null }),
        (reply) => {
          if (reply === null) return;
          connection.arrive('back', () => {
            if (connection.open) this.#replied(call, xid, reply);
          });
        },
      ),
    );
    this.#watchSilence();
  }

  /** The server's side. Null: no answer. */
  #carryOut(
    volume: SimulatedVolume,
    process: SimulatedProcess,
    { name, operation }: Call,
    { xid, over, commit }: { readonly xid: string; readonly over: number; readonly commit: boolean },
  ): Reply | null {
    const opening = process.open.get(this.#home);
    if (opening === undefined) {
      // It was in hand when the disk set was closed: made, and not answered.
      if (!commit) volume.execute(xid, name, operation);
      return null;
    }
    const memory = this.#histories.memoryOf(
      opening,
      (number) => new ServersMemory(this.#fault === 'verifierKept' ? '' : `opening ${number}`, volume),
    );
    const latest = memory.connections.get(this.#id) ?? 0;
    if (over < latest && this.#fault !== 'oldConnectionsServed') return null;
    memory.connections.set(this.#id, Math.max(over, latest));
    const { verifier } = memory;
    if (operation.kind === 'write') {
      const known = memory.writes.get(this.#id);
      if (known?.xid === xid && this.#fault !== 'writesNotRecognized') return known.reply;
      if (commit || operation.stable) {
        const failed = volume.writeBackErrors > memory.writeBackErrors;
        if (failed && this.#fault !== 'writeBackErrorForgotten') {
          process.halt(this.#home, 0);
          return null;
        }
        volume.flush(name);
      }
      const answer: Answer = commit ? { kind: 'ok' } : volume.execute(xid, name, operation);
      if (!commit) memory.writes.set(this.#id, { xid, reply: { answer, verifier } });
      return { answer, verifier };
    }
    if (this.#fault === 'noDuplicateRequestCache') volume.forgetAnswers();
    if (this.#fault !== 'answeredBeforeDone')
      return { answer: volume.execute(xid, name, operation), verifier };
    this.#world.queue.after(30, () => process.run(() => volume.execute(xid, name, operation)));
    return { answer: volume.foresee(xid, name, operation), verifier };
  }

  #watchSilence(): void {
    const { queue } = this.#world;
    const since = queue.now;
    queue.after(this.#driver.state.patienceMs, () => {
      if (this.#call === null || this.#driver.adopted === null) return;
      if (this.#driver.isSilentSince(since)) this.#driver.input({ kind: 'Silent' });
      this.#watchSilence();
    });
  }

  #replied(call: Call, xid: string, { answer, verifier }: Reply): void {
    this.#driver.heard(true);
    if (this.#call !== call || call.xid !== xid) return;
    const { operation } = call;
    if (
      operation.kind !== 'write' ||
      operation.stable ||
      answer.kind !== 'ok' ||
      call.verifier === verifier
    ) {
      this.#answered(call, answer);
      return;
    }
    // The WRITE was answered: COMMIT. The COMMIT was, and by another opening: whatever was written may be lost.
    call.verifier = call.verifier === null ? verifier : null;
    this.#nextRequest(call);
    if (this.#driver.adopted !== null) this.#send();
  }

  #answered(call: Call, answer: Answer): void {
    this.#call = null;
    const { name, number, operation } = call;
    this.#world.note(
      `client ${this.#id}: ${operation.kind} ${this.#home}/${name} -> ${JSON.stringify(answer)}`,
    );
    if (!this.#histories.hasAnswer(name, number, answer))
      this.#world.violate(
        `client ${this.#id}: no order of the calls explains that ${JSON.stringify(operation)} of ${this.#home}/${name} was answered ${JSON.stringify(answer)}`,
      );
    else this.#thinkThenCall();
  }

  #delay(): number {
    return this.#random.delay(0.5, this.#world.calm ? 20 : 1500);
  }
}
