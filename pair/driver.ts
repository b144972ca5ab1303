/**
 * Runs the state machine of server.ts: each input is stepped to its end, and what the step decides is carried out through ports,
 * in the order given. Decides nothing itself.
 */
import type { Incarnation, ServerName } from './incarnation.ts';
import type { LeaseOwnership, WrittenVolumes } from './lease.ts';
import type { Holding, PairMessage } from './messages.ts';
import type { ServerState } from './server/state.ts';
import { nextWakeAt, step } from './server.ts';
import { switchFiresAt } from './serving-lease.ts';
import type { Effect, Input, TraceEvent } from './types.ts';

//   witness, interconnect, data path, clock, people --feed(input)--> step(state, input, now) --effects--> ports
//
// This is the one driver: the file server, the simulation and the explorer differ only in the ports they give it. So the
// order in which a lease and the dead man's switch change (R10) stands here and nowhere else.
//
// A port call returns at once and throws nothing that the server could live with. What comes of it, if anything, is fed
// back as an input: a port may do that during the call, and the input waits until the step is carried out.

export interface ClockPort {
  /** Ms on CLOCK_BOOTTIME. */
  now(): number;
  /** Feed a `tick` at that time, instead of at the one said before; Infinity: never. */
  wakeAt(at: number): void;
}

export interface WitnessPort {
  /** Answered by input `leaseRead`. */
  read(home: ServerName): void;
  /** Answered by input `leaseWritten` with the same token, in bounded time. */
  compareAndSwap(home: ServerName, token: number, version: string, ownership: LeaseOwnership): void;
  /** Answer to an administrator's request. */
  answer(home: ServerName, requestId: string, result: 'done' | 'refused', message: string): void;
  /** For people, beside the Lease; no ownership depends on it. */
  noteWentBack(home: ServerName, epoch: number, message: string): void;
}

export interface InterconnectPort {
  /** Lost without notice if `to` is not connected. */
  send(to: Incarnation, message: PairMessage): void;
}

export interface DataPathPort {
  /**
   * Every thread may serve the disk set until `until` (exclusive; ms on CLOCK_BOOTTIME); null: not at all. `changesEnded` answers
   * that, unless the disk set is closed sooner.
   */
  grant(home: ServerName, until: number | null): void;
  prepare(home: ServerName, epoch: number | null): void;
  /** Answered by `diskSetOpened` or `diskSetOpenFailed`. */
  open(home: ServerName, epoch: number, written: WrittenVolumes | undefined): void;
  /** Answered by `diskSetClosed`. */
  close(home: ServerName, mode: 'quiesce' | 'fence'): void;
  freeze(home: ServerName, id: string, msMax: number): void;
  thaw(home: ServerName, id: string): void;
  disksAt(home: ServerName, directory: string | null, partnerCouldServe: boolean): void;
}

/** The dead man's switches (R10), one for each disk set: the kernel kills the process when one of them fires. */
export interface WatchdogPort {
  /** Fires at `at` (ms on CLOCK_BOOTTIME) unless armed again or disarmed before. */
  arm(home: ServerName, at: number): void;
  disarm(home: ServerName): void;
}

export interface SentinelPort {
  setHoldings(holdings: readonly Holding[]): void;
}

/** See the effects of the same names. */
export interface GatePort {
  open(epoch: number): void;
  withdraw(epoch: number): void;
  close(epoch: number): void;
}

/** For log, metrics and status; nothing depends on it. */
export interface ObserverPort {
  traced(home: ServerName, event: TraceEvent, now: number): void;
}

export interface DriverPorts {
  readonly clock: ClockPort;
  readonly witness: WitnessPort;
  readonly interconnect: InterconnectPort;
  readonly dataPath: DataPathPort;
  readonly watchdog: WatchdogPort;
  readonly sentinel: SentinelPort;
  readonly gate: GatePort;
  readonly observer: ObserverPort;
  /** Everything is released or fenced after input `stop`: the process may end. No input counts after it. */
  stopped(): void;
  /** A bug: no input counts after it, so the process must end. */
  failed(error: unknown): void;
}

/** Carries out what `step` decides. One for each server. */
export class PairDriver {
  readonly #ports: DriverPorts;
  readonly #decide: typeof step;
  readonly #queue: Input[] = [];
  #current: ServerState;
  #running = false;
  #over = false;

  /** `decide`: the state machine; others than the real one are for showing that the tests notice. */
  constructor(state: ServerState, ports: DriverPorts, decide: typeof step = step) {
    this.#current = state;
    this.#ports = ports;
    this.#decide = decide;
  }

  get state(): ServerState {
    return this.#current;
  }

  /**
   * Takes an input and carries out all that follows from it, before it returns. Called from within a port, it queues the input
   * instead.
   * After `stopped` or `failed` it does nothing.
   */
  feed(input: Input): void {
    this.#queue.push(input);
    if (this.#running || this.#over) return;
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined && !this.#over; next = this.#queue.shift()) {
        this.#take(next);
      }
      if (!this.#over) this.#sleep();
    } catch (error) {
      // Half a step may have been carried out: nobody knows what state this server is in.
      this.#over = true;
      this.#ports.failed(error);
    } finally {
      this.#running = false;
    }
  }

  #take(input: Input): void {
    const now = this.#ports.clock.now();
    const { state, effects } = this.#decide(this.#current, input, now);
    this.#current = state;
    for (const effect of effects) this.#execute(effect, now);
  }

  #sleep(): void {
    const { clock } = this.#ports;
    clock.wakeAt(nextWakeAt(this.#current, clock.now()));
  }

  #execute(effect: Effect, now: number): void {
    const { witness, interconnect, dataPath, watchdog, sentinel, gate, observer } = this.#ports;
    switch (effect.kind) {
      case 'send':
        interconnect.send(effect.to, effect.message);
        return;
      case 'readLease':
        witness.read(effect.home);
        return;
      case 'writeLease':
        witness.compareAndSwap(effect.home, effect.token, effect.version, effect.ownership);
        return;
      case 'requestAnswered':
        witness.answer(effect.home, effect.requestId, effect.result, effect.message);
        return;
      case 'witnessWentBack':
        witness.noteWentBack(effect.home, effect.epoch, effect.message);
        return;
      case 'setServingLease':
        this.#setServingLease(effect.home, effect.until);
        return;
      case 'disarm':
        watchdog.disarm(effect.home);
        return;
      case 'prepareDiskSet':
        dataPath.prepare(effect.home, effect.epoch);
        return;
      case 'openDiskSet':
        dataPath.open(effect.home, effect.epoch, effect.written);
        return;
      case 'closeDiskSet':
        dataPath.close(effect.home, effect.mode);
        return;
      case 'freezeDiskSet':
        dataPath.freeze(effect.home, effect.id, effect.msMax);
        return;
      case 'thawDiskSet':
        dataPath.thaw(effect.home, effect.id);
        return;
      case 'disksAt':
        dataPath.disksAt(effect.home, effect.directory, effect.partnerCouldServe);
        return;
      case 'openGate':
        gate.open(effect.epoch);
        return;
      case 'withdrawGate':
        gate.withdraw(effect.epoch);
        return;
      case 'closeGate':
        gate.close(effect.epoch);
        return;
      case 'holdings':
        sentinel.setHoldings(effect.holdings);
        return;
      case 'trace':
        observer.traced(effect.home, effect.event, now);
        return;
      case 'stopped':
        this.#over = true;
        this.#ports.stopped();
        return;
      default:
        assertNever(effect);
    }
  }

  /**
   * R10. A lease never stands without a timer behind it. The switch is armed before the lease is published, and a cut leaves it
   * armed, for the thread that has checked the lease and not yet made its system call. Only `disarm` ends it, after the data path
   * has said that there is no such thread.
   */
  #setServingLease(home: ServerName, until: number | null): void {
    const { dataPath, watchdog } = this.#ports;
    if (until !== null) watchdog.arm(home, switchFiresAt(until, this.#current.identity.timing));
    dataPath.grant(home, until);
  }
}

function assertNever(value: never): never {
  throw new Error(`unexpected: ${JSON.stringify(value)}`);
}
