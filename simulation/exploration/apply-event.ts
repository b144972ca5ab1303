/** Effect on the world of one event that was on its way, when it arrives. */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import type { Input } from '../../pair/types.ts';
import { feed } from './port-calls.ts';
import type { Rules } from './rules.ts';
import { answerCall, notifyAll } from './witness.ts';
import {
  inputFor,
  type PendingEvent,
  type Process,
  processOf,
  queued,
  type Thread,
  type World,
  withLease,
  withPath,
  withProcess,
} from './world.ts';

/** Something that was on its way arrives. */
export function applyEvent(world: World, rules: Rules, event: PendingEvent): World {
  switch (event.kind) {
    case 'call':
      return answerCall(world, event);
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

/** Applies the progress that the data path has made by the time at which it reports. */
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
