/** pair/'s driver and machine as they run in production, with ports to a world that is a value: one input, and all that it does at once. */
import { type DriverPorts, PairDriver } from '../../pair/driver.ts';
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import type { PairMessage } from '../../pair/messages.ts';
import type { Input } from '../../pair/types.ts';
import { kill } from './processes.ts';
import type { Rules } from './rules.ts';
import {
  connected,
  type DiskSetPath,
  HOME,
  inputFor,
  nowOf,
  PARTNER,
  type PendingEvent,
  type Process,
  processOf,
  queued,
  TIMING,
  type World,
  withLease,
  withPath,
  withProcess,
} from './world.ts';

/** One input to one process, and all that it does at once. */
export function feed(world: World, rules: Rules, to: Incarnation, input: Input): World {
  const process = processOf(world, to);
  if (process === undefined || !process.alive) return world;
  const result = new PortCalls(world, to);
  const driver = new PairDriver(process.state, result.ports(rules), rules.step);
  driver.feed(input);
  return result.ended(driver.state);
}

/** The driver's ports for one step of one process: each call leads to another world. */
class PortCalls {
  #world: World;
  readonly #me: Incarnation;

  constructor(world: World, me: Incarnation) {
    this.#world = world;
    this.#me = me;
  }

  ended(state: Process['state']): World {
    this.#change({ state });
    return this.#world;
  }

  ports(rules: Rules): DriverPorts {
    const nothing = (): void => {};
    const ports: DriverPorts = {
      // A process that wants to be woken is asked when time goes on (moves.ts).
      clock: { now: () => nowOf(this.#world, this.#process), wakeAt: nothing },
      witness: {
        read: (home) => this.#call({ kind: 'readLease', home }),
        compareAndSwap: (home, token, version, ownership) =>
          this.#call({ kind: 'writeLease', home, token, version, ownership }),
        answer: (home, requestId) => this.#answer(home, requestId),
        noteWentBack: nothing,
      },
      interconnect: { send: (to, message) => this.#send(to, message) },
      dataPath: {
        grant: (home, until) => this.#grant(home, until),
        prepare: nothing,
        open: (home, epoch) => this.#open(home, epoch),
        close: (home, mode) => this.#close(home, mode),
        freeze: nothing,
        thaw: nothing,
        disksAt: nothing,
      },
      watchdog: {
        arm: (home, switchAt) => this.#changePath(home, { switchAt }),
        disarm: (home) => this.#changePath(home, { switchAt: null }),
      },
      sentinel: { setHoldings: (registered) => this.#change({ registered }) },
      gate: { open: nothing, withdraw: nothing, close: nothing },
      observer: { traced: nothing },
      stopped: () => {
        this.#world = kill(this.#world, this.#me);
      },
      failed: (error) => {
        throw error;
      },
    };
    const around = {
      timing: TIMING,
      homes: [HOME, PARTNER],
      isOpen: (home: ServerName) => this.#process.paths[home]?.open?.phase === 'open',
      leaseEnd: (home: ServerName) => this.#process.paths[home]?.leaseEnd ?? null,
      feed: (input: Input) => this.#queue(inputFor(this.#world, this.#me, input)),
    };
    return rules.variant?.ports?.(ports, around) ?? ports;
  }

  get #process(): Process {
    return processOf(this.#world, this.#me)!;
  }

  #change(changed: Partial<Process>): void {
    this.#world = withProcess(this.#world, { ...this.#process, ...changed });
  }

  #changePath(home: ServerName, changed: Partial<DiskSetPath>): void {
    if (home in this.#world.leases) this.#world = withPath(this.#world, this.#me, home, changed);
  }

  #queue(event: PendingEvent): void {
    this.#world = queued(this.#world, event);
  }

  #call(effect: Extract<PendingEvent, { kind: 'call' }>['effect']): void {
    if (!(effect.home in this.#world.leases)) return;
    this.#queue({ kind: 'call', from: this.#me, effect, sentAt: this.#world.now, silent: false });
  }

  #answer(home: ServerName, requestId: string): void {
    if (this.#world.leases[home]?.request?.id === requestId)
      this.#world = withLease(this.#world, home, { request: null });
  }

  #send(to: Incarnation, message: PairMessage): void {
    const target = processOf(this.#world, to);
    if (target === undefined || !target.alive || !connected(this.#world, this.#me, to)) return;
    if (this.#world.cut.includes(`${this.#me}>${target.me}`)) return;
    this.#queue(inputFor(this.#world, to, { kind: 'message', from: this.#me, message }));
  }

  /**
   * A cut may come between a thread's check of the lease and its system call: then a write is on its way until it is said that
   * there is none.
   */
  #grant(home: ServerName, until: number | null): void {
    const path = this.#process.paths[home];
    if (path === undefined) return;
    const { open, leaseEnd } = path;
    const held = until === null && leaseEnd !== null && nowOf(this.#world, this.#process) <= leaseEnd;
    const checked = held && open !== null && open.phase !== 'failing' && open.phase !== 'halted';
    this.#changePath(home, { leaseEnd: until, ...(checked ? { open: { ...open, phase: 'fencing' } } : {}) });
    // Each of several threads says it for itself, by ending.
    if (checked && open.threads.length === 0)
      this.#queue(inputFor(this.#world, this.#me, { kind: 'changesEnded', home }));
  }

  #open(home: ServerName, epoch: number): void {
    const { volumes } = this.#world;
    const threads = volumes === 1 ? [] : Array.from({ length: volumes }, () => 'opening' as const);
    this.#changePath(home, { open: { epoch, phase: 'opening', threads } });
    if (volumes === 1) this.#queue(inputFor(this.#world, this.#me, { kind: 'diskSetOpened', home, epoch }));
    for (const volume of threads.keys()) this.#queue({ kind: 'thread', to: this.#me, home, epoch, volume });
  }

  #close(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const open = this.#process.paths[home]?.open ?? null;
    const threads = open?.threads ?? [];
    if (open !== null && threads.some((thread) => thread !== 'ended')) {
      this.#changePath(home, {
        open: {
          ...open,
          phase: open.phase === 'fencing' ? 'fencing' : 'quiescing',
          threads: threads.map((thread) => (thread === 'open' ? 'ending' : thread)),
        },
      });
      for (const [volume, thread] of threads.entries())
        if (thread === 'open') this.#queue({ kind: 'thread', to: this.#me, home, epoch: open.epoch, volume });
      return;
    }
    if (mode === 'quiesce' && open !== null)
      this.#changePath(home, { open: { ...open, phase: 'quiescing' } });
    else if (open?.phase !== 'fencing' && open?.phase !== 'still' && open?.phase !== 'failing')
      this.#changePath(home, { open: null });
    this.#queue(inputFor(this.#world, this.#me, { kind: 'diskSetClosed', home }));
  }
}
