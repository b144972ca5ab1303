/** The interconnect between processes: delays, losses, cuts in one direction or both. */

import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import type { PairMessage } from '../pair/messages.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';
import type { SimulatedProcess } from './process.ts';

export class SimulatedNetwork {
  /** Chance that a message is lost although nothing is cut. */
  lossRate = 0;
  /** Every message takes up to this much longer, each its own time (full buffers, retransmissions). */
  slownessMs = 0;
  readonly #queue: EventQueue;
  readonly #random: SeededRandom;
  readonly #leaseMs: number;
  readonly #cut = new Set<ServerName>();

  constructor(queue: EventQueue, random: SeededRandom, leaseMs: number) {
    this.#queue = queue;
    this.#random = random;
    this.#leaseMs = leaseMs;
  }

  /** Nothing that `server` sends arrives, until `mend`. */
  cut(server: ServerName): void {
    this.#cut.add(server);
  }

  mend(server: ServerName): void {
    this.#cut.delete(server);
  }

  deliver(from: SimulatedProcess, to: SimulatedProcess, message: PairMessage): void {
    const sender = from.me;
    this.#carry(from.state.identity.server, () => to.input({ kind: 'message', from: sender, message }));
  }

  /** The news of a death, sent by the sentinel beside the dead process. */
  carryDeath(
    server: ServerName,
    to: SimulatedProcess,
    died: { incarnation: Incarnation; holdings: SimulatedProcess['registered'] },
  ): void {
    const evidence = `sentinel: ${died.incarnation} has exited`;
    this.#carry(server, () => to.input({ kind: 'died', died: { kind: 'died', ...died, evidence } }));
  }

  #carry(sender: ServerName, action: () => void): void {
    if (this.#cut.has(sender) || this.#random.chance(this.lossRate)) return;
    const late = this.#random.chance(0.01);
    const delay = late ? this.#random.between(0, 2 * this.#leaseMs) : this.#random.delay(0.5, 50);
    this.#queue.after(delay + this.#random.between(0, this.slownessMs), action);
  }
}
