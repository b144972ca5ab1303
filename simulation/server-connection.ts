/** A simulated connection from a client to a server's process: nothing on it overtakes anything. */
import type { PortRole } from '../client/transport-address.ts';
import type { ServerName } from '../pair/incarnation.ts';
import type { EventQueue } from './event-queue.ts';
import type { SimulatedProcess } from './process.ts';

export class ServerConnection {
  readonly role: PortRole;
  /** Whose disk set is served there. */
  readonly home: ServerName;
  readonly process: SimulatedProcess;
  open = true;
  readonly #queue: EventQueue;
  readonly #delay: () => number;
  readonly #arrivesAt = { there: 0, back: 0 };

  /** `delay`: how long the next message is under way, in ms. */
  constructor(
    role: PortRole,
    home: ServerName,
    process: SimulatedProcess,
    queue: EventQueue,
    delay: () => number,
  ) {
    this.role = role;
    this.home = home;
    this.process = process;
    this.#queue = queue;
    this.#delay = delay;
  }

  arrive(way: 'there' | 'back', action: () => void): void {
    const at = Math.max(this.#queue.now + this.#delay(), this.#arrivesAt[way]);
    this.#arrivesAt[way] = at;
    this.#queue.after(at - this.#queue.now, action);
  }

  /** NULL, and its answer if the server gives one. */
  ask(answered: () => void): void {
    this.arrive('there', () =>
      this.process.serve(
        this.home,
        () => undefined,
        () => this.arrive('back', () => this.open && answered()),
      ),
    );
  }
}
