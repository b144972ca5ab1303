/**
 * One simulated run of a server process: the real deciding code of pair/, a driver like fileserver/agent,
 * a data path that writes whenever it believes that it may, a drifting clock, and a dead man's switch.
 *
 * A pause (SIGSTOP, a frozen cgroup, a suspended machine) stops everything but the kernel's timer: inputs
 * queue up, and a write that was checked before the pause is executed after it. That is the hole of R2 that
 * R10 closes.
 */
import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import { initialServer, nextWakeAt, type ServerState, step } from '../pair/server.ts';
import type { Effect, Holding, Input, PairTiming, TraceEvent } from '../pair/types.ts';
import type { EventQueue } from './event-queue.ts';
import type { Random } from './random.ts';

/** What a process needs of the world around it. */
export interface Surroundings {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly timing: PairTiming;
  readonly brokenRule: BrokenRule | null;
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
  trace(process: SimulatedProcess, home: ServerName, event: TraceEvent): void;
}

/** Deliberate faults that the checker must find: a test that cannot fail proves nothing. */
export const BrokenRule = {
  WithoutDeadMansSwitch: 'WithoutDeadMansSwitch',
  WithoutCompareAndSwap: 'WithoutCompareAndSwap',
  ConfirmationDatedByReceipt: 'ConfirmationDatedByReceipt',
  ClaimWithoutWaiting: 'ClaimWithoutWaiting',
  AcceptAnyAcknowledgement: 'AcceptAnyAcknowledgement',
} as const;
export type BrokenRule = (typeof BrokenRule)[keyof typeof BrokenRule];

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
  readonly #rate: number;
  readonly #offset: number;
  readonly #waiting: (() => void)[] = [];
  /** Armed deadline of the kernel's timer by disk set, on this process's clock. */
  readonly #armed = new Map<ServerName, number>();
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(world: Surroundings, me: Incarnation, server: ServerName, partner: ServerName) {
    this.#world = world;
    this.me = me;
    this.#rate = 1 + world.random.between(-0.001, 0.001);
    this.#offset = world.random.between(0, 1e7);
    const timing = this.#timing();
    this.state = initialServer({ me, server, partner, timing }, this.clock());
    this.#schedule();
    world.queue.after(world.random.between(0, 40), () => this.#work());
  }

  #timing(): PairTiming {
    const { timing, brokenRule } = this.#world;
    return brokenRule === BrokenRule.ClaimWithoutWaiting ? { ...timing, guardMs: -timing.leaseMs } : timing;
  }

  /** CLOCK_BOOTTIME of this process: drifts, starts anywhere, never stops. */
  clock(): number {
    return this.#offset + this.#world.queue.now * this.#rate;
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
    this.#world.exited(this, how);
  }

  #decide(input: Input): void {
    if (this.#world.brokenRule === BrokenRule.ConfirmationDatedByReceipt) this.#dateByReceipt(input);
    if (this.#world.brokenRule === BrokenRule.AcceptAnyAcknowledgement) input = this.#acceptAnything(input);
    const { state, effects } = step(this.state, input, this.clock());
    this.state = state;
    for (const effect of effects) if (this.alive) this.#execute(effect);
    this.#schedule();
  }

  #dateByReceipt(input: Input): void {
    if (input.kind !== 'message' || input.message.kind !== 'acknowledgement') return;
    const { seq } = input.message;
    const at = this.clock();
    const sentAt = this.state.sentAt.map((sent) => (sent.seq === seq ? { seq, at } : sent));
    this.state = { ...this.state, sentAt };
  }

  /** Believes every answer to a heartbeat, whoever gave it and whatever it acknowledges. */
  #acceptAnything(input: Input): Input {
    if (input.kind !== 'message' || input.message.kind !== 'acknowledgement') return input;
    const { own, foreign } = this.state;
    let from = input.from;
    const holdings: Holding[] = [];
    for (const { home, role } of [own, foreign]) {
      if (role.name !== 'holder' || role.accepts === null) continue;
      from = role.accepts;
      holdings.push({ home, epoch: role.epoch });
    }
    return { ...input, from, message: { ...input.message, holdings } };
  }

  #schedule(): void {
    const at = nextWakeAt(this.state, this.clock());
    if (at === this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#wakeAt = at;
    const inMs = Math.max(0.01, (at - this.clock()) / this.#rate + 0.001);
    this.#world.queue.after(inMs, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
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
      return;
    }
    this.#arm(home, until + this.#world.timing.guardMs / 2);
    this.rights.set(home, until);
  }

  #arm(home: ServerName, deadline: number): void {
    this.#armed.set(home, deadline);
    if (this.#world.brokenRule === BrokenRule.WithoutDeadMansSwitch) return;
    this.#world.queue.after((deadline - this.clock()) / this.#rate, () => {
      if (this.#armed.get(home) === deadline) this.kill('killed by the dead man switch');
    });
  }

  #openDiskSet(home: ServerName, epoch: number): void {
    this.open.set(home, { epoch, phase: 'opening' });
    this.#world.queue.after(this.#world.random.delay(10, 2000), () =>
      this.run(() => {
        const diskSet = this.open.get(home);
        if (diskSet?.epoch !== epoch || diskSet.phase !== 'opening') return;
        if (!this.#world.calm && this.#world.random.chance(0.02)) {
          this.open.delete(home);
          this.#decide({ kind: 'diskSetOpenFailed', home, epoch, reason: 'IoError', message: 'EIO' });
          return;
        }
        diskSet.phase = 'open';
        this.#decide({ kind: 'diskSetOpened', home, epoch });
      }),
    );
  }

  #closeDiskSet(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const diskSet = this.open.get(home);
    if (mode === 'fence') {
      this.open.delete(home);
      this.#world.queue.after(this.#world.random.delay(1, 100), () =>
        this.run(() => this.#decide({ kind: 'diskSetClosed', home })),
      );
      return;
    }
    if (diskSet !== undefined) diskSet.phase = 'quiescing';
    this.#world.queue.after(this.#world.random.delay(20, 3000), () =>
      this.run(() => {
        if (this.open.get(home) !== diskSet) return;
        this.open.delete(home);
        this.#decide({ kind: 'diskSetClosed', home });
      }),
    );
  }

  /** The data path: check the right, then write, with the smallest or the largest gap in between. */
  #work(): void {
    if (!this.alive) return;
    const { queue, random } = this.#world;
    this.run(() => {
      for (const [home, diskSet] of this.open) {
        if (diskSet.phase === 'opening') continue;
        const right = this.rights.get(home);
        if (right === undefined || this.clock() >= right) continue;
        const { epoch } = diskSet;
        // A pause may strike exactly here: after the check, before the system call.
        if (!this.#world.calm && random.chance(0.002))
          this.pause(random.between(0, 3) * this.#world.timing.leaseMs);
        queue.after(0, () => this.run(() => this.#world.wrote(this, home, epoch)));
      }
    });
    queue.after(random.between(20, 60), () => this.#work());
  }
}
