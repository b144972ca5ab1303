/** The gate of all volumes that a thread changes for one disk set (system/write-gate.ts). */

import type { DiskSetSide } from '../../pair/types.ts';
import type { WriteGate } from '../system/write-gate.ts';
import type { LeaseTable } from './lease-table.ts';

// It is open while the right to serve is held and nothing has ended or holds up the service:
//
//   open --> frozen --> open      a freeze: nothing is changed until it ends
//     |        |
//     +--------+----> closed      for good: `closed` was said
//
// Found closed because the lease is over, it stops the disk set in all threads: what comes next can rely on nothing any more.
// Asked while it is frozen or closed there is a fault in this program, since nobody has a reason to change anything then; the change
// is not made, and the fault is told.

export interface GateHooks {
  /** The lease is over: told once. The disk set is halted. */
  readonly onLeaseExpired: () => void;
  /** For the log. */
  readonly onBug: (error: unknown) => void;
}

export class VolumeGate implements WriteGate {
  readonly #leases: LeaseTable;
  readonly #side: DiskSetSide;
  readonly #hooks: GateHooks;
  #state: 'open' | 'frozen' | 'closed' = 'open';
  #over = false;

  constructor(leases: LeaseTable, side: DiskSetSide, hooks: GateHooks) {
    this.#leases = leases;
    this.#side = side;
    this.#hooks = hooks;
  }

  begin(): boolean {
    if (this.#leases.beginChange(this.#side)) {
      if (this.#state === 'open') return true;
      this.#leases.endChange(this.#side);
      this.#hooks.onBug(
        new Error(`a change of a volume was about to be made while its gate was ${this.#state}`),
      );
      return false;
    }
    this.#expire();
    return false;
  }

  end(): void {
    this.#leases.endChange(this.#side);
  }

  #expire(): void {
    if (this.#over || this.#state === 'closed') return;
    this.#over = true;
    this.#leases.halt(this.#side);
    this.#hooks.onLeaseExpired();
  }

  /** Nothing may be changed until thaw(). */
  freeze(): void {
    if (this.#state === 'open') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state === 'frozen') this.#state = 'open';
  }

  /** Nothing may be changed any more. */
  close(): void {
    this.#state = 'closed';
  }
}
