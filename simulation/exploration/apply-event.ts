/** What one event does to the world: pair/'s driver and machine as they run in production, with ports to a world that is a value. */
import { type DriverPorts, PairDriver } from '../../pair/driver.ts';
import { type Incarnation, incarnationOf, type ServerName } from '../../pair/incarnation.ts';
import type { LeaseOwnership, LeaseRecord } from '../../pair/lease.ts';
import type { PairMessage } from '../../pair/messages.ts';
import { initialServer } from '../../pair/server/state.ts';
import { DEFAULT_POLICY } from '../../pair/transfer-policy.ts';
import type { Input, LeaseReadOutcome, LeaseWriteOutcome, PairPolicy } from '../../pair/types.ts';
import type { Step, SurroundingFault, Variant } from '../variants/variant.ts';
import { stepOf } from '../variants/variants.ts';
import {
  CALL_MS,
  connected,
  type DiskSetPath,
  HOME,
  homesIn,
  NO_PATH,
  nowOf,
  PARTNER,
  type PendingEvent,
  type Process,
  pairName,
  processOf,
  queued,
  type Thread,
  TIMING,
  type World,
  withLease,
  withPath,
  withProcess,
} from './world.ts';

/** The rules of one exploration: the machine as it is, or with a clause left out. */
export class Rules {
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

export function inputFor(world: World, to: Incarnation, input: Input): PendingEvent {
  return { kind: 'input', to, input, sentAt: world.now };
}

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

/** Something that was on its way arrives. */
export function applyEvent(world: World, rules: Rules, event: PendingEvent): World {
  switch (event.kind) {
    case 'call':
      return call(world, event);
    case 'proof': {
      const { holder, epoch } = world.leases[event.home]!;
      if (holder !== event.incarnation || epoch !== event.epoch) return world;
      const deathProof = { incarnation: event.incarnation, epoch, evidence: 'operator' };
      return notifyAll(withLease(world, event.home, { deathProof }), event.home, null);
    }
    case 'thread': {
      const process = processOf(world, event.to);
      if (process === undefined || !process.alive) return world;
      if (process.paused) return withProcess(world, { ...process, waiting: [...process.waiting, event] });
      return threadTurns(world, rules, process, event);
    }
    case 'input': {
      const process = processOf(world, event.to);
      if (process === undefined || !process.alive) return world;
      if (process.paused) return withProcess(world, { ...process, waiting: waitingWith(process, event) });
      const input = asFound(world, process, event.input);
      return input === null ? world : feed(arrive(world, process, input), rules, event.to, input);
    }
  }
}

/** R6: an ownership record of a higher epoch is not replaced. A halt is about one opening. null: nobody hears it. */
function asFound(world: World, { paths }: Process, input: Input): Input | null {
  if (input.kind === 'diskSetOpened') {
    const { home, epoch } = input;
    const epochFound = world.records[home] ?? 0;
    if (epochFound <= epoch) return input;
    return { kind: 'diskSetOpenFailed', home, epoch, epochFound, reason: 'VolumeEpochAhead', message: '' };
  }
  const isOfHalt = input.kind === 'diskSetFault' && input.reason === HALTED;
  return isOfHalt && paths[input.home]?.open?.phase !== 'halted' ? null : input;
}

/** A thread has stopped all others of the disk set. */
export function halted(world: World, me: Incarnation, home: ServerName): World {
  const open = processOf(world, me)!.paths[home]!.open!;
  return withPath(world, me, home, { open: { ...open, phase: 'halted' } });
}

/** Why a data path that has halted cannot go on. */
export const HALTED = 'RightLost';

/** In the socket's buffer. Of a watch's news only the newest matters to a process that reads them all at once. */
function waitingWith(
  { waiting }: Process,
  event: Extract<PendingEvent, { kind: 'input' }>,
): readonly PendingEvent[] {
  const isNews = (one: PendingEvent) => one.kind === 'input' && one.input.kind === 'leaseSeen';
  return [...(isNews(event) ? waiting.filter((one) => !isNews(one)) : waiting), event];
}

/** The record of its volume is written, or it ends. The data path speaks for all of them. */
function threadTurns(
  world: World,
  rules: Rules,
  { me, paths }: Process,
  { home, epoch, volume }: Extract<PendingEvent, { kind: 'thread' }>,
): World {
  const open = paths[home]?.open ?? null;
  if (open === null || open.epoch !== epoch || open.threads[volume] === 'ended') return world;
  const opens = open.phase === 'opening' || open.phase === 'open';
  const turned: Thread = opens ? 'open' : 'ended';
  const threads = open.threads.map((thread, index) => (index === volume ? turned : thread));
  const next = withPath(world, me, home, { open: { ...open, threads } });
  const all = threads.every((thread) => thread === turned);
  const first = threads.filter((thread) => thread === turned).length === 1;
  if (opens) {
    const says = rules.has('openedByFirstThread') ? first : all;
    return says ? queued(next, inputFor(next, me, { kind: 'diskSetOpened', home, epoch })) : next;
  }
  const ended = all && open.phase === 'fencing';
  const says = rules.has('closedByFirstThread') ? first : all;
  return queued(
    next,
    ...(ended ? [inputFor(next, me, { kind: 'changesEnded', home })] : []),
    ...(says ? [inputFor(next, me, { kind: 'diskSetClosed', home })] : []),
  );
}

/** What the data path has done by the time at which it reports. */
function arrive(world: World, { me, paths }: Process, input: Input): World {
  if (input.kind !== 'diskSetOpened' && input.kind !== 'changesEnded' && input.kind !== 'diskSetClosed')
    return world;
  const { home } = input;
  const open = paths[home]?.open ?? null;
  if (open === null) return world;
  const { phase, threads } = open;
  if (input.kind === 'diskSetOpened' && phase === 'opening' && open.epoch === input.epoch) {
    const recorded = { ...world, records: { ...world.records, [home]: open.epoch } };
    const next = withPath(recorded, me, home, { open: { ...open, phase: 'open' } });
    return threads.includes('opening')
      ? {
          ...next,
          violation: `${me} says that ${home} is open, and a volume of it may write its ownership record later`,
        }
      : next;
  }
  if (input.kind === 'changesEnded' && phase === 'fencing')
    return withPath(world, me, home, { open: { ...open, phase: 'still' } });
  const closed = input.kind === 'diskSetClosed' && phase !== 'opening' && phase !== 'open';
  // Whatever was said of them, threads that have not ended go on.
  const over = threads.every((thread) => thread === 'ended');
  return closed && over ? withPath(world, me, home, { open: null }) : world;
}

// ------------------------------------------------------------------------------------------------ witness

function call(world: World, { from, effect, silent }: Extract<PendingEvent, { kind: 'call' }>): World {
  if (!silent && world.withoutApi.includes(from)) return queued(world, answerUnknown(world, from, effect));
  if (effect.kind === 'readLease') {
    const { home } = effect;
    const outcome: LeaseReadOutcome = { kind: 'found', sighting: sightingOf(world.leases[home]!) };
    return silent ? world : queued(world, inputFor(world, from, { kind: 'leaseRead', home, outcome }));
  }
  const { world: next, outcome } = write(world, effect);
  if (silent) return next;
  const { home, token } = effect;
  return {
    ...next,
    queue: [inputFor(world, from, { kind: 'leaseWritten', home, token, outcome }), ...next.queue],
  };
}

/** The answer that the driver gives when none has come. */
export function answerUnknown(
  world: World,
  from: Incarnation,
  effect: Extract<PendingEvent, { kind: 'call' }>['effect'],
): PendingEvent {
  const outcome = { kind: 'unknown' } as const;
  const { home } = effect;
  return inputFor(
    world,
    from,
    effect.kind === 'readLease'
      ? { kind: 'leaseRead', home, outcome }
      : { kind: 'leaseWritten', home, token: effect.token, outcome },
  );
}

function write(
  world: World,
  {
    home,
    version,
    ownership,
  }: Extract<Extract<PendingEvent, { kind: 'call' }>['effect'], { kind: 'writeLease' }>,
): { world: World; outcome: LeaseWriteOutcome } {
  const before = world.leases[home]!;
  if (version !== versionOf(before)) return { world, outcome: { kind: 'conflict' } };
  const written = withLease(world, home, ownership);
  const violation = world.violation ?? illegal(before, ownership);
  const next = notifyAll({ ...written, violation }, home, ownership.holder);
  return { world: next, outcome: { kind: 'applied', sighting: sightingOf(next.leases[home]!) } };
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
export function notifyAll(world: World, home: ServerName, except: Incarnation | null): World {
  const sighting = sightingOf(world.leases[home]!);
  const watching = world.processes.filter(
    ({ alive, me }) => alive && me !== except && !world.withoutApi.includes(me),
  );
  return queued(
    world,
    ...watching.map(({ me }) => inputFor(world, me, { kind: 'leaseSeen', home, sighting })),
  );
}

/** A connection on which nothing was heard for two thirds of the lease is closed at the end that listens. */
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
  const late = (event: PendingEvent) => 'sentAt' in event && world.now - event.sentAt >= CALL_MS;
  const answers: PendingEvent[] = [];
  const held: PendingEvent[] = [];
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
export function start(world: World, rules: Rules, server: ServerName, container: string): World {
  const me = incarnationOf(
    server,
    rules.has('oneContainerForAll') ? 'pod' : container,
    `run${world.runs + 1}`,
  );
  const partner = server === HOME ? PARTNER : HOME;
  const process: Process = {
    me,
    server,
    state: initialServer({ me, server, partner, timing: TIMING, policy: rules.policy }, world.now),
    alive: true,
    paused: false,
    clockStands: false,
    behindMs: 0,
    waiting: [],
    paths: Object.fromEntries(homesIn(world).map((home) => [home, NO_PATH])),
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
    clockStands: false,
    waiting: [],
    paths: Object.fromEntries(homesIn(world).map((home) => [home, NO_PATH])),
  });
  const held = holdings.filter(({ home }) => home in world.leases);
  const died = { kind: 'died' as const, incarnation: me, holdings, evidence: 'sentinel' };
  return {
    ...queued(
      dead,
      ...partners.map((other) => inputFor(world, other.me, { kind: 'partnerDisconnected', incarnation: me })),
    ),
    held: [
      ...dead.held.filter((event) => !('to' in event) || event.to !== me),
      ...(held.length === 0
        ? []
        : partners.map((other) => inputFor(world, other.me, { kind: 'died', died }))),
      ...held.map(({ home, epoch }) => ({ kind: 'proof' as const, home, incarnation: me, epoch })),
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
