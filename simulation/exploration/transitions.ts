/** What can happen next in a world: the regular course of things, and every fault that is still allowed to strike. */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import { notOlder } from '../../pair/lease.ts';
import { nextWakeAt } from '../../pair/server.ts';
import {
  answerUnknown,
  applyEvent,
  closeSilentConnections,
  giveUpCalls,
  inputFor,
  kill,
  notifyAll,
  type Rules,
  reconnect,
  setApart,
  sightingOf,
  start,
} from './apply-event.ts';
import {
  type Faults,
  HOME,
  homesIn,
  PARTNER,
  type PendingEvent,
  type Process,
  pairName,
  processOf,
  QUANTUM,
  queued,
  type World,
  withLease,
  withPath,
  withProcess,
} from './world.ts';

// Regular course: what is on its way arrives, in the order of sending; when nothing is left, time goes on by one quantum, timers
// fire and processes wake. Every departure from it is a fault and costs one of its kind. So the explorer visits *every* execution
// with at most so many faults of each kind, however long it takes, and only those. States that differ in nothing but the time of
// day are one state (key.ts).

export interface Move {
  readonly name: string;
  readonly world: World;
  /** It undoes a fault. */
  readonly mends?: true;
}

export function transitionsOf(world: World, rules: Rules): Move[] {
  return world.queue.length > 0 ? whileBusy(world, rules) : whileQuiet(world, rules);
}

/** The one move that is no fault. */
export function regularTransition(world: World, rules: Rules): World {
  const [head, ...queue] = world.queue;
  return head === undefined ? advance(world, rules) : applyEvent({ ...world, queue }, rules, head);
}

// --------------------------------------------------------------------------- something is about to happen

function whileBusy(world: World, rules: Rules): Move[] {
  const [head, ...queue] = world.queue;
  const rest: World = { ...world, queue };
  const what = describe(head!);
  const moves: Move[] = [{ name: what, world: applyEvent(rest, rules, head!) }];
  const me = 'to' in head! ? head.to : head!.kind === 'call' ? head!.from : null;
  const process = me === null ? undefined : processOf(world, me);
  if (process === undefined || !process.alive || process.paused) return moves;
  // Crashes and pauses strike a process right before what it is about to do or hear; in between nothing differs.
  if (canStrike(world, 'crash'))
    moves.push({ name: `${me} crashes before: ${what}`, world: kill(spend(world, 'crash'), me!) });
  if (canStrike(world, 'pause'))
    moves.push({ name: `${me} is stopped before: ${what}`, world: pause(spend(world, 'pause'), process) });
  if (canStrike(world, 'late')) {
    moves.push({ name: `held up: ${what}`, world: { ...spend(rest, 'late'), held: [...rest.held, head!] } });
  }
  if (head!.kind === 'input' && head!.input.kind === 'diskSetOpened' && canStrike(world, 'openFailure'))
    moves.push({
      name: `fails half-way: ${what}`,
      world: openHalf(spend(rest, 'openFailure'), process, head!.input.home),
    });
  if (head!.kind === 'call' && canStrike(world, 'unknown'))
    moves.push(...withoutAnswer(spend(rest, 'unknown'), rules, head!, what));
  return moves;
}

function openHalf(rest: World, { me, paths }: Process, home: ServerName): World {
  const open = paths[home]?.open;
  if (open?.phase !== 'opening') return rest;
  const { epoch } = open;
  const input = { kind: 'diskSetOpenFailed', home, epoch, reason: 'NotAVolume', message: '' } as const;
  const failed = inputFor(rest, me, input);
  const failing = withPath(rest, me, home, { open: { ...open, phase: 'failing' } });
  return { ...failing, held: [...failing.held, failed] };
}

/** The call is lost, or was applied, or will be; its sender learns nothing. */
function withoutAnswer(
  rest: World,
  rules: Rules,
  event: Extract<PendingEvent, { kind: 'call' }>,
  what: string,
): Move[] {
  const told = queued(rest, answerUnknown(rest, event.from, event.effect));
  const silent = { ...event, silent: true };
  const moves: Move[] = [
    { name: `no answer, late or lost: ${what}`, world: { ...told, held: [...told.held, silent] } },
  ];
  if (event.effect.kind === 'writeLease') {
    moves.push({ name: `applied without an answer: ${what}`, world: applyEvent(told, rules, silent) });
  }
  return moves;
}

// ------------------------------------------------------------------------------------------------ quiet

function whileQuiet(world: World, rules: Rules): Move[] {
  return [
    { name: 'time goes on', world: advance(world, rules) },
    ...arrivals(world),
    ...processMoves(world),
    ...connectionMoves(world),
    ...startMoves(world, rules),
    ...requestMoves(world),
  ];
}

/** The end of a quantum: first the kernel's timers, then what was given up, then the processes that want to be woken. */
function advance(world: World, rules: Rules): World {
  let next: World = withTime(world, world.now + QUANTUM);
  for (const { me, alive, paths } of world.processes) {
    const fires = Object.values(paths).some(({ switchAt }) => switchAt !== null && switchAt <= next.now);
    if (alive && fires) next = kill(next, me);
  }
  next = closeSilentConnections(giveUpCalls(next));
  const ticks: PendingEvent[] = [];
  for (const { me, alive, paused, state } of next.processes) {
    if (!alive) continue;
    if (!paused) next = withoutInHand(next, me);
    // A broken variant may be due earlier than the real machine asks to be woken.
    const due = rules.variant !== null || nextWakeAt(state, next.now) <= next.now;
    if (!paused && due) ticks.push(inputFor(next, me, { kind: 'tick' }));
  }
  const held = next.held.filter((event) => matters(next, rules, event));
  return queued({ ...next, held }, ...ticks);
}

/** What it had in hand is executed. */
function withoutInHand(world: World, me: Incarnation): World {
  let next = world;
  for (const home of homesIn(world))
    if (processOf(world, me)!.paths[home]!.inHand !== null) next = withPath(next, me, home, { inHand: null });
  return next;
}

function withTime(world: World, now: number): World {
  return { ...world, now };
}

/** What was held up for so long that its arrival would change nothing is forgotten: it would only multiply worlds. */
function matters(world: World, rules: Rules, event: PendingEvent): boolean {
  if (rules.variant !== null) return true;
  switch (event.kind) {
    case 'proof': {
      const { holder, epoch } = world.leases[event.home]!;
      return holder === event.incarnation && epoch === event.epoch;
    }
    case 'thread':
      return processOf(world, event.to)?.paths[event.home]?.open?.epoch === event.epoch;
    case 'call':
      return (
        !event.silent ||
        (event.effect.kind === 'writeLease' &&
          event.effect.version === sightingOf(world.leases[event.effect.home]!).version)
      );
    case 'input': {
      const process = processOf(world, event.to);
      if (process === undefined || !process.alive) return false;
      const { input } = event;
      if (input.kind === 'died') {
        return !process.state.deaths.some(({ incarnation }) => incarnation === input.died.incarnation);
      }
      if (input.kind !== 'leaseSeen') return true;
      const { local, partner } = process.state;
      const set = input.home === local.home ? local : partner;
      return set.seen === null || notOlder(input.sighting.record, set.seen.record);
    }
  }
}

/** What was held up arrives; processes that were stopped go on. */
function arrivals(world: World): Move[] {
  const moves: Move[] = world.held.map((event, index) => ({
    name: `arrives late: ${describe(event)}`,
    mends: true as const,
    world: { ...world, held: world.held.filter((_, other) => other !== index), queue: [event] },
  }));
  for (const process of world.processes) {
    if (!process.alive || !process.paused) continue;
    const running = withProcess(world, { ...process, paused: false, waiting: [] });
    const awake = withoutInHand(running, process.me);
    moves.push({
      name: `${process.me} goes on`,
      mends: true,
      world: queued(awake, ...process.waiting, inputFor(world, process.me, { kind: 'tick' })),
    });
  }
  return moves;
}

function processMoves(world: World): Move[] {
  const moves: Move[] = [];
  for (const process of world.processes) {
    const { me, alive, paused, state } = process;
    if (!alive) continue;
    if (canStrike(world, 'crash'))
      moves.push({ name: `${me} crashes`, world: kill(spend(world, 'crash'), me) });
    if (paused) continue;
    if (canStrike(world, 'pause'))
      moves.push({ name: `${me} is stopped`, world: pause(spend(world, 'pause'), process) });
    if (canStrike(world, 'stop') && !state.stopping) {
      moves.push({
        name: `${me} is told to stop`,
        world: queued(spend(world, 'stop'), inputFor(world, me, { kind: 'stop' })),
      });
    }
    for (const home of homesIn(world)) {
      if (!canStrike(world, 'diskFault') || process.paths[home]!.open?.phase !== 'open') continue;
      const fault = inputFor(world, me, { kind: 'diskSetFault', home, reason: 'IoError', message: 'EIO' });
      moves.push({
        name: `${me} has a disk fault of ${home}`,
        world: queued(spend(world, 'diskFault'), fault),
      });
    }
    if (world.withoutApi.includes(me)) {
      const mended = { ...world, withoutApi: world.withoutApi.filter((other) => other !== me) };
      const seen = homesIn(world).map((home) =>
        inputFor(world, me, { kind: 'leaseSeen', home, sighting: sightingOf(world.leases[home]!) }),
      );
      moves.push({ name: `${me} reaches the API again`, mends: true, world: queued(mended, ...seen) });
    } else if (canStrike(world, 'withoutApi')) {
      moves.push({
        name: `${me} cannot reach the API`,
        world: { ...spend(world, 'withoutApi'), withoutApi: [...world.withoutApi, me].sort() },
      });
    }
  }
  return moves;
}

/**
 * A stopped process may have a write in its hands: checked, and executed with its next instruction. While a disk set is
 * opened that is its ownership record.
 */
function pause(world: World, process: Process): World {
  let next = withProcess(world, { ...process, paused: true });
  for (const home of homesIn(world)) {
    const { open, leaseEnd } = process.paths[home]!;
    const writing =
      open !== null && (open.phase === 'fencing' || (leaseEnd !== null && world.now < leaseEnd));
    if (writing) next = withPath(next, process.me, home, { inHand: open.epoch });
  }
  return next;
}

function connectionMoves(world: World): Move[] {
  const moves: Move[] = [];
  // A stopped process connects with nobody, and cutting it off adds nothing.
  const alive = world.processes.filter((process) => process.alive && !process.paused);
  for (const a of alive.filter(({ server }) => server === HOME)) {
    for (const b of alive.filter(({ server }) => server === PARTNER)) {
      if (world.apart.includes(pairName(a.me, b.me))) {
        const name = `${a.me} and ${b.me} are connected again`;
        moves.push({ name, mends: true, world: reconnect(world, a.me, b.me) });
        continue;
      }
      if (canStrike(world, 'disconnect')) {
        const name = `the connection of ${a.me} and ${b.me} breaks`;
        moves.push({ name, world: setApart(spend(world, 'disconnect'), a.me, b.me) });
      }
      moves.push(...cutMoves(world, `${a.me}>${b.me}`), ...cutMoves(world, `${b.me}>${a.me}`));
    }
  }
  return moves;
}

function cutMoves(world: World, direction: string): Move[] {
  if (world.cut.includes(direction)) {
    const cut = world.cut.filter((one) => one !== direction);
    return [{ name: `${direction} is mended`, mends: true, world: { ...world, cut } }];
  }
  if (!canStrike(world, 'cut')) return [];
  const cut = [...world.cut, direction].sort();
  return [{ name: `${direction} is cut`, world: { ...spend(world, 'cut'), cut } }];
}

function startMoves(world: World, rules: Rules): Move[] {
  const moves: Move[] = [];
  for (const server of [HOME, PARTNER]) {
    const runs = world.processes.filter((process) => process.server === server);
    const last = runs.at(-1);
    if (last === undefined) continue;
    if (canStrike(world, 'restart') && !last.alive) {
      const container = last.me.split('/')[1]!;
      moves.push({
        name: `${server} restarts`,
        world: start(spend(world, 'restart'), rules, server, container),
      });
    }
    if (canStrike(world, 'replace')) {
      const container = `pod${runs.length + 1}`;
      moves.push({
        name: `the pod of ${server} is replaced`,
        world: start(spend(world, 'replace'), rules, server, container),
      });
    }
  }
  return moves;
}

function requestMoves(world: World): Move[] {
  return homesIn(world).flatMap((home) => [
    ...plainRequests(world, home),
    ...forcedRequests(world, home),
    ...maintenanceMoves(world, home),
  ]);
}

/** Only where it is true: the person has seen to it that the acknowledger can act no more. */
function forcedRequests(world: World, home: ServerName): Move[] {
  const { holder, epoch, acknowledger, request } = world.leases[home]!;
  if (!canStrike(world, 'force') || request !== null || acknowledger === null) return [];
  if (processOf(world, acknowledger)?.alive) return [];
  return (['takeover', 'giveback'] as const).map((kind) => {
    const forced = {
      id: `request${world.requests + 1}`,
      kind,
      reason: 'seen to',
      force: true,
      about: { holder, epoch, acknowledger },
    };
    const asked = { ...spend(world, 'force'), requests: world.requests + 1 };
    const told = notifyAll(withLease(asked, home, { request: forced }), home, null);
    return { name: `a ${kind} of ${home} is forced`, world: told };
  });
}

function maintenanceMoves(world: World, home: ServerName): Move[] {
  const { maintenance } = world.leases[home]!;
  if (maintenance === null && !canStrike(world, 'maintenance')) return [];
  const name = `maintenance of ${home} ${maintenance === null ? 'begins' : 'ends'}`;
  const before = maintenance === null ? spend(world, 'maintenance') : world;
  const after = withLease(before, home, { maintenance: maintenance === null ? 'work' : null });
  return [{ name, world: notifyAll(after, home, null) }];
}

function plainRequests(world: World, home: ServerName): Move[] {
  const { request: pending, holder } = world.leases[home]!;
  if (!canStrike(world, 'request') || pending !== null || holder === null) return [];
  const kind = holder.startsWith(home) ? ('takeover' as const) : ('giveback' as const);
  const request = { id: `request${world.requests + 1}`, kind, reason: '' };
  const asked = { ...spend(world, 'request'), requests: world.requests + 1 };
  const told = notifyAll(withLease(asked, home, { request }), home, null);
  return [{ name: `a ${kind} of ${home} is requested`, world: told }];
}

// ------------------------------------------------------------------------------------------------ faults

function canStrike(world: World, fault: keyof Faults): boolean {
  return world.left[fault] > 0;
}

function spend(world: World, fault: keyof Faults): World {
  return { ...world, left: { ...world.left, [fault]: world.left[fault] - 1 } };
}

// ------------------------------------------------------------------------------------------------- words

export function describe(event: PendingEvent): string {
  switch (event.kind) {
    case 'proof':
      return `the operator writes that ${event.incarnation} is dead, ${event.home} epoch ${event.epoch}`;
    case 'thread':
      return `the thread of volume ${event.volume} of ${event.home} at ${event.to} turns`;
    case 'call': {
      const { effect } = event;
      if (effect.kind === 'readLease') return `${event.from} reads the Lease of ${effect.home}`;
      const { holder, epoch, acknowledger } = effect.ownership;
      return `${event.from} writes the Lease of ${effect.home}: holder ${holder}, epoch ${epoch}, acknowledger ${acknowledger}`;
    }
    case 'input':
      return `${event.to} hears: ${describeInput(event)}`;
  }
}

function describeInput({ input }: Extract<PendingEvent, { kind: 'input' }>): string {
  switch (input.kind) {
    case 'message': {
      const { message, from } = input;
      const said = 'seq' in message ? ` ${message.seq}` : '';
      return `${message.kind}${said} of ${from}`;
    }
    case 'leaseSeen': {
      const { holder, epoch, acknowledger } = input.sighting.record;
      return `the watch of ${input.home}: holder ${holder}, epoch ${epoch}, acknowledger ${acknowledger}`;
    }
    case 'leaseWritten':
    case 'leaseRead':
      return `${input.kind}, ${input.outcome.kind}`;
    case 'partnerConnected':
    case 'partnerDisconnected':
      return `${input.kind} ${input.incarnation}`;
    case 'died':
      return `${input.died.incarnation} has died`;
    default:
      return input.kind;
  }
}

interface Writer {
  readonly me: Incarnation;
  readonly home: ServerName;
  readonly epoch: number;
}

/** Who may be writing now, and at which epoch. */
export function writers(world: World): Writer[] {
  const found: Writer[] = [];
  for (const { me, alive, paused, paths } of world.processes) {
    if (!alive) continue;
    for (const home of homesIn(world)) {
      const { inHand, open, leaseEnd } = paths[home]!;
      if (inHand !== null) found.push({ me, home, epoch: inHand });
      if (open === null || open.phase === 'opening') continue;
      const { epoch, phase, threads } = open;
      // A thread that was told to end, and is still in a system call.
      const held = phase !== 'open' && threads.some((thread) => thread !== 'ended');
      if (phase === 'failing' || held) found.push({ me, home, epoch });
      else if (!paused && leaseEnd !== null && world.now < leaseEnd) found.push({ me, home, epoch });
    }
  }
  return found;
}

/** The invariant, in every world: the Lease names the process that may write, at that epoch. Null: it holds. */
export function violationIn(world: World): string | null {
  if (world.violation !== null) return world.violation;
  for (const { me, home, epoch } of writers(world)) {
    const lease = world.leases[home]!;
    if (me === lease.holder && epoch === lease.epoch) continue;
    return `${me} may write to ${home} at epoch ${epoch}; its Lease names ${lease.holder} at epoch ${lease.epoch}`;
  }
  return null;
}
