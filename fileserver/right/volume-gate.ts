/**
 * The gate of all volumes that a thread changes for one disk set (system/write-gate.ts). It is open while the right to serve is held
 * and nothing has ended or holds up the service:
 *
 *   open --> held --> open        a hold: nothing is changed until it ends
 *     |        |
 *     +--------+----> closed      for good: `closed` was said
 *
 * Found closed because the right is over, it stops the disk set in all threads: what comes next can rely on nothing any more.
 * Asked while it is held or closed there is a fault in this program, since nobody has a reason to change anything then; the change
 * is not made, and the fault is told.
 */

import type { DiskSetSide } from '../../pair/types.ts';
import type { WriteGate } from '../system/write-gate.ts';
import type { RightTable } from './right-table.ts';

export interface GateHooks {
  /** The right is over: told once. The disk set is halted. */
  readonly onRightOver: () => void;
  /** For the log. */
  readonly onBug: (error: unknown) => void;
}

export class VolumeGate implements WriteGate {
  readonly #rights: RightTable;
  readonly #slot: DiskSetSide;
  readonly #hooks: GateHooks;
  #state: 'open' | 'held' | 'closed' = 'open';
  #over = false;

  constructor(rights: RightTable, slot: DiskSetSide, hooks: GateHooks) {
    this.#rights = rights;
    this.#slot = slot;
    this.#hooks = hooks;
  }

  begin(): boolean {
    if (this.#rights.beginChange(this.#slot)) {
      if (this.#state === 'open') return true;
      this.#rights.endChange(this.#slot);
      this.#hooks.onBug(
        new Error(`a change of a volume was about to be made while its gate was ${this.#state}`),
      );
      return false;
    }
    this.#endRight();
    return false;
  }

  end(): void {
    this.#rights.endChange(this.#slot);
  }

  #endRight(): void {
    if (this.#over || this.#state === 'closed') return;
    this.#over = true;
    this.#rights.halt(this.#slot);
    this.#hooks.onRightOver();
  }

  /** Nothing may be changed until release(). */
  hold(): void {
    if (this.#state === 'open') this.#state = 'held';
  }

  release(): void {
    if (this.#state === 'held') this.#state = 'open';
  }

  /** Nothing may be changed any more. */
  close(): void {
    this.#state = 'closed';
  }
}
