/**
 * One simulated run of a server process: the real deciding code of pair/, a driver like fileserver/agent,
 * a data path that writes whenever it believes that it may, a drifting clock, and a dead man's switch.
 *
 * A pause (SIGSTOP, a frozen cgroup, a suspended machine) stops everything but the kernel's timer: inputs
 * queue up, and a write that was checked before the pause is executed after it. That is the hole of R2 that
 * R10 closes.
 */
import type { DiskSetState } from '../pair/disk-set.ts';
import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import { initialServer, nextWakeAt, type ServerState } from '../pair/server.ts';
import type { Effect, Holding, Input, PairTiming, TraceEvent } from '../pair/types.ts';
import type { EventQueue } from './event-queue.ts';
import type { Random } from './random.ts';
import type { DriverFault, Step, Variant } from './variants/variant.ts';
import { stepOf } from './variants/variants.ts';
import type { SimulatedVolume, SimulatedVolumes } from './volume.ts';

/** What a process needs of the world around it. */
export interface Surroundings {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly timing: PairTiming;
  /** Of a process that starts now: lease times may be under change. */
  timingOfNext(): PairTiming;
  readonly variant: Variant | null;
  /** The most by which a clock runs fast or slow. */
  readonly drift: number;
  /** By how much the wall clock has been set, ms. */
  wallClockSet(server: ServerName): number;
  /** What the holder wrote into the Lease as the time of its last renewal, on its wall clock. */
  renewTime(home: ServerName): number;
  readonly volumes: SimulatedVolumes;
  violate(message: string): void;
  /** True once no more faults may strike. */
  readonly calm: boolean;
  sendMessage(
    from: SimulatedProcess,
    to: Incarnation,
    message: Extract<Effect, { kind: 'send' }>['message'],
  ): void;
  readLease(from: SimulatedProcess, home: ServerName): void;
  writeLease(from: SimulatedProcess, effect: Extract<Effect, { kind: 'writeLease' }>): void;
  wrote(by: SimulatedProcess, home: ServerName, epoch: number): void;
  exited(process: SimulatedProcess, how: string): void;
  /** What a sentinel must never do: speak for a process that only does not answer. */
  presumedDead(process: SimulatedProcess): void;
  trace(process: SimulatedProcess, home: ServerName, event: TraceEvent): void;
}

interface OpenDiskSet {
  readonly epoch: number;
  /** opening, then open; quiescing ends by itself. */
  phase: 'opening' | 'open' | 'quiescing';
}

export class SimulatedProcess {
  readonly me: Incarnation;
  state: ServerState;
  alive = true;
  paused = false;
  /** Told to the sentinel; it lags the process by a moment. */
  registered: readonly Holding[] = [];
  readonly rights = new Map<ServerName, number>();
  readonly open = new Map<ServerName, OpenDiskSet>();
  readonly #world: Surroundings;
  readonly #step: Step;
  readonly #server: ServerName;
  readonly #rate: number;
  readonly #timing: PairTiming;
  /** Grows where a variant's clock stops while the process does. */
  #offset: number;
  /** Off from other machines' wall clocks, ms. */
  readonly #wallOffset: number;
  readonly #waiting: (() => void)[] = [];
  /** Armed deadline of the kernel's timer by disk set, on this process's clock. */
  readonly #armed = new Map<ServerName, number>();
  readonly #onClosed: { readonly home: ServerName; readonly action: () => void }[] = [];
  #wakeAt = Number.POSITIVE_INFINITY;
  #ticking = false;

  constructor(world: Surroundings, me: Incarnation, server: ServerName, partner: ServerName) {
    this.#world = world;
    this.me = me;
    this.#step = stepOf(world.variant);
    this.#server = server;
    this.#rate = 1 + world.random.between(-world.drift, world.drift);
    this.#wallOffset = world.random.between(-5000, 5000);
    this.#offset = world.random.between(0, 1e7);
    const own = world.timingOfNext();
    this.#timing = world.variant?.timing?.(own) ?? own;
    this.state = initialServer({ me, server, partner, timing: this.#timing }, this.clock());
    this.#schedule();
    world.queue.after(world.random.between(0, 40), () => this.#work());
  }

  #has(fault: DriverFault): boolean {
    return this.#world.variant?.driver === fault;
  }

  /** CLOCK_BOOTTIME of this process: drifts, starts anywhere, never stops. */
  clock(): number {
    const set = this.#has('wallClock') ? this.#world.wallClockSet(this.#server) : 0;
    return this.#offset + this.#world.queue.now * this.#rate + set;
  }

  /** For people; nothing decides by it. */
  wallClock(): number {
    return this.#world.queue.now + this.#wallOffset + this.#world.wallClockSet(this.#server);
  }

  input(input: Input): void {
    this.run(() => this.#decide(input));
  }

  /** Runs now, or after the pause. Never after the end. */
  run(action: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.#waiting.push(action);
    else action();
  }

  pause(forMs: number): void {
    if (!this.alive || this.paused) return;
    this.paused = true;
    if (this.#has('clockStopsInPause')) this.#offset -= forMs * this.#rate;
    if (this.#has('sentinelGuesses') && forMs > this.#world.timing.leaseMs) this.#world.presumedDead(this);
    this.#world.queue.after(forMs, () => this.resume());
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    while (this.#waiting.length > 0 && this.alive && !this.paused) this.#waiting.shift()!();
  }

  kill(how: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.#waiting.length = 0;
    this.#closed(() => true);
    this.#world.exited(this, how);
  }

  #decide(input: Input): void {
    if (this.#has('silenceByRenewTime')) this.#trustRenewTime();
    const { state, effects } = this.#step(this.state, input, this.clock());
    this.state = state;
    for (const effect of effects) if (this.alive) this.#execute(effect);
    this.#schedule();
  }

  /** Takes the holder's last sign of life from the time that it wrote. */
  #trustRenewTime(): void {
    const aged = (set: DiskSetState): DiskSetState => {
      const age = this.wallClock() - this.#world.renewTime(set.home);
      return set.role.name === 'observer' ? { ...set, unchangedSince: this.clock() - age } : set;
    };
    this.state = { ...this.state, own: aged(this.state.own), foreign: aged(this.state.foreign) };
  }

  #schedule(): void {
    const at = nextWakeAt(this.state, this.clock());
    // A broken variant may be due earlier than the real machine asks to be woken.
    if (this.#world.variant !== null) this.#tickSoon();
    if (at === this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#wakeAt = at;
    const inMs = Math.max(0.01, (at - this.clock()) / this.#rate + 0.001);
    this.#world.queue.after(inMs, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.input({ kind: 'tick' });
    });
  }

  #tickSoon(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#world.queue.after(50, () => {
      this.#ticking = false;
      this.input({ kind: 'tick' });
    });
  }

  #execute(effect: Effect): void {
    const world = this.#world;
    switch (effect.kind) {
      case 'send':
        world.sendMessage(this, effect.to, effect.message);
        break;
      case 'readLease':
        world.readLease(this, effect.home);
        break;
      case 'writeLease':
        world.writeLease(this, effect);
        break;
      case 'setRight':
        this.#setRight(effect.home, effect.until);
        break;
      case 'disarm':
        this.#armed.delete(effect.home);
        break;
      case 'openDiskSet':
        this.#openDiskSet(effect.home, effect.epoch);
        break;
      case 'closeDiskSet':
        this.#closeDiskSet(effect.home, effect.mode);
        break;
      case 'holdings': {
        const { holdings } = effect;
        world.queue.after(world.random.between(0.1, 3), () => {
          if (this.alive) this.registered = holdings;
        });
        break;
      }
      case 'trace':
        world.trace(this, effect.home, effect.event);
        break;
      case 'stopped':
        this.kill('stopped as planned');
        break;
      case 'requestAnswered':
        break;
    }
  }

  /** R10: the timer is moved before the right is; it is not touched when the right is cut. */
  #setRight(home: ServerName, until: number | null): void {
    if (until === null) {
      this.rights.delete(home);
      if (this.#has('switchDisarmedEarly')) this.#armed.delete(home);
      return;
    }
    const first = !this.#armed.has(home);
    if (!(first && this.#has('switchArmedLate'))) this.#arm(home, until);
    this.rights.set(home, until);
    this.#strikeAtTheLimit(home, until);
  }

  #arm(home: ServerName, until: number): void {
    const { guardMs } = this.#timing;
    const deadline = until + (this.#has('switchTooLate') ? 2 * this.#world.timing.guardMs : guardMs / 2);
    this.#armed.set(home, deadline);
    if (this.#has('noSwitch') || this.#has('rightNotChecked')) return;
    this.#world.queue.after((deadline - this.clock()) / this.#rate, () => {
      if (this.#armed.get(home) === deadline) this.kill('killed by the dead man switch');
    });
  }

  /**
   * Faults that reach the limits the rules are built for: the process is stopped with a write in its hands in the very
   * last moment of its right, and goes on in the very last moment before the switch kills it.
   */
  #strikeAtTheLimit(home: ServerName, until: number): void {
    const { queue, random, calm } = this.#world;
    if (calm || !random.chance(0.05)) return;
    queue.after((until - this.clock()) / this.#rate - 0.01, () => {
      if (!this.alive || this.paused || this.rights.get(home) !== until || this.#world.calm) return;
      this.#attempt(home, random.pick([0.499, 0.499, 1.5, 4]) * this.#timing.guardMs);
    });
  }

  #openDiskSet(home: ServerName, epoch: number): void {
    this.open.set(home, { epoch, phase: 'opening' });
    this.#world.queue.after(this.#diskTime(10), () =>
      this.run(() => {
        const diskSet = this.open.get(home);
        if (diskSet?.epoch !== epoch || diskSet.phase !== 'opening') return;
        const refused = this.#refusal(home, epoch);
        if (refused !== null) {
          this.open.delete(home);
          this.#decide({ kind: 'diskSetOpenFailed', home, epoch, reason: refused, message: refused });
          return;
        }
        const volume = this.#world.volumes.mountedFor(home);
        if (volume.epoch > epoch)
          this.#world.violate(
            `${this.me} opened ${home} at epoch ${epoch}, behind the volume's ${volume.epoch}`,
          );
        volume.epoch = epoch;
        volume.owner = this.me;
        diskSet.phase = 'open';
        const until = this.rights.get(home);
        if (this.#has('switchArmedLate') && until !== undefined) this.#arm(home, until);
        this.#decide({ kind: 'diskSetOpened', home, epoch });
      }),
    );
  }

  /** R6, as fileserver/volume/ does it: whose volume is it, and has anybody newer owned it? */
  #refusal(home: ServerName, epoch: number): string | null {
    const { volumes, calm, random } = this.#world;
    if (!calm && random.chance(0.02)) return 'IoError';
    const volume = volumes.mountedFor(home);
    if (volume.home !== home && !this.#has('volumeIdentityUnchecked')) return 'WrongVolume';
    if (volume.epoch > epoch && !this.#has('volumeEpochUnchecked')) return 'VolumeEpochAhead';
    return null;
  }

  /** Mostly quick; sometimes the disk stalls for longer than any lease. */
  #diskTime(typicalMs: number): number {
    const { random, calm, timing } = this.#world;
    return !calm && random.chance(0.01)
      ? random.between(1, 3) * timing.leaseMs
      : random.delay(typicalMs, 2000);
  }

  #closeDiskSet(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const diskSet = this.open.get(home);
    if (mode === 'fence') {
      this.open.delete(home);
      this.#closed((one) => one === home);
      this.#world.queue.after(this.#diskTime(1), () =>
        this.run(() => this.#decide({ kind: 'diskSetClosed', home })),
      );
      return;
    }
    if (diskSet !== undefined) diskSet.phase = 'quiescing';
    this.#world.queue.after(this.#diskTime(20), () =>
      this.run(() => {
        if (this.open.get(home) !== diskSet) return;
        this.open.delete(home);
        this.#closed((one) => one === home);
        if (this.#has('closedTooSoon') && diskSet !== undefined) {
          const { epoch } = diskSet;
          this.#world.queue.after(this.#world.random.between(0, 200), () => this.#write(home, epoch));
        }
        this.#decide({ kind: 'diskSetClosed', home });
      }),
    );
  }

  /** The data path: check the right, then write, with the smallest or the largest gap in between. */
  #work(): void {
    if (!this.alive) return;
    const { queue, random, timing, calm } = this.#world;
    this.run(() => {
      for (const home of this.open.keys()) {
        // A pause may strike exactly here: after the check, before the system call.
        const pauseMs = !calm && random.chance(0.002) ? random.between(0, 3) * timing.leaseMs : 0;
        this.#attempt(home, pauseMs);
      }
    });
    queue.after(random.between(20, 60), () => this.#work());
  }

  #attempt(home: ServerName, pauseMs: number): void {
    const diskSet = this.open.get(home);
    if (diskSet === undefined || diskSet.phase === 'opening') return;
    const right = this.rights.get(home);
    const held = right !== undefined && this.clock() < right;
    if (!held && !this.#has('rightNotChecked')) return;
    const { epoch } = diskSet;
    if (pauseMs > 0) this.pause(pauseMs);
    this.#world.queue.after(0, () => this.#write(home, epoch));
  }

  /**
   * A client's call: checked right before it is executed, and once more before it is answered (R2). It may wait for long
   * in the receive buffer of a process that is stopped.
   */
  serve<T>(home: ServerName, execute: (volume: SimulatedVolume) => T, answer: (result: T) => void): void {
    this.run(() => {
      const epoch = this.#serving(home);
      if (epoch === null) return;
      this.#world.queue.after(0, () =>
        this.run(() => {
          this.#world.wrote(this, home, epoch);
          const result = execute(this.#world.volumes.mountedFor(home));
          if (this.#serving(home) !== null) answer(result);
        }),
      );
    });
  }

  /** Epoch at which calls are executed now; null: they are not. */
  #serving(home: ServerName): number | null {
    const diskSet = this.open.get(home);
    if (diskSet === undefined || diskSet.phase === 'opening') return null;
    const right = this.rights.get(home);
    const held = right !== undefined && this.clock() < right;
    return held || this.#has('rightNotChecked') ? diskSet.epoch : null;
  }

  /** Once, when this process serves the disk set no more, for whatever reason. */
  whenClosed(home: ServerName, action: () => void): void {
    this.#onClosed.push({ home, action });
  }

  #closed(which: (home: ServerName) => boolean): void {
    const all = this.#onClosed.splice(0);
    for (const one of all) if (which(one.home)) one.action();
    this.#onClosed.push(...all.filter(({ home }) => !which(home)));
  }

  /** The system call: nothing is checked any more. */
  #write(home: ServerName, epoch: number): void {
    this.run(() => {
      const volume = this.#world.volumes.mountedFor(home);
      if (volume.home !== home)
        this.#world.violate(`${this.me} wrote what is for ${home} to the volume of ${volume.home}`);
      this.#world.wrote(this, home, epoch);
    });
  }
}
