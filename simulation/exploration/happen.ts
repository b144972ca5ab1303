/** What one event does to the world: pair/'s driver and machine as they run in production, with ports to a world that is a value. */
import { type DriverPorts, PairDriver } from '../../pair/driver.ts';
import { type Incarnation, incarnationOf, type ServerName } from '../../pair/incarnation.ts';
import type { LeaseOwnership, LeaseRecord } from '../../pair/lease.ts';
import { initialServer } from '../../pair/server.ts';
import { DEFAULT_POLICY } from '../../pair/transfer-policy.ts';
import type {
  Input,
  LeaseReadOutcome,
  LeaseWriteOutcome,
  PairMessage,
  PairPolicy,
} from '../../pair/types.ts';
import type { Step, SurroundingFault, Variant } from '../variants/variant.ts';
import { stepOf } from '../variants/variants.ts';
import {
  CALL_MS,
  connected,
  type Happening,
  HOME,
  PARTNER,
  type Process,
  pairName,
  processOf,
  queued,
  TIMING,
  type World,
  withProcess,
} from './world.ts';

/** The rules of one exploration: the machine as it is, or with a clause left out. */
export class Laws {
  readonly variant: Variant | null;
  readonly step: Step;
  readonly policy: PairPolicy;

  constructor(variant: Variant | null, policy: PairPolicy = DEFAULT_POLICY) {
    this.policy = policy;
    this.variant = variant;
    this.step = stepOf(variant);
  }

  has(fault: SurroundingFault): boolean {
    return this.variant?.fault === fault;
  }
}

// ------------------------------------------------------------------------------------------------- inputs

export function inputFor(world: World, to: Incarnation, input: Input): Happening {
  return { kind: 'input', to, input, sentAt: world.now };
}

/** One input to one process, and all that it does at once. */
export function feed(world: World, laws: Laws, to: Incarnation, input: Input): World {
  const process = processOf(world, to);
  if (process === undefined || !process.alive) return world;
  const result = new PortCalls(world, to);
  const driver = new PairDriver(process.state, result.ports(laws), laws.step);
  driver.feed(input);
  return result.ended(driver.state);
}

/** The driver's ports for one step of one process: each call leads to another world. */
class PortCalls {
  private world: World;
  private readonly me: Incarnation;

  constructor(world: World, me: Incarnation) {
    this.world = world;
    this.me = me;
  }

  ended(state: Process['state']): World {
    this.change({ state });
    return this.world;
  }

  ports(laws: Laws): DriverPorts {
    const nothing = (): void => {};
    const ports: DriverPorts = {
      // Whoever wants to be woken is asked when time goes on (moves.ts).
      clock: { now: () => this.world.now, wakeAt: nothing },
      witness: {
        read: (home) => this.call({ kind: 'readLease', home }),
        compareAndSwap: (home, token, version, ownership) =>
          this.call({ kind: 'writeLease', home, token, version, ownership }),
        answer: (_, requestId) => this.answer(requestId),
      },
      interconnect: { send: (to, message) => this.send(to, message) },
      dataPath: {
        grant: (_, until) => this.grant(until),
        prepare: nothing,
        open: (_, epoch) => this.open(epoch),
        close: (_, mode) => this.close(mode),
        freeze: nothing,
        thaw: nothing,
        disksAt: nothing,
      },
      watchdog: {
        arm: (_, switchAt) => this.change({ switchAt }),
        disarm: () => this.change({ switchAt: null }),
      },
      sentinel: { setHoldings: (registered) => this.change({ registered }) },
      gate: { open: nothing, withdraw: nothing, close: nothing },
      observer: { traced: nothing },
      stopped: () => {
        this.world = kill(this.world, this.me);
      },
      failed: (error) => {
        throw error;
      },
    };
    const around = {
      timing: TIMING,
      isOpen: () => this.process.open?.phase === 'open',
      right: () => this.process.right,
      feed: (input: Input) => this.queue(inputFor(this.world, this.me, input)),
    };
    return laws.variant?.ports?.(ports, around) ?? ports;
  }

  private get process(): Process {
    return processOf(this.world, this.me)!;
  }

  private change(changed: Partial<Process>): void {
    this.world = withProcess(this.world, { ...this.process, ...changed });
  }

  private queue(event: Happening): void {
    this.world = queued(this.world, event);
  }

  /** The other disk set is not explored: its Lease never answers. */
  private call(effect: Extract<Happening, { kind: 'call' }>['effect']): void {
    if (effect.home !== HOME) return;
    this.queue({ kind: 'call', from: this.me, effect, sentAt: this.world.now, silent: false });
  }

  private answer(requestId: string): void {
    const { lease } = this.world;
    if (lease.request?.id === requestId) this.world = { ...this.world, lease: { ...lease, request: null } };
  }

  private send(to: Incarnation, message: PairMessage): void {
    const target = processOf(this.world, to);
    if (target === undefined || !target.alive || !connected(this.world, this.me, to)) return;
    if (this.world.cut.includes(`${this.me}>${target.me}`)) return;
    this.queue(inputFor(this.world, to, { kind: 'message', from: this.me, message }));
  }

  /**
   * A cut may come between a thread's check of the right and its system call: then a write is on its way until it is said that
   * there is none.
   */
  private grant(until: number | null): void {
    const { open, right } = this.process;
    const held = until === null && right !== null && this.world.now <= right;
    const checked = held && open !== null && open.phase !== 'failing';
    this.change({ right: until, ...(checked ? { open: { ...open, phase: 'fencing' } } : {}) });
    if (checked) this.queue(inputFor(this.world, this.me, { kind: 'changesEnded', home: HOME }));
  }

  private open(epoch: number): void {
    this.change({ open: { epoch, phase: 'opening' } });
    this.queue(inputFor(this.world, this.me, { kind: 'diskSetOpened', home: HOME, epoch }));
  }

  private close(mode: 'quiesce' | 'fence'): void {
    const { open } = this.process;
    if (mode === 'quiesce' && open !== null) this.change({ open: { ...open, phase: 'quiescing' } });
    else if (open?.phase !== 'fencing' && open?.phase !== 'still' && open?.phase !== 'failing')
      this.change({ open: null });
    this.queue(inputFor(this.world, this.me, { kind: 'diskSetClosed', home: HOME }));
  }
}

/** Something that was on its way arrives. */
export function happen(world: World, laws: Laws, event: Happening): World {
  switch (event.kind) {
    case 'call':
      return call(world, event);
    case 'proof': {
      const { holder, epoch } = world.lease;
      if (holder !== event.incarnation || epoch !== event.epoch) return world;
      const deathProof = { incarnation: event.incarnation, epoch, evidence: 'operator' };
      return notifyAll({ ...world, lease: { ...world.lease, deathProof } }, null);
    }
    case 'input': {
      const process = processOf(world, event.to);
      if (process === undefined || !process.alive) return world;
      if (process.paused) return withProcess(world, { ...process, waiting: waitingWith(process, event) });
      return feed(arrive(world, process, event.input), laws, event.to, event.input);
    }
  }
}

/** In the socket's buffer. Of a watch's news only the newest matters to whoever reads them all at once. */
function waitingWith(
  { waiting }: Process,
  event: Extract<Happening, { kind: 'input' }>,
): readonly Happening[] {
  const isNews = (one: Happening) => one.kind === 'input' && one.input.kind === 'leaseSeen';
  return [...(isNews(event) ? waiting.filter((one) => !isNews(one)) : waiting), event];
}

/** What the data path has done by the time at which it reports. */
function arrive(world: World, process: Process, input: Input): World {
  const { open } = process;
  if (input.kind === 'diskSetOpened' && open?.phase === 'opening' && open.epoch === input.epoch) {
    return withProcess(world, { ...process, open: { ...open, phase: 'open' } });
  }
  if (input.kind === 'changesEnded' && open?.phase === 'fencing') {
    return withProcess(world, { ...process, open: { ...open, phase: 'still' } });
  }
  if (input.kind === 'diskSetClosed' && open !== null && open.phase !== 'opening' && open.phase !== 'open') {
    return withProcess(world, { ...process, open: null });
  }
  return world;
}

// ------------------------------------------------------------------------------------------------ witness

function call(world: World, { from, effect, silent }: Extract<Happening, { kind: 'call' }>): World {
  if (!silent && world.withoutApi.includes(from)) return queued(world, answerUnknown(world, from, effect));
  if (effect.kind === 'readLease') {
    const outcome: LeaseReadOutcome = { kind: 'found', sighting: sightingOf(world.lease) };
    return silent ? world : queued(world, inputFor(world, from, { kind: 'leaseRead', home: HOME, outcome }));
  }
  const { world: next, outcome } = write(world, effect);
  if (silent) return next;
  const { token } = effect;
  return {
    ...next,
    queue: [inputFor(world, from, { kind: 'leaseWritten', home: HOME, token, outcome }), ...next.queue],
  };
}

/** The answer that the driver gives when none has come. */
export function answerUnknown(
  world: World,
  from: Incarnation,
  effect: Extract<Happening, { kind: 'call' }>['effect'],
): Happening {
  const outcome = { kind: 'unknown' } as const;
  return inputFor(
    world,
    from,
    effect.kind === 'readLease'
      ? { kind: 'leaseRead', home: HOME, outcome }
      : { kind: 'leaseWritten', home: HOME, token: effect.token, outcome },
  );
}

function write(
  world: World,
  { version, ownership }: Extract<Extract<Happening, { kind: 'call' }>['effect'], { kind: 'writeLease' }>,
): { world: World; outcome: LeaseWriteOutcome } {
  const before = world.lease;
  if (version !== versionOf(before)) return { world, outcome: { kind: 'conflict' } };
  const lease: LeaseRecord = { ...before, ...ownership };
  const next = notifyAll(
    { ...world, lease, violation: world.violation ?? illegal(before, ownership) },
    ownership.holder,
  );
  return { world: next, outcome: { kind: 'applied', sighting: sightingOf(lease) } };
}

function illegal(before: LeaseRecord, after: LeaseOwnership): string | null {
  if (after.holder === null || after.holder === before.holder || after.epoch === before.epoch + 1)
    return null;
  return `${after.holder} became the holder of epoch ${after.epoch} after epoch ${before.epoch}`;
}

/** The adapters promise a compare-and-swap on the ownership: what others write beside it does not count. */
function versionOf(record: LeaseRecord): string {
  return String(record.renewal);
}

export function sightingOf(record: LeaseRecord) {
  return { version: versionOf(record), record };
}

/** Watches deliver the change; the writer has the answer to its write. */
export function notifyAll(world: World, except: Incarnation | null): World {
  const sighting = sightingOf(world.lease);
  const watching = world.processes.filter(
    ({ alive, me }) => alive && me !== except && !world.withoutApi.includes(me),
  );
  return queued(
    world,
    ...watching.map(({ me }) => inputFor(world, me, { kind: 'leaseSeen', home: HOME, sighting })),
  );
}

/** A connection on which nothing was heard for two thirds of the lease is closed by whoever listens. */
export function closeSilentConnections(world: World): World {
  let next = world;
  for (const process of world.processes) {
    if (!process.alive || !process.paused) continue;
    for (const event of process.waiting) {
      if (event.kind !== 'input' || event.input.kind !== 'message') continue;
      const { from } = event.input;
      const silent = world.now - event.sentAt >= (2 * TIMING.leaseMs) / 3;
      if (silent && processOf(next, from)?.alive && connected(next, process.me, from)) {
        next = setApart(next, process.me, from);
      }
    }
  }
  return next;
}

/** Calls whose answer has not come in time: their senders hear "unknown", and whatever comes later they do not hear. */
export function giveUpCalls(world: World): World {
  const late = (event: Happening) => 'sentAt' in event && world.now - event.sentAt >= CALL_MS;
  const answers: Happening[] = [];
  const held: Happening[] = [];
  for (const event of world.held) {
    if (event.kind === 'call' && !event.silent && late(event)) {
      answers.push(answerUnknown(world, event.from, event.effect));
      held.push({ ...event, silent: true });
    } else if (event.kind === 'input' && event.input.kind === 'leaseWritten' && late(event)) {
      answers.push(inputFor(world, event.to, { ...event.input, outcome: { kind: 'unknown' } }));
    } else if (event.kind === 'input' && event.input.kind === 'leaseRead' && late(event)) {
      answers.push(inputFor(world, event.to, { ...event.input, outcome: { kind: 'unknown' } }));
    } else held.push(event);
  }
  return queued({ ...world, held }, ...answers);
}

// ---------------------------------------------------------------------------------------------- processes

/** Starts a run: in that container, connected with every partner that is alive. */
export function start(world: World, laws: Laws, server: ServerName, container: string): World {
  const me = incarnationOf(
    server,
    laws.has('oneContainerForAll') ? 'pod' : container,
    `run${world.runs + 1}`,
  );
  const partner = server === HOME ? PARTNER : HOME;
  const process: Process = {
    me,
    server,
    state: initialServer({ me, server, partner, timing: TIMING, policy: laws.policy }, world.now),
    alive: true,
    paused: false,
    waiting: [],
    inHand: null,
    open: null,
    right: null,
    switchAt: null,
    registered: [],
  };
  const partners = world.processes.filter((other) => other.alive && other.server === partner);
  return queued(
    { ...world, runs: world.runs + 1, processes: [...world.processes, process] },
    inputFor(world, me, { kind: 'tick' }),
    ...partners.flatMap((other) => [
      inputFor(world, me, { kind: 'partnerConnected', incarnation: other.me }),
      inputFor(world, other.me, { kind: 'partnerConnected', incarnation: me }),
    ]),
  );
}

/** A process ends: its partners lose the connection, and those who can tell may say so, at any time. */
export function kill(world: World, me: Incarnation): World {
  const process = processOf(world, me)!;
  const partners = world.processes.filter((other) => other.alive && other.server !== process.server);
  const holdings = process.registered;
  const dead = withProcess(world, {
    ...process,
    alive: false,
    paused: false,
    waiting: [],
    inHand: null,
    open: null,
    right: null,
    switchAt: null,
  });
  const epoch = holdings.find(({ home }) => home === HOME)?.epoch;
  const died = { kind: 'died' as const, incarnation: me, holdings, evidence: 'sentinel' };
  return {
    ...queued(
      dead,
      ...partners.map((other) => inputFor(world, other.me, { kind: 'partnerDisconnected', incarnation: me })),
    ),
    held: [
      ...dead.held.filter((event) => event.kind !== 'input' || event.to !== me),
      ...(epoch === undefined
        ? []
        : partners.map((other) => inputFor(world, other.me, { kind: 'died', died }))),
      ...(epoch === undefined ? [] : [{ kind: 'proof' as const, incarnation: me, epoch }]),
    ],
  };
}

export function setApart(world: World, a: Incarnation, b: Incarnation): World {
  return queued(
    { ...world, apart: [...world.apart, pairName(a, b)].sort() },
    inputFor(world, a, { kind: 'partnerDisconnected', incarnation: b }),
    inputFor(world, b, { kind: 'partnerDisconnected', incarnation: a }),
  );
}

export function reconnect(world: World, a: Incarnation, b: Incarnation): World {
  return queued(
    { ...world, apart: world.apart.filter((name) => name !== pairName(a, b)) },
    inputFor(world, a, { kind: 'partnerConnected', incarnation: b }),
    inputFor(world, b, { kind: 'partnerConnected', incarnation: a }),
  );
}
