/**
 * A simulated client of one disk set: the real code that decides where to connect, when to doubt and when to begin anew
 * (client/attempts.ts), with a driver like client/failover-connection.ts around it. It has one call open at a time and
 * sends it again, with the same XID, over each connection that is adopted, until it is answered.
 *
 * What is between it and the servers: connections that are refused or swallowed, requests that lie in the receive buffer
 * of a stopped server and are read long after their connection was given up, answers that come late or not at all.
 */
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  attemptsWakeAt,
  initialAttempts,
  stepAttempts,
} from '../client/attempts.ts';
import type { PortRole } from '../client/transport-address.ts';
import type { ServerName } from '../pair/incarnation.ts';
import type { EventQueue } from './event-queue.ts';
import { type Answer, type Operation, RegisterHistory } from './history.ts';
import type { SimulatedProcess } from './process.ts';
import type { Random } from './random.ts';
import type { SimulatedVolume } from './volume.ts';

/** Names in a disk set: few, so that clients meet. */
const NAMES = ['a', 'b', 'c'] as const;

/** What a client needs of the world around it. */
export interface ClientWorld {
  readonly queue: EventQueue;
  /** The server process that listens at this port now; null: nobody. */
  listening(home: ServerName, role: PortRole): SimulatedProcess | null;
  violate(message: string): void;
  note(line: string): void;
  readonly calm: boolean;
}

/** Faults of a client, for showing that the checker sees them. */
export type ClientFault =
  /** A call that is sent again gets a new XID: it looks like another one. */
  | 'newXidWhenSentAgain'
  /** No server recognizes a call that it has answered before. */
  | 'noDuplicateRequestCache'
  /** Servers answer a moment before the change is on the disk. */
  | 'answeredBeforeDone';

interface Connection {
  readonly role: PortRole;
  readonly process: SimulatedProcess;
  open: boolean;
}

interface Call {
  readonly number: number;
  readonly name: string;
  readonly operation: Operation;
  xid: string;
}

/** All histories of one disk set; its clients share it. */
export class Histories {
  answered = 0;
  #calls = 0;
  readonly #byName = new Map(NAMES.map((name) => [name as string, new RegisterHistory()]));

  called(name: string, operation: Operation): number {
    const call = ++this.#calls;
    this.#byName.get(name)!.called(call, operation);
    return call;
  }

  hasAnswer(name: string, call: number, answer: Answer): boolean {
    this.answered++;
    return this.#byName.get(name)!.answered(call, answer);
  }
}

export class SimulatedClient {
  readonly #world: ClientWorld;
  readonly #random: Random;
  readonly #id: number;
  readonly #home: ServerName;
  readonly #histories: Histories;
  readonly #options: AttemptsOptions;
  readonly #fault: ClientFault | null;
  readonly #connections = new Map<number, Connection>();
  #state: AttemptsState;
  #adopted: number | null = null;
  #call: Call | null = null;
  #heardAt = 0;
  #sends = 0;
  #wakeAt: number | null = null;

  constructor(
    world: ClientWorld,
    random: Random,
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
    this.#options = { ...ATTEMPTS_DEFAULTS, seed: id };
    this.#state = initialAttempts(['primary', 'secondary'], this.#options);
    this.#input({ kind: 'Start' });
    this.#thinkThenCall();
  }

  #input(input: AttemptsInput): void {
    const { state, effects } = stepAttempts(this.#state, input, this.#world.queue.now, this.#options);
    this.#state = state;
    for (const effect of effects) this.#execute(effect);
    this.#sleep();
  }

  #sleep(): void {
    const { queue } = this.#world;
    const at = attemptsWakeAt(this.#state, this.#options);
    if (at === null || at === this.#wakeAt) return;
    this.#wakeAt = at;
    queue.after(Math.max(0.01, at - queue.now), () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = null;
      this.#input({ kind: 'Tick' });
    });
  }

  #execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        this.#connect(effect.id, effect.role);
        return;
      case 'Ask':
        this.#ask(effect.id, () => this.#input({ kind: 'Answered', id: effect.id }));
        return;
      case 'AskAdopted':
        this.#ask(this.#adopted!, () => this.#heard(false));
        return;
      case 'Abandon': {
        const connection = this.#connections.get(effect.id);
        if (connection !== undefined) connection.open = false;
        this.#connections.delete(effect.id);
        return;
      }
      case 'Adopt':
        this.#adopted = effect.id;
        this.#heardAt = this.#world.queue.now;
        if (this.#call !== null) this.#send();
    }
  }

  #connect(id: number, role: PortRole): void {
    const { queue } = this.#world;
    queue.after(this.#delay(), () => {
      if (!this.#state.attempts.some((attempt) => attempt.id === id)) return;
      const process = this.#world.listening(this.#home, role);
      if (process === null) {
        // A closed port behind a Service: most requests are swallowed.
        if (this.#random.chance(0.5)) this.#input({ kind: 'Lost', id });
        return;
      }
      const connection: Connection = { role, process, open: true };
      this.#connections.set(id, connection);
      process.whenClosed(this.#home, () => {
        // The end of the server, or of its service, breaks the connection; sometimes nobody tells.
        if (this.#random.chance(0.2)) return;
        queue.after(this.#delay(), () => {
          if (!connection.open) return;
          connection.open = false;
          this.#connections.delete(id);
          if (this.#adopted === id) this.#adopted = null;
          this.#input({ kind: 'Lost', id });
        });
      });
      // The kernel of a stopped server opens connections too.
      this.#input({ kind: 'Connected', id });
    });
  }

  #ask(id: number, answered: () => void): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#world.queue.after(this.#delay(), () =>
      connection.process.serve(
        this.#home,
        () => undefined,
        () => this.#world.queue.after(this.#delay(), () => connection.open && answered()),
      ),
    );
  }

  // --------------------------------------------------------------------------------------------------- calls

  #thinkThenCall(): void {
    this.#world.queue.after(this.#random.between(10, 250), () => {
      const kind = this.#random.pick(['create', 'create', 'remove', 'lookup'] as const);
      const name = this.#random.pick(NAMES);
      const id = this.#id * 1_000_000 + this.#sends + 1;
      const operation: Operation = kind === 'create' ? { kind, id } : { kind };
      const number = this.#histories.called(name, operation);
      this.#call = { number, name, operation, xid: `${this.#id}/${number}` };
      this.#input({ kind: 'Wanted' });
      if (this.#adopted !== null) this.#send();
    });
  }

  #send(): void {
    const call = this.#call!;
    const connection = this.#connections.get(this.#adopted!);
    if (connection === undefined) return;
    this.#sends++;
    if (this.#fault === 'newXidWhenSentAgain') call.xid = `${this.#id}/${call.number}/${this.#sends}`;
    const { xid, name, operation } = call;
    // What has been sent is read sooner or later, also when its connection has been given up meanwhile.
    this.#world.queue.after(this.#delay(), () =>
      connection.process.serve(
        this.#home,
        (volume) => this.#carryOut(volume, connection.process, xid, name, operation),
        (answer) =>
          this.#world.queue.after(this.#delay(), () => {
            if (connection.open) this.#answered(call, answer);
          }),
      ),
    );
    this.#watchSilence();
  }

  #carryOut(
    volume: SimulatedVolume,
    process: SimulatedProcess,
    xid: string,
    name: string,
    operation: Operation,
  ): Answer {
    if (this.#fault === 'noDuplicateRequestCache') volume.forgetAnswers();
    if (this.#fault !== 'answeredBeforeDone') return volume.execute(xid, name, operation);
    this.#world.queue.after(30, () => process.run(() => volume.execute(xid, name, operation)));
    return volume.foresee(xid, name, operation);
  }

  #watchSilence(): void {
    const { queue } = this.#world;
    const since = queue.now;
    queue.after(this.#state.patienceMs, () => {
      if (this.#call === null || this.#adopted === null) return;
      if (queue.now - Math.max(since, this.#heardAt) >= this.#state.patienceMs - 0.001)
        this.#input({ kind: 'Silent' });
      this.#watchSilence();
    });
  }

  #answered(call: Call, answer: Answer): void {
    this.#heard(true);
    if (this.#call !== call) return;
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

  #heard(progress: boolean): void {
    this.#heardAt = this.#world.queue.now;
    this.#input({ kind: 'Heard', progress });
  }

  #delay(): number {
    return this.#random.delay(0.5, this.#world.calm ? 20 : 1500);
  }
}
