/**
 * A simulated client with many calls under way. The real code decides where to connect (client/attempts.ts), how much to send again
 * at a time (client/resend-window.ts) and which call no server takes (client/refused-call.ts). The driver is like
 * client/failover-connection.ts.
 */

import { ATTEMPTS_DEFAULTS } from '../client/attempts-state.ts';
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
import { AttemptsDriver } from './attempts-driver.ts';
import type { ClientWorld } from './client.ts';
import { ServerConnection } from './server-connection.ts';

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
  readonly #driver: AttemptsDriver;
  readonly #connections = new Map<number, ServerConnection>();
  readonly #pending = new Map<number, Call>();
  /** Somebody has answered a call: a file handle is known. */
  #known = false;
  #made = 0;
  #window: ResendWindow = OPEN_WINDOW;
  #inFlight = 0;
  #answeredHere = 0;
  #suspicion: Suspicion | null = null;

  constructor(world: ClientWorld, random: SeededRandom, options: ResendingOptions) {
    this.#world = world;
    this.#random = random;
    this.#options = options;
    const plan = { ...ATTEMPTS_DEFAULTS, seed: random.below(1_000_000) };
    this.#driver = new AttemptsDriver(world.queue, plan, {
      connect: (id, role) => this.#connect(id, role),
      ask: (id) => {
        const connection = this.#connections.get(id);
        connection?.ask(() => this.#judge(id, connection));
      },
      askAdopted: (id) => this.#connections.get(id)?.ask(() => this.#driver.heard(false)),
      abandon: (id) => {
        this.#close(id);
        if (id === this.#driver.adopted) this.#detach();
      },
      adopt: (_, fruitless) => this.#adopt(fruitless),
    });
    this.#driver.input({ kind: 'Start' });
    this.#makeCalls();
    this.#watchSilence();
  }

  get finished(): boolean {
    return this.#made === this.#options.calls && this.#pending.size === 0;
  }

  /** The connection that carries the calls breaks. */
  breakConnection(): void {
    const id = this.#driver.adopted;
    const connection = id === null ? undefined : this.#connections.get(id);
    if (id !== null && connection !== undefined) this.#ended(id, connection);
  }

  #has(fault: ResendingFault): boolean {
    return this.#options.fault === fault;
  }

  // ---------------------------------------------------------------------------------------------- connections

  #connect(id: number, role: PortRole): void {
    this.#world.queue.after(this.#delay(), () => {
      if (!this.#driver.isAttempt(id)) return;
      const stranger = this.#random.chance(this.#options.strangers[role]);
      const home = stranger ? this.#world.partnerOf(this.#options.home) : this.#options.home;
      const process = this.#world.listening(home, stranger ? 'primary' : role);
      if (process === null) {
        if (this.#random.chance(0.5)) this.#failed(id, role);
        return;
      }
      const connection = new ServerConnection(role, home, process, this.#world.queue, () => this.#delay());
      this.#connections.set(id, connection);
      process.whenClosed(home, () =>
        this.#world.queue.after(this.#delay(), () => {
          if (connection.open) this.#ended(id, connection);
        }),
      );
      this.#driver.input({ kind: 'Connected', id });
    });
  }

  #close(id: number): void {
    const connection = this.#connections.get(id);
    if (connection !== undefined) connection.open = false;
    this.#connections.delete(id);
  }

  /** NULL was answered. Whose disks are served there can be asked only when a file handle is known. */
  #judge(id: number, { role, home }: ServerConnection): void {
    if (!this.#known) {
      this.#driver.input({ kind: 'Answered', id, proven: this.#has('unprovenTakenAsProven') });
    } else if (home === this.#options.home || this.#has('strangerAdopted')) {
      this.#driver.input({ kind: 'Answered', id, proven: true });
    } else {
      this.#close(id);
      this.#failed(id, role);
    }
  }

  #failed(id: number, role: PortRole): void {
    if (!this.#has('suspicionKept')) this.#suspicion = afterFailure(this.#suspicion, role);
    this.#driver.input({ kind: 'Lost', id });
  }

  #ended(id: number, connection: ServerConnection): void {
    this.#close(id);
    if (id !== this.#driver.adopted) {
      this.#failed(id, connection.role);
      return;
    }
    this.#lookForCause(connection.role);
    this.#detach();
    this.#driver.input({ kind: 'Lost', id });
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
    this.#driver.adopted = null;
    this.#unsend();
  }

  #unsend(): void {
    for (const call of this.#pending.values()) call.sent = false;
  }

  #adopt(fruitless: boolean): void {
    if (fruitless) this.#window = afterFruitless(this.#window, this.#inFlight, this.#world.queue.now);
    if (this.#has('noResendWindow')) this.#window = OPEN_WINDOW;
    this.#unsend();
    this.#inFlight = 0;
    this.#answeredHere = 0;
    this.#sendWaiting();
  }

  // --------------------------------------------------------------------------------------------------- calls

  /** As many as may be under way. What comes first is one call alone: MOUNT. */
  #makeCalls(): void {
    const most = this.#known ? UNDER_WAY_MAX : 1;
    while (this.#made < this.#options.calls && this.#pending.size < most) {
      this.#made++;
      this.#pending.set(this.#made, { number: this.#made, sent: false });
    }
    if (this.#driver.adopted === null) this.#driver.input({ kind: 'Wanted' });
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
    const id = this.#driver.adopted!;
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    call.sent = true;
    this.#inFlight += CALL_SIZE;
    this.sends++;
    connection.arrive('there', () =>
      connection.process.serve(
        connection.home,
        () => undefined,
        () => {
          if (call.number === this.#options.refused) this.#closedByServer(id, connection);
          else
            connection.arrive('back', () => {
              if (connection.open) this.#replied(call, connection);
            });
        },
      ),
    );
  }

  #closedByServer(id: number, connection: ServerConnection): void {
    connection.arrive('back', () => {
      if (connection.open) this.#ended(id, connection);
    });
  }

  #replied(call: Call, { home }: ServerConnection): void {
    if (home !== this.#options.home)
      this.#world.violate(`the server of ${home} answered call ${call.number} to ${this.#options.home}`);
    if (!this.#pending.delete(call.number)) return;
    this.#inFlight -= CALL_SIZE;
    this.#known = true;
    this.answered++;
    this.#answeredHere++;
    this.#suspicion = null;
    this.#window = afterAnswer(this.#window, CALL_SIZE, this.#world.queue.now);
    this.#driver.heard(true);
    this.#makeCalls();
  }

  #watchSilence(): void {
    const { queue } = this.#world;
    queue.after(this.#driver.state.patienceMs, () => {
      if (this.finished) return;
      const waits = this.#driver.adopted !== null && this.#pending.size > 0;
      if (waits && this.#driver.isSilentSince(0)) this.#driver.input({ kind: 'Silent' });
      this.#watchSilence();
    });
  }

  #delay(): number {
    return this.#random.delay(0.5, this.#options.delayMsMax);
  }
}
