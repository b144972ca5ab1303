/**
 * The simulated disks: what is mounted where, and the ownership record on each (R6). Volumes outlive processes, Leases
 * that were restored from a backup, and people who mount the wrong one.
 */
import type { Incarnation, ServerName } from '../pair/incarnation.ts';

export interface SimulatedVolume {
  /** Server to which it belongs by declaration: written once. */
  readonly home: ServerName;
  /** Of the last owner that opened it. */
  epoch: number;
  owner: Incarnation | null;
}

export class SimulatedVolumes {
  /** What lies where a disk set's volume is expected. */
  readonly #mounted = new Map<ServerName, SimulatedVolume>();

  constructor(homes: readonly ServerName[]) {
    for (const home of homes) this.#mounted.set(home, { home, epoch: 0, owner: null });
  }

  mountedFor(home: ServerName): SimulatedVolume {
    return this.#mounted.get(home)!;
  }

  /** Somebody mounts each where the other belongs; the same again puts it right. */
  swap(a: ServerName, b: ServerName): void {
    const first = this.mountedFor(a);
    this.#mounted.set(a, this.mountedFor(b));
    this.#mounted.set(b, first);
  }

  get swapped(): boolean {
    return [...this.#mounted].some(([home, volume]) => volume.home !== home);
  }
}
