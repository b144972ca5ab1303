/** Who may write to a disk set: checked at each write that reaches the disks. */
import { type Incarnation, type ServerName, serverOf } from '../pair/incarnation.ts';
import type { SimulatedWitness } from './witness.ts';

/** The world as the rules look at it. */
export interface Written {
  readonly witness: SimulatedWitness;
  /** A Lease that was set back names nobody rightly: only what the volumes know is checked (R6). */
  readonly witnessForgets: boolean;
  /** There the volume's own record says what must not be: see volume-threads.ts. */
  readonly machinesPause: boolean;
  violate(message: string): void;
}

export class WriterRules {
  readonly #world: Written;
  /** By disk set: who found its volumes ahead of the Lease last, after how many restores, and whether it has told the witness. */
  readonly #refused = new Map<ServerName, { by: Incarnation; restores: number; told: boolean }>();
  /** By disk set. */
  readonly #lastWriters = new Map<ServerName, { readonly by: Incarnation; readonly epoch: number }>();

  constructor(world: Written) {
    this.#world = world;
  }

  wrote(by: Incarnation, home: ServerName, epoch: number): void {
    if (this.#world.witnessForgets) {
      this.#wroteUnwitnessed(by, home, epoch);
      return;
    }
    if (this.#world.machinesPause) return;
    const { holder, epoch: current } = this.#world.witness.record(home);
    if (holder === by && epoch === current) return;
    this.#world.violate(
      `${by} wrote to ${home} at epoch ${epoch}; the Lease names ${holder} at epoch ${current}`,
    );
  }

  /** It has written into the Lease that nobody holds it. */
  released(by: Incarnation, home: ServerName): void {
    const refused = this.#refused.get(home);
    if (refused?.by === by) refused.told = true;
  }

  /**
   * R6 is a verdict: once its finder has told the witness, no run of either server tries again, as long as the witness forgets
   * nothing more; and its finder does not in any case.
   */
  foundAhead(by: Incarnation, home: ServerName): void {
    if (!this.#world.witnessForgets) return;
    const restores = this.#world.witness.restores.get(home) ?? 0;
    const before = this.#refused.get(home);
    if (before?.restores === restores && (before.told || before.by === by))
      this.#world.violate(`${by} has tried ${home} again though ${before.by} had found its volumes ahead`);
    this.#refused.set(home, { by, restores, told: false });
  }

  /** The remaining rule is R6: one server for each epoch, and none after a later one. */
  #wroteUnwitnessed(by: Incarnation, home: ServerName, epoch: number): void {
    const last = this.#lastWriters.get(home);
    if (
      last !== undefined &&
      (epoch < last.epoch || (epoch === last.epoch && serverOf(by) !== serverOf(last.by)))
    )
      this.#world.violate(`${by} wrote to ${home} at epoch ${epoch} after ${last.by} at epoch ${last.epoch}`);
    this.#lastWriters.set(home, { by, epoch });
  }
}
