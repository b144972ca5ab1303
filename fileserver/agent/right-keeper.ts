/**
 * Publishes the right to serve one disk set and keeps the dead man's switch with it, in the order that leaves no
 * moment in which a right stands without a timer (R10).
 */
import type { DiskSetSlot, RightTable } from '../right-table.ts';
import { DeadMansSwitch } from '../system/dead-man-switch.ts';

export class RightKeeper {
  private readonly table: RightTable;
  private readonly slot: DiskSetSlot;
  private readonly deadMansSwitch = new DeadMansSwitch();
  /** Half of the guard: a live process has this long after its right to close the data path. */
  private readonly graceMs: number;

  constructor(table: RightTable, slot: DiskSetSlot, guardMs: number) {
    this.table = table;
    this.slot = slot;
    this.graceMs = guardMs / 2;
  }

  /** `until`: ms on CLOCK_BOOTTIME. Null: no right; the switch stays armed until `disarm`. */
  set(until: number | null): void {
    if (until === null) {
      this.table.set(this.slot, 0);
    } else if (until >= this.table.deadline(this.slot)) {
      this.deadMansSwitch.arm(until + this.graceMs);
      this.table.set(this.slot, until);
    } else {
      this.table.set(this.slot, until);
      this.deadMansSwitch.arm(until + this.graceMs);
    }
  }

  /** The data path has stopped. */
  disarm(): void {
    this.table.set(this.slot, 0);
    this.deadMansSwitch.disarm();
  }

  get deadline(): number {
    return this.table.deadline(this.slot);
  }
}
