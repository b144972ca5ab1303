/**
 * One simulated run of a server process: the driver and the deciding code of pair/ that run in production. Its ports lead to a
 * simulated world: a data path that writes whenever it believes that it may, a drifting clock, and a dead man's switch.
 */

import type { DiskSetState } from '../pair/disk-set/state.ts';
import { type DriverPorts, PairDriver } from '../pair/driver.ts';
import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import type { LeaseOwnership } from '../pair/lease.ts';
import type { Holding, PairMessage } from '../pair/messages.ts';
import { initialServer, type ServerState } from '../pair/server/state.ts';
import type { step } from '../pair/server.ts';
import { SLEW_MAX } from '../pair/serving-lease.ts';
import type { Input, PairTiming, TraceEvent } from '../pair/types.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { ApiCalls } from './api-calls.ts';
import { SimulatedDataPath } from './data-path.ts';
import type { DataPathHost, OpenDiskSet, SimulatedPath } from './data-path-host.ts';
import type { EventQueue } from './event-queue.ts';
import type { SurroundingFault, Variant } from './variants/variant.ts';
import { stepOf } from './variants/variants.ts';
import type { SimulatedVolume, SimulatedVolumes } from './volume.ts';
import { VolumeThreads } from './volume-threads.ts';

// A stop (SIGSTOP, a frozen cgroup, a suspended machine) halts everything but the kernel's timer, also between any two calls of
// the driver's ports. Inputs queue up, the rest of a step is carried out after it, and so is a write that was checked before.

/** A heartbeat takes five a second, each change some more. */
const WAKES_MAX = 200;

/** The world around a process, as far as it needs that. */
export interface Surroundings {
  readonly queue: EventQueue;
  readonly random: SeededRandom;
  readonly timing: PairTiming;
  /** Timing of a process that starts now: lease times may be under change. */
  timingOfNext(): PairTiming;
  readonly variant: Variant | null;
  /** The most by which a clock runs fast or slow. */
  readonly drift: number;
  /** By how much the wall clock has been set, ms. */
  wallClockSet(server: ServerName): number;
  /** Time of the last renewal that the holder wrote into the Lease, on its wall clock. */
  renewTime(home: ServerName): number;
  readonly volumes: SimulatedVolumes;
  readonly witnessForgets: boolean;
  /** Disk sets have several volumes, with a thread each. */
  readonly severalVolumes: boolean;
  /** Hypervisors pause machines: their clocks, and the kernel's timers, do not see it. */
  readonly machinesPause: boolean;
  runningClocks(): ReadonlyMap<Incarnation, number>;
  hangsMs(server: ServerName, volume: SimulatedVolume): number;
  landedLate(): void;
  /** Calls to the witness. */
  readonly api: ApiCalls;
  /** All of the server's partner that are stopped, within milliseconds. */
  othersGoOn(server: ServerName): void;
  violate(message: string): void;
  /** True once no more faults may strike. */
  readonly calm: boolean;
  sendMessage(from: SimulatedProcess, to: Incarnation, message: PairMessage): void;
  readLease(from: SimulatedProcess, home: ServerName): void;
  writeLease(
    from: SimulatedProcess,
    home: ServerName,
    token: number,
    version: string,
    ownership: LeaseOwnership,
  ): void;
  wrote(by: SimulatedProcess, home: ServerName, epoch: number, volume?: SimulatedVolume): void;
  foundAhead(by: SimulatedProcess, home: ServerName): void;
  exited(process: SimulatedProcess, how: string): void;
  /** A sentinel must never do this: speak for a process that only does not answer. */
  presumedDead(process: SimulatedProcess): void;
  trace(process: SimulatedProcess, home: ServerName, event: TraceEvent): void;
}

export class SimulatedProcess implements DataPathHost {
  readonly me: Incarnation;
  readonly timing: PairTiming;
  alive = true;
  paused = false;
  /** Told to the sentinel; it lags the process by a moment. */
  registered: readonly Holding[] = [];
  readonly #world: Surroundings;
  readonly #server: ServerName;
  readonly #homes: readonly ServerName[];
  readonly #rate: number;
  readonly #driver: PairDriver;
  readonly #dataPath: SimulatedPath;
  /** Falls where the clock stops while the process does. */
  #offset: number;
  /** A pause that the clock does not see: when it ends, in true time, and what the clock shows meanwhile. */
  #unseen: { readonly until: number; readonly shows: number } | null = null;
  /** Off from other machines' wall clocks, ms. */
  readonly #wallOffset: number;
  /** Rest of a step. */
  readonly #instructions: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Armed deadline of the kernel's timer by disk set, on this process's clock. */
  readonly #armed = new Map<ServerName, number>();
  #wakeAt = Number.POSITIVE_INFINITY;
  /** In which second it was woken last, and how often in that. */
  #wakesIn = -1;
  #wakes = 0;
  #ticking = false;

  constructor(world: Surroundings, me: Incarnation, server: ServerName, partner: ServerName) {
    this.#world = world;
    this.me = me;
    this.#server = server;
    this.#homes = [server, partner];
    const rate = world.random.between(-world.drift, world.drift);
    // A clock that is slewed is slewed as fast as it may be.
    this.#rate = 1 + (world.drift === SLEW_MAX ? Math.sign(rate) * SLEW_MAX : rate);
    this.#wallOffset = world.random.between(-5000, 5000);
    this.#offset = world.random.between(0, 1e7);
    this.timing = world.timingOfNext();
    const threads = world.severalVolumes || world.machinesPause;
    this.#dataPath = threads ? new VolumeThreads(this) : new SimulatedDataPath(this);
    const state = initialServer({ me, server, partner, timing: this.timing }, this.clock());
    this.#driver = new PairDriver(state, this.#ports(), this.#decision());
    this.input({ kind: 'tick' });
  }

  get state(): ServerState {
    return this.#driver.state;
  }

  get leaseEnds(): ReadonlyMap<ServerName, number> {
    return this.#dataPath.leaseEnds;
  }

  get open(): ReadonlyMap<ServerName, OpenDiskSet> {
    return this.#dataPath.diskSets;
  }

  get queue(): EventQueue {
    return this.#world.queue;
  }

  get random(): SeededRandom {
    return this.#world.random;
  }

  get volumes(): SimulatedVolumes {
    return this.#world.volumes;
  }

  get witnessForgets(): boolean {
    return this.#world.witnessForgets;
  }

  /** Volumes are looked at, as by a process on a machine that may be paused: docs/safety-paused-machines.md. */
  get volumesLookedAt(): boolean {
    return this.#world.machinesPause;
  }

  runningClocks(): ReadonlyMap<Incarnation, number> {
    return this.#world.runningClocks();
  }

  hangsMs(volume: SimulatedVolume): number {
    return this.#world.hangsMs(this.#server, volume);
  }

  landedLate(): void {
    this.#world.landedLate();
  }

  /** Time that its clock shows while it runs; while it does not, the time that it showed last. */
  runningClock(): number {
    return this.#unseen?.shows ?? this.clock();
  }

  get calm(): boolean {
    return this.#world.calm;
  }

  get running(): boolean {
    return this.alive && !this.paused;
  }

  get ended(): boolean {
    return !this.alive;
  }

  has(fault: SurroundingFault): boolean {
    return this.#world.variant?.fault === fault;
  }

  violate(message: string): void {
    this.#world.violate(message);
  }

  wrote(home: ServerName, epoch: number, volume?: SimulatedVolume): void {
    this.#world.wrote(this, home, epoch, volume);
  }

  foundAhead(home: ServerName): void {
    this.#world.foundAhead(this, home);
  }

  /** CLOCK_BOOTTIME of this process: drifts, starts anywhere, never stops. */
  clock(): number {
    const set = this.has('wallClock') ? this.#world.wallClockSet(this.#server) : 0;
    return this.#offset + this.queue.now * this.#rate + set;
  }

  msUntil(at: number): number {
    return (at - this.clock()) / this.#rate;
  }

  /** For people; nothing decides by it. */
  wallClock(): number {
    return this.queue.now + this.#wallOffset + this.#world.wallClockSet(this.#server);
  }

  // ----------------------------------------------------------------------------------- running and stopping

  input(input: Input): void {
    this.run(() => {
      this.#driver.feed(input);
      // A broken variant may be due earlier than the real machine asks to be woken.
      if (this.#world.variant !== null) this.#tickSoon();
      this.#carryOn();
    });
  }

  /** Runs now, or after the stop. Never after the end. */
  run(action: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.#waiting.push(action);
    else action();
  }

  stop(forMs: number): void {
    if (!this.alive || this.paused) return;
    this.paused = true;
    const unseen =
      this.has('clockStopsInPause') || (this.#world.machinesPause && this.#world.random.chance(0.7));
    if (unseen) {
      this.#unseen = { until: this.queue.now + forMs, shows: this.clock() };
      this.#offset -= forMs * this.#rate;
    }
    if (this.has('sentinelGuesses') && forMs > this.#world.timing.leaseMs) this.#world.presumedDead(this);
    this.queue.after(forMs, () => this.resume());
  }

  stopUntold(forMs: number): void {
    const { machinesPause, timing, random } = this.#world;
    if (machinesPause && random.chance(0.5)) this.#world.api.lose(this.#server, forMs + timing.leaseMs);
    this.stop(forMs);
  }

  othersGoOn(): void {
    if (this.#world.machinesPause) this.#world.othersGoOn(this.#server);
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    // It may be ended early.
    if (this.#unseen !== null) this.#offset += Math.max(0, this.#unseen.until - this.queue.now) * this.#rate;
    this.#unseen = null;
    this.#carryOn();
    while (this.#waiting.length > 0 && this.running) this.#waiting.shift()!();
  }

  kill(how: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.#instructions.length = 0;
    this.#waiting.length = 0;
    this.#dataPath.end();
    this.#world.exited(this, how);
  }

  /** Carries out the driver's calls of its ports, one after the other; between any two the process may be stopped. */
  #carryOn(): void {
    const { random, calm } = this.#world;
    while (this.#instructions.length > 0 && this.running) {
      this.#instructions.shift()!();
      if (!calm && random.chance(0.0005)) this.stop(random.between(0, 3) * this.#world.timing.leaseMs);
    }
  }

  // -------------------------------------------------------------------------------------------- the driver

  #ports(): DriverPorts {
    const world = this.#world;
    const dataPath = this.#dataPath;
    const later = (instruction: () => void) => void this.#instructions.push(instruction);
    const ports: DriverPorts = {
      clock: { now: () => this.clock(), wakeAt: (at) => this.#sleepUntil(at) },
      witness: {
        read: (home) => later(() => world.readLease(this, home)),
        compareAndSwap: (...write) => later(() => world.writeLease(this, ...write)),
        answer: () => {},
        noteWentBack: () => {},
      },
      interconnect: { send: (to, message) => later(() => world.sendMessage(this, to, message)) },
      dataPath: {
        grant: (home, until) => later(() => dataPath.grant(home, until)),
        prepare: () => {},
        open: (...opening) => later(() => dataPath.open(...opening)),
        close: (home, mode) => later(() => dataPath.close(home, mode)),
        freeze: () => {},
        thaw: () => {},
        disksAt: () => {},
      },
      watchdog: {
        arm: (home, at) => later(() => this.#arm(home, at)),
        disarm: (home) => later(() => void this.#armed.delete(home)),
      },
      sentinel: { setHoldings: (holdings) => later(() => this.#register(holdings)) },
      gate: { open: () => {}, withdraw: () => {}, close: () => {} },
      observer: { traced: (home, event) => world.trace(this, home, event) },
      stopped: () => later(() => this.kill('stopped as planned')),
      failed: (error) => {
        throw error;
      },
    };
    const around = {
      timing: this.#world.timing,
      homes: this.#homes,
      isOpen: (home: ServerName) => this.open.get(home)?.phase === 'open',
      leaseEnd: (home: ServerName) => this.leaseEnds.get(home) ?? null,
      feed: (input: Input) => this.queue.after(0, () => this.input(input)),
    };
    return this.#world.variant?.ports?.(ports, around) ?? ports;
  }

  /** The machine that this process runs. */
  #decision(): typeof step {
    const decide = stepOf(this.#world.variant);
    if (!this.has('silenceByRenewTime')) return decide;
    return (state, input, now) => decide(this.#trustRenewTime(state), input, now);
  }

  /** Takes the holder's last heartbeat from the time that it wrote. */
  #trustRenewTime(state: ServerState): ServerState {
    const aged = (set: DiskSetState): DiskSetState => {
      const age = this.wallClock() - this.#world.renewTime(set.home);
      return set.role.name === 'observer' ? { ...set, unchangedSince: this.clock() - age } : set;
    };
    return { ...state, local: aged(state.local), partner: aged(state.partner) };
  }

  #sleepUntil(at: number): void {
    if (at === this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#wakeAt = at;
    this.queue.after(Math.max(0.01, this.msUntil(at) + 0.001), () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#countWake();
      this.input({ kind: 'tick' });
    });
  }

  /** A server that asks to be woken for something that only an input can bring takes a whole processor. */
  #countWake(): void {
    const second = Math.floor(this.queue.now / 1000);
    this.#wakes = second === this.#wakesIn ? this.#wakes + 1 : 1;
    this.#wakesIn = second;
    if (this.#wakes === WAKES_MAX) this.#world.violate(`${this.me} was woken ${WAKES_MAX} times in a second`);
  }

  #tickSoon(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.queue.after(50, () => {
      this.#ticking = false;
      this.input({ kind: 'tick' });
    });
  }

  #arm(home: ServerName, at: number): void {
    this.#armed.set(home, at);
    this.#awaitSwitch(home, at);
  }

  /** R10: the kernel's timer. No stop holds it up, unless the clock stands still with the process. */
  #awaitSwitch(home: ServerName, at: number): void {
    this.queue.after(this.msUntil(at), () => {
      if (this.#armed.get(home) !== at || !this.alive) return;
      if (this.msUntil(at) > 0.001) this.#awaitSwitch(home, at);
      else this.kill('killed by the dead man switch');
    });
  }

  #register(holdings: readonly Holding[]): void {
    this.queue.after(this.random.between(0.1, 3), () => {
      if (this.alive) this.registered = holdings;
    });
  }

  /** A volume's disk does not answer this process, from now on. */
  volumeHangs(volume: SimulatedVolume): void {
    if (this.#dataPath instanceof VolumeThreads) this.#dataPath.hang(volume);
  }

  /** The data path halts the disk set, and says so after that time, ms. */
  halt(home: ServerName, reportAfterMs: number): void {
    this.run(() => this.#dataPath.halt(home, reportAfterMs));
  }

  // ------------------------------------------------------------------------------------------------ clients

  /** A client's call; it may wait for long in the receive buffer of a process that is stopped. */
  serve<T>(home: ServerName, execute: (volume: SimulatedVolume) => T, answer: (result: T) => void): void {
    this.run(() => this.#dataPath.serve(home, execute, answer));
  }

  whenClosed(home: ServerName, action: () => void): void {
    this.#dataPath.whenClosed(home, action);
  }
}
