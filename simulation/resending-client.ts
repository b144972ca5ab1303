/**
 * A simulated client with many calls under way. The real code decides where to connect (client/attempts.ts), how much to send again
 * at a time (client/resend-window.ts) and which call no server takes (client/refused-call.ts). The driver is like
 * client/failover-connection.ts.
 */

import { attemptsWakeAt, stepAttempts } from '../client/attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from '../client/attempts-state.ts';
import { afterFailure, isRefused, type Suspicion, suspect } from '../client/refused-call.ts';
import {
  admits,
  afterAnswer,
  afterFruitless,
  OPEN_WINDOW,
  type ResendWindow,
} from '../client/resend-window.ts';
import type { PortRole } from '../client/transport-address.ts';
import type { ServerName } from '../pair/incarnation.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { ClientWorld } from './client.ts';
import type { SimulatedProcess } from './process.ts';

// It begins as a client does that has mounted nothing: it knows no file handle, so it can ask no server to prove whose disks it
// serves, until its first call was answered.

/** Bytes of a call. */
const CALL_SIZE = 256 * 1024;
const UNDER_WAY_MAX = 6;

/** Faults of a client, for showing that the scenarios see them. */
export type ResendingFault =
  /** All that is unanswered goes out at once, whatever came of it the last time. */
  | 'noResendWindow'
  /** A port that refuses connections does not start the count anew. */
  | 'suspicionKept'
  /** A call that was found to be refused is sent again. */
  | 'refusalIgnored'
  /** A server that was not asked counts as one that has proven itself. */
  | 'unprovenTakenAsProven'
  /** A server that fails the proof is adopted. */
  | 'strangerAdopted';

export interface ResendingOptions {
  readonly home: ServerName;
  /** How many calls it makes. */
  readonly calls: number;
  /** The call, by number, that every server answers by closing the connection; null: none. */
  readonly refused: number | null;
  /** How often a name leads to the partner, which serves its own disks at the port that is asked. */
  readonly strangers: Readonly<Record<PortRole, number>>;
  /** Longest time that a request or an answer is under way, ms. */
  readonly delayMsMax: number;
  readonly fault?: ResendingFault | null;
}

interface Connection {
  readonly role: PortRole;
  readonly home: ServerName;
  readonly process: SimulatedProcess;
  open: boolean;
  /** Nothing on a connection overtakes anything. */
  readonly arrivesAt: { there: number; back: number };
}

interface Call {
  readonly number: number;
  sent: boolean;
}

export class ResendingClient {
  /** Calls that were answered, and those that were given up as refused. */
  answered = 0;
  readonly refused: number[] = [];
  /** Calls that were sent, again or for the first time. */
  sends = 0;
  readonly #world: ClientWorld;
  readonly #random: SeededRandom;
  readonly #options: ResendingOptions;
  readonly #plan: AttemptsOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #pending = new Map<number, Call>();
  #state: AttemptsState;
  #adopted: number | null = null;
  /** Somebody has answered a call: a file handle is known. */
  #known = false;
  #made = 0;
  #window: ResendWindow = OPEN_WINDOW;
  #inFlight = 0;
  #answeredHere = 0;
  #suspicion: Suspicion | null = null;
  #heardAt = 0;
  #wakeAt: number | null = null;

  constructor(world: ClientWorld, random: SeededRandom, options: ResendingOptions) {
    this.#world = world;
    this.#random = random;
    this.#options = options;
    this.#plan = { ...ATTEMPTS_DEFAULTS, seed: random.below(1_000_000) };
    this.#state = initialAttempts(['primary', 'secondary'], this.#plan);
    this.#input({ kind: 'Start' });
    this.#makeCalls();
    this.#watchSilence();
  }

  get finished(): boolean {
    return this.#made === this.#options.calls && this.#pending.size === 0;
  }

  /** The connection that carries the calls breaks. */
  breakConnection(): void {
    const id = this.#adopted;
    const connection = id === null ? undefined : this.#connections.get(id);
    if (id !== null && connection !== undefined) this.#ended(id, connection);
  }

  #has(fault: ResendingFault): boolean {
    return this.#options.fault === fault;
  }

  #input(input: AttemptsInput): void {
    const { state, effects } = stepAttempts(this.#state, input, this.#world.queue.now, this.#plan);
    this.#state = state;
    for (const effect of effects) this.#execute(effect);
    const at = attemptsWakeAt(this.#state, this.#plan);
    if (at === null || at === this.#wakeAt) return;
    this.#wakeAt = at;
    this.#world.queue.after(Math.max(0.01, at - this.#world.queue.now), () => {
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
        this.#ask(effect.id, (connection) => this.#judge(effect.id, connection));
        return;
      case 'AskAdopted':
        this.#ask(this.#adopted!, () => this.#heard(false));
        return;
      case 'Abandon': {
        const connection = this.#connections.get(effect.id);
        if (connection !== undefined) connection.open = false;
        this.#connections.delete(effect.id);
        if (effect.id === this.#adopted) this.#detach();
        return;
      }
      case 'Adopt':
        this.#adopt(effect.id, effect.fruitless);
    }
  }

  // ---------------------------------------------------------------------------------------------- connections

  #connect(id: number, role: PortRole): void {
    this.#world.queue.after(this.#delay(), () => {
      if (!this.#state.attempts.some((attempt) => attempt.id === id)) return;
      const stranger = this.#random.chance(this.#options.strangers[role]);
      const home = stranger ? this.#world.partnerOf(this.#options.home) : this.#options.home;
      const process = this.#world.listening(home, stranger ? 'primary' : role);
      if (process === null) {
        if (this.#random.chance(0.5)) this.#failed(id, role);
        return;
      }
      const connection: Connection = { role, home, process, open: true, arrivesAt: { there: 0, back: 0 } };
      this.#connections.set(id, connection);
      process.whenClosed(home, () =>
        this.#world.queue.after(this.#delay(), () => {
          if (connection.open) this.#ended(id, connection);
        }),
      );
      this.#input({ kind: 'Connected', id });
    });
  }

  /** NULL was answered. Whose disks are served there can be asked only when a file handle is known. */
  #judge(id: number, { role, home }: Connection): void {
    if (!this.#known) {
      this.#input({ kind: 'Answered', id, proven: this.#has('unprovenTakenAsProven') });
    } else if (home === this.#options.home || this.#has('strangerAdopted')) {
      this.#input({ kind: 'Answered', id, proven: true });
    } else {
      this.#connections.get(id)!.open = false;
      this.#connections.delete(id);
      this.#failed(id, role);
    }
  }

  #failed(id: number, role: PortRole): void {
    if (!this.#has('suspicionKept')) this.#suspicion = afterFailure(this.#suspicion, role);
    this.#input({ kind: 'Lost', id });
  }

  #ended(id: number, connection: Connection): void {
    connection.open = false;
    this.#connections.delete(id);
    if (id !== this.#adopted) {
      this.#failed(id, connection.role);
      return;
    }
    this.#lookForCause(connection.role);
    this.#detach();
    this.#input({ kind: 'Lost', id });
  }

  /** The adopted connection has ended: because of the one call that was on it? */
  #lookForCause(role: PortRole): void {
    const sent = [...this.#pending.values()].filter((call) => call.sent);
    if (this.#answeredHere > 0 || sent.length !== 1) return;
    const { number } = sent[0]!;
    this.#suspicion = suspect(this.#suspicion, number, role, this.#world.queue.now);
    if (!isRefused(this.#suspicion) || this.#has('refusalIgnored')) return;
    this.#suspicion = null;
    this.#pending.delete(number);
    this.refused.push(number);
    this.#world.note(`call ${number} is given up as refused`);
    if (number !== this.#options.refused)
      this.#world.violate(`call ${number} was given up as one that no server takes, and any server takes it`);
    this.#makeCalls();
  }

  #detach(): void {
    this.#adopted = null;
    for (const call of this.#pending.values()) call.sent = false;
  }

  #adopt(id: number, fruitless: boolean): void {
    if (fruitless) this.#window = afterFruitless(this.#window, this.#inFlight, this.#world.queue.now);
    if (this.#has('noResendWindow')) this.#window = OPEN_WINDOW;
    this.#detach();
    this.#inFlight = 0;
    this.#answeredHere = 0;
    this.#adopted = id;
    this.#heardAt = this.#world.queue.now;
    this.#sendWaiting();
  }

  #ask(id: number, answered: (connection: Connection) => void): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#arrive(connection, 'there', () =>
      connection.process.serve(
        connection.home,
        () => undefined,
        () => this.#arrive(connection, 'back', () => connection.open && answered(connection)),
      ),
    );
  }

  #arrive(connection: Connection, way: 'there' | 'back', action: () => void): void {
    const { queue } = this.#world;
    const at = Math.max(queue.now + this.#delay(), connection.arrivesAt[way]);
    connection.arrivesAt[way] = at;
    queue.after(at - queue.now, action);
  }

  // --------------------------------------------------------------------------------------------------- calls

  /** As many as may be under way. What comes first is one call alone: MOUNT. */
  #makeCalls(): void {
    const most = this.#known ? UNDER_WAY_MAX : 1;
    while (this.#made < this.#options.calls && this.#pending.size < most) {
      this.#made++;
      this.#pending.set(this.#made, { number: this.#made, sent: false });
    }
    if (this.#adopted === null) this.#input({ kind: 'Wanted' });
    else this.#sendWaiting();
  }

  #sendWaiting(): void {
    for (const call of this.#pending.values()) {
      if (call.sent) continue;
      if (!admits(this.#window, this.#inFlight, CALL_SIZE)) return;
      this.#send(call);
    }
  }

  #send(call: Call): void {
    const id = this.#adopted!;
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    call.sent = true;
    this.#inFlight += CALL_SIZE;
    this.sends++;
    this.#arrive(connection, 'there', () =>
      connection.process.serve(
        connection.home,
        () => undefined,
        () => {
          if (call.number === this.#options.refused) this.#closedByServer(id, connection);
          else
            this.#arrive(connection, 'back', () => {
              if (connection.open) this.#replied(call, connection);
            });
        },
      ),
    );
  }

  #closedByServer(id: number, connection: Connection): void {
    this.#arrive(connection, 'back', () => {
      if (connection.open) this.#ended(id, connection);
    });
  }

  #replied(call: Call, { home }: Connection): void {
    if (home !== this.#options.home)
      this.#world.violate(`the server of ${home} answered call ${call.number} to ${this.#options.home}`);
    if (!this.#pending.delete(call.number)) return;
    this.#inFlight -= CALL_SIZE;
    this.#known = true;
    this.answered++;
    this.#answeredHere++;
    this.#suspicion = null;
    this.#window = afterAnswer(this.#window, CALL_SIZE, this.#world.queue.now);
    this.#heard(true);
    this.#makeCalls();
  }

  #heard(progress: boolean): void {
    this.#heardAt = this.#world.queue.now;
    this.#input({ kind: 'Heard', progress });
  }

  #watchSilence(): void {
    const { queue } = this.#world;
    queue.after(this.#state.patienceMs, () => {
      if (this.finished) return;
      const waits = this.#adopted !== null && this.#pending.size > 0;
      if (waits && queue.now - this.#heardAt >= this.#state.patienceMs - 0.001)
        this.#input({ kind: 'Silent' });
      this.#watchSilence();
    });
  }

  #delay(): number {
    return this.#random.delay(0.5, this.#options.delayMsMax);
  }
}
