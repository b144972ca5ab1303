/** Interfaces of a simulated data path to its host and to others, and the parts that all its kinds have in common. */
import type { DataPathPort } from '../pair/driver.ts';
import { type Incarnation, type ServerName, serverOf } from '../pair/incarnation.ts';
import type { Input, PairTiming } from '../pair/types.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';
import type { SurroundingFault } from './variants/variant.ts';
import type { SimulatedVolume, SimulatedVolumes } from './volume.ts';

/** The process that it is part of, and the world around that. */
export interface DataPathHost {
  readonly me: Incarnation;
  readonly timing: PairTiming;
  readonly queue: EventQueue;
  readonly random: SeededRandom;
  readonly volumes: SimulatedVolumes;
  /** True once no more faults may strike. */
  readonly calm: boolean;
  /** Then a lease says little, and what is known on the volume is looked at before each change. */
  readonly witnessForgets: boolean;
  /** Where machines are paused as a whole: see volume-threads.ts. */
  readonly volumesLookedAt: boolean;
  /** Neither stopped nor dead. */
  readonly running: boolean;
  readonly ended: boolean;
  has(fault: SurroundingFault): boolean;
  clock(): number;
  /** True time until the process's clock shows `at`, ms. */
  msUntil(at: number): number;
  /** All processes' clocks as far as they have run: a machine that is paused counts no time. */
  runningClocks(): ReadonlyMap<Incarnation, number>;
  /** How long the volume's disk will not answer this process, ms. */
  hangsMs(volume: SimulatedVolume): number;
  /** A volume was changed after somebody newer had taken it, which the look does not prevent. */
  landedLate(): void;
  /** Runs now, or after the stop. Never after the end. */
  run(action: () => void): void;
  stop(forMs: number): void;
  /** The same, and where machines are paused unseen no news reaches the process for a while afterwards. */
  stopUntold(forMs: number): void;
  /** Those of the other server that are stopped go on, in the very moment in which a volume of theirs is opened. */
  othersGoOn(): void;
  input(input: Input): void;
  /** `volume`: which, if the disk set has several. */
  wrote(home: ServerName, epoch: number, volume?: SimulatedVolume): void;
  /** A volume has refused the disk set's owner: it knows of a later one. */
  foundAhead(home: ServerName): void;
  violate(message: string): void;
}

export interface OpenDiskSet {
  readonly epoch: number;
  /** opening, then open; quiescing ends by itself. */
  phase: 'opening' | 'open' | 'quiescing';
  /** No thread changes or answers anything any more, until it is closed. */
  halted?: true;
}

/** A data path as the process and its clients see it. */
export interface SimulatedPath extends DataPathPort {
  readonly leaseEnds: ReadonlyMap<ServerName, number>;
  readonly diskSets: ReadonlyMap<ServerName, OpenDiskSet>;
  /** A client's call; see SimulatedDataPath. */
  serve<T>(home: ServerName, execute: (volume: SimulatedVolume) => T, answer: (result: T) => void): void;
  whenClosed(home: ServerName, action: () => void): void;
  halt(home: ServerName, reportAfterMs: number): void;
  end(): void;
}

/** Between a cut of the lease and the look at what is still in hand. */
export const CUT_LOOK_MS = 1;
/** A thread that cannot open its volume lets the others stop for so long before the failure is reported. */
export const GIVE_UP_MS = 1000;

/** Connections of clients, each with what is to be done when it ends. */
export class ServedConnections {
  readonly #all: { readonly home: ServerName; readonly action: () => void }[] = [];

  /** Once, when the process serves the disk set no more, for whatever reason. */
  whenClosed(home: ServerName, action: () => void): void {
    this.#all.push({ home, action });
  }

  end(which: (home: ServerName) => boolean): void {
    const all = this.#all.splice(0);
    for (const one of all) if (which(one.home)) one.action();
    this.#all.push(...all.filter(({ home }) => !which(home)));
  }
}

/** Mostly quick; sometimes the disk stalls for longer than any lease. ms */
export function diskTime({ random, calm, timing }: DataPathHost, typicalMs: number): number {
  return !calm && random.chance(0.01) ? random.between(1, 3) * timing.leaseMs : random.delay(typicalMs, 2000);
}

/** Somebody newer has taken the volume, or another server at the same epoch. */
export function isTaken(volume: SimulatedVolume, me: Incarnation, epoch: number): boolean {
  const another = volume.owner !== null && serverOf(volume.owner) !== serverOf(me);
  return volume.epoch > epoch || (volume.epoch === epoch && another);
}
