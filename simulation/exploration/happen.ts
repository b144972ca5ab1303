/** What one event does to the world: the driver of pair/'s machine, as fileserver/agent is, without time and sockets. */
import { type Incarnation, incarnationOf, type ServerName } from '../../pair/incarnation.ts';
import type { LeaseOwnership, LeaseRecord } from '../../pair/lease.ts';
import { initialServer } from '../../pair/server.ts';
import { DEFAULT_POLICY } from '../../pair/transfer-policy.ts';
import type { Effect, Input, LeaseReadOutcome, LeaseWriteOutcome, PairPolicy } from '../../pair/types.ts';
import type { Step, Variant } from '../variants/variant.ts';
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
  readonly timing: typeof TIMING;
  readonly policy: PairPolicy;

  constructor(variant: Variant | null, policy: PairPolicy = DEFAULT_POLICY) {
    this.policy = policy;
    this.variant = variant;
    this.step = stepOf(variant);
    this.timing = variant?.timing?.(TIMING) ?? TIMING;
  }

  has(fault: NonNullable<Variant['driver']>): boolean {
    return this.variant?.driver === fault;
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
  const { state, effects } = laws.step(process.state, input, world.now);
  let next = withProcess(world, { ...process, state });
  for (const effect of effects) next = execute(next, laws, to, effect);
  return next;
}

function execute(world: World, laws: Laws, me: Incarnation, effect: Effect): World {
  const process = processOf(world, me)!;
  const change = (changed: Partial<Process>): World => withProcess(world, { ...process, ...changed });
  switch (effect.kind) {
    case 'send':
      return send(world, process, effect);
    case 'readLease':
    case 'writeLease':
      if (effect.home !== HOME) return world;
      return queued(world, { kind: 'call', from: me, effect, sentAt: world.now, silent: false });
    case 'setRight': {
      const armed = laws.has('noSwitch') || laws.has('rightNotChecked') || laws.has('switchArmedLate');
      if (effect.until === null) {
        return change({ right: null, ...(laws.has('switchDisarmedEarly') ? { switchAt: null } : {}) });
      }
      const first = process.switchAt === null;
      return change({
        right: effect.until,
        ...(armed && first ? {} : { switchAt: switchAt(laws, effect.until) }),
      });
    }
    case 'disarm':
      return change({ right: null, switchAt: null });
    case 'openDiskSet': {
      const opened: Input = { kind: 'diskSetOpened', home: HOME, epoch: effect.epoch };
      return queued(change({ open: { epoch: effect.epoch, phase: 'opening' } }), inputFor(world, me, opened));
    }
    case 'closeDiskSet':
      return close(world, laws, process, effect.mode);
    case 'holdings':
      return change({ registered: effect.holdings });
    case 'stopped':
      return kill(world, me);
    case 'requestAnswered':
      return world.lease.request?.id === effect.requestId
        ? { ...world, lease: { ...world.lease, request: null } }
        : world;
    case 'trace':
      return world;
  }
}

function switchAt(laws: Laws, until: number): number {
  return until + (laws.has('switchTooLate') ? 2 * TIMING.guardMs : laws.timing.guardMs / 2);
}

function send(world: World, from: Process, effect: Extract<Effect, { kind: 'send' }>): World {
  const target = processOf(world, effect.to);
  if (target === undefined || !target.alive || !connected(world, from.me, effect.to)) return world;
  if (world.cut.includes(`${from.me}>${target.me}`)) return world;
  // Silence about the other disk set, which is not explored, keeps the states apart from each other's history few.
  return queued(
    world,
    inputFor(world, effect.to, { kind: 'message', from: from.me, message: effect.message }),
  );
}

function close(world: World, laws: Laws, process: Process, mode: 'quiesce' | 'fence'): World {
  const closed = inputFor(world, process.me, { kind: 'diskSetClosed', home: HOME });
  const { open } = process;
  if (laws.has('closedTooSoon') && open?.phase === 'open') {
    return queued(withProcess(world, { ...process, open: null, inHand: open.epoch }), closed);
  }
  const after = mode === 'fence' || open === null ? null : { ...open, phase: 'quiescing' as const };
  return queued(withProcess(world, { ...process, open: after }), closed);
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
      return feed(arrive(world, laws, process, event.input), laws, event.to, event.input);
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
function arrive(world: World, laws: Laws, process: Process, input: Input): World {
  if (
    input.kind === 'diskSetOpened' &&
    process.open?.phase === 'opening' &&
    process.open.epoch === input.epoch
  ) {
    const late = laws.has('switchArmedLate') && process.right !== null;
    return withProcess(world, {
      ...process,
      open: { ...process.open, phase: 'open' },
      ...(late ? { switchAt: switchAt(laws, process.right!) } : {}),
    });
  }
  if (input.kind === 'diskSetClosed' && process.open?.phase === 'quiescing') {
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
  effect: Extract<Effect, { kind: 'readLease' | 'writeLease' }>,
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
  { version, ownership }: Extract<Effect, { kind: 'writeLease' }>,
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
    state: initialServer({ me, server, partner, timing: laws.timing, policy: laws.policy }, world.now),
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
