/** Events that can happen next in a world: the regular course of things, and every fault that is still allowed to strike. */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import { notOlder } from '../../pair/lease.ts';
import { nextWakeAt } from '../../pair/server.ts';
import type { Transition } from '../faults/fault.ts';
import { EXPLORED } from '../faults/registry.ts';
import { applyEvent, HALTED } from './apply-event.ts';
import { describe } from './describe.ts';
import { checkRecords } from './paused-machine.ts';
import { closeSilentConnections, kill } from './processes.ts';
import type { Rules } from './rules.ts';
import { giveUpCalls, sightingOf } from './witness.ts';
import {
  homesIn,
  inputFor,
  nowOf,
  type PendingEvent,
  processOf,
  QUANTUM,
  queued,
  type World,
  withoutInHand,
  withProcess,
} from './world.ts';

// Regular course: what is on its way arrives, in the order of sending; when nothing is left, time goes on by one quantum, timers
// fire and processes wake. Every departure from it is a fault and costs one of its kind. So the explorer visits *every* execution
// with at most so many faults of each kind, however long it takes, and only those. States that differ in nothing but the time of
// day are one state (key.ts).

export function transitionsOf(world: World, rules: Rules): Transition[] {
  return world.queue.length > 0 ? whileBusy(world, rules) : whileQuiet(world, rules);
}

/** The one move that is no fault. */
export function regularTransition(world: World, rules: Rules): World {
  const [head, ...queue] = world.queue;
  return head === undefined ? advance(world, rules) : applyEvent({ ...world, queue }, rules, head);
}

function whileBusy(world: World, rules: Rules): Transition[] {
  const [head, ...queue] = world.queue;
  const rest: World = { ...world, queue };
  const what = describe(head!);
  const regular = { name: what, world: applyEvent(rest, rules, head!) };
  const me = 'to' in head! ? head.to : head!.kind === 'call' ? head!.from : null;
  const process = me === null ? undefined : processOf(world, me);
  if (process === undefined || !process.alive || process.paused) return [regular];
  const moment = { world, head: head!, what, rest, process };
  return [regular, ...EXPLORED.flatMap(({ before }) => before?.(moment, rules) ?? [])];
}

function whileQuiet(world: World, rules: Rules): Transition[] {
  const regular = { name: 'time goes on', world: advance(world, rules) };
  return [regular, ...EXPLORED.flatMap(({ quiet }) => quiet?.(world, rules) ?? [])];
}

/** The end of a quantum: first the kernel's timers, then what was given up, then the processes that want to be woken. */
function advance(world: World, rules: Rules): World {
  let next: World = { ...world, now: world.now + QUANTUM };
  for (const process of world.processes) {
    const { me, alive, paths, clockStands, behindMs } = process;
    if (clockStands) next = withProcess(next, { ...process, behindMs: behindMs + QUANTUM });
    const now = next.now - behindMs;
    const fires = Object.values(paths).some(({ switchAt }) => switchAt !== null && switchAt <= now);
    if (alive && !clockStands && fires) next = kill(next, me);
  }
  next = checkRecords(closeSilentConnections(giveUpCalls(next)), rules);
  const ticks: PendingEvent[] = [];
  for (const process of next.processes) {
    const { me, alive, paused, state } = process;
    if (!alive) continue;
    const now = nowOf(next, process);
    if (!paused) next = withoutInHand(next, me);
    // A broken variant may be due earlier than the real machine asks to be woken.
    const due = rules.variant !== null || nextWakeAt(state, now) <= now;
    if (!paused && due) ticks.push(inputFor(next, me, { kind: 'tick' }));
  }
  const held = next.held.filter((event) => matters(next, rules, event));
  return queued({ ...next, held }, ...ticks);
}

/** An event that was held up until its arrival would change nothing is forgotten: it would only multiply worlds. */
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
      if (input.kind === 'diskSetFault' && input.reason === HALTED)
        return process.paths[input.home]?.open?.phase === 'halted';
      if (input.kind !== 'leaseSeen') return true;
      const { local, partner } = process.state;
      const set = input.home === local.home ? local : partner;
      return set.seen === null || notOlder(input.sighting.record, set.seen.record);
    }
  }
}

interface Writer {
  readonly me: Incarnation;
  readonly home: ServerName;
  readonly epoch: number;
}

/** Servers that may be writing now, and at which epoch. */
export function writers(world: World): Writer[] {
  const found: Writer[] = [];
  for (const process of world.processes) {
    const { me, alive, paused, paths } = process;
    if (!alive) continue;
    const now = nowOf(world, process);
    for (const home of homesIn(world)) {
      const { inHand, open, leaseEnd } = paths[home]!;
      if (inHand !== null) found.push({ me, home, epoch: inHand });
      if (open === null || open.phase === 'opening' || open.phase === 'halted' || open.paused) continue;
      const { epoch, phase, threads } = open;
      // A thread that was told to end, and is still in a system call.
      const held = phase !== 'open' && threads.some((thread) => thread !== 'ended');
      if (phase === 'failing' || held) found.push({ me, home, epoch });
      else if (!paused && leaseEnd !== null && now < leaseEnd) found.push({ me, home, epoch });
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
