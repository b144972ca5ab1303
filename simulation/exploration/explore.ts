/**
 * Visits every world that can be reached within the bounds, breadth first, so that the first violation found is one
 * with the fewest moves. Nothing is sampled: when it ends without having hit its limit, there is no other world.
 */
import { emptyLease } from '../../pair/lease.ts';
import type { PairPolicy } from '../../pair/types.ts';
import { FAULTS } from '../faults/registry.ts';
import type { Variant } from '../variants/variant.ts';
import { keyOf } from './key.ts';
import { feed } from './port-calls.ts';
import { start } from './processes.ts';
import { Rules } from './rules.ts';
import { regularTransition, transitionsOf, violationIn } from './transitions.ts';
import { notifyAll, sightingOf } from './witness.ts';
import { HOME, homesIn, nowOf, PARTNER, QUANTUM, type World, withLease } from './world.ts';

export interface Bounds {
  readonly name: string;
  /** The subject in question here, as a sentence. */
  readonly about: string;
  /** From a pair that serves, each its own; the same when one of them has taken over; or from two servers that have just been started. */
  readonly from: 'paired' | 'one serves both' | 'start';
  /** How often each fault may strike, by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** Default: one disk set. Two: each server is the home of one. */
  readonly diskSets?: 1 | 2;
  /** Volumes of each disk set. Default: one. */
  readonly volumes?: number;
  /** Default: takeovers by themselves, givebacks by an administrator. */
  readonly policy?: PairPolicy;
}

export interface Finding {
  readonly bounds: string;
  /** Different worlds visited. */
  readonly states: number;
  readonly moves: number;
  /** Length of the longest of all shortest ways to a world. */
  readonly depth: number;
  /** False: the limit on states was hit before every world had been seen. */
  readonly complete: boolean;
  readonly violation: string | null;
  /** The moves that lead to it, as lines for people. */
  readonly trace: readonly string[];
  /** Worlds from which the pair serves again once no more fault strikes; checked for one world in `RECOVERY_SAMPLE`. */
  readonly recoveries: number;
}

export interface ExploreOptions {
  readonly variant?: Variant | null;
  readonly statesMax?: number;
  /** Is it asked whether the pair serves again? Default: without a variant, which may never serve. */
  readonly recoveries?: boolean;
}

/** One world in so many is tested: whether the pair serves again when everything is well from now on. */
const RECOVERY_SAMPLE = 50;
/** Within this time, some leases' worth. */
const RECOVERY_QUANTA = 60;
const START_MOVES_MAX = 2000;

export function explore(bounds: Bounds, options: ExploreOptions = {}): Finding {
  const rules = new Rules(options.variant ?? null, bounds.policy);
  const { recoveries: asksRecovery = rules.variant === null } = options;
  const statesMax = options.statesMax ?? Number.POSITIVE_INFINITY;
  const first = initialWorld(bounds, rules);
  const seen = new Map<string, number>([[keyOf(first), 0]]);
  const parents: number[] = [-1];
  const names: string[] = ['start'];
  let level: { readonly world: World; readonly index: number }[] = [{ world: first, index: 0 }];
  let moves = 0;
  let depth = 0;
  let recoveries = 0;
  const finding = (violation: string | null, at: number, complete: boolean): Finding => ({
    bounds: bounds.name,
    states: seen.size,
    moves,
    depth,
    complete,
    violation,
    trace: violation === null ? [] : wayTo(at, parents, names),
    recoveries,
  });
  for (; level.length > 0; depth++) {
    const next: typeof level = [];
    for (const { world, index } of level) {
      for (const move of transitionsOf(world, rules)) {
        moves++;
        const key = keyOf(move.world);
        if (seen.has(key)) continue;
        const number = parents.length;
        seen.set(key, number);
        parents.push(index);
        names.push(`${String(world.now).padStart(4)}  ${move.name}`);
        const violation = violationIn(move.world);
        if (violation !== null) return finding(violation, number, false);
        next.push({ world: move.world, index: number });
        if (number % RECOVERY_SAMPLE !== 0 || !asksRecovery) continue;
        const stuck = whyNotServedAgain(move.world, rules);
        if (stuck !== null) return finding(stuck, number, false);
        recoveries++;
      }
      if (seen.size >= statesMax) return finding(null, 0, false);
    }
    level = next;
  }
  return finding(null, 0, true);
}

/** The pair as it is when nothing has gone wrong yet. Throws Error for a fault that the explorer does not know. */
export function initialWorld(bounds: Bounds, rules: Rules): World {
  for (const fault of Object.keys(bounds.faults))
    if (!FAULTS.some(({ name, explored }) => name === fault && explored !== undefined))
      throw new Error(`${bounds.name}: "${fault}" is no fault of the explorer (simulation/faults/)`);
  let world: World = {
    now: 0,
    leases: bounds.diskSets === 2 ? { [HOME]: emptyLease, [PARTNER]: emptyLease } : { [HOME]: emptyLease },
    volumes: bounds.volumes ?? 1,
    records: { [HOME]: 0, [PARTNER]: 0 },
    processes: [],
    queue: [],
    held: [],
    cut: [],
    apart: [],
    withoutApi: [],
    left: {},
    runs: 0,
    requests: 0,
    violation: null,
  };
  world = start(world, rules, HOME, 'pod1');
  world = start(world, rules, PARTNER, 'pod1');
  const first = world;
  const ready = ({ queue, leases }: World) =>
    queue.length === 0 && Object.values(leases).every(({ acknowledger }) => acknowledger !== null);
  const left = bounds.faults;
  // A broken variant may never get there; then what it does on the way is explored.
  const regular = (holds: (world: World) => boolean): boolean => {
    for (let moves = 0; !(ready(world) && holds(world)) && moves < START_MOVES_MAX; moves++) {
      world = regularTransition(world, rules);
      if (violationIn(world) !== null) return false;
    }
    return true;
  };
  if (bounds.from !== 'start' && !regular(() => true)) return { ...first, left };
  if (bounds.from === 'one serves both') {
    const request = { id: 'first', kind: 'takeover', reason: '' } as const;
    world = notifyAll(withLease(world, HOME, { request }), HOME, null);
    const taken = ({ leases }: World) => leases[HOME]!.holder?.startsWith(PARTNER) === true;
    if (!regular(taken)) return { ...first, left };
  }
  return { ...world, left };
}

function wayTo(at: number, parents: readonly number[], names: readonly string[]): string[] {
  const lines: string[] = [];
  for (let index = at; index >= 0; index = parents[index]!) lines.push(names[index]!);
  return lines.reverse();
}

/** All that is broken is mended, the dead are started again and proven dead; then only the regular course of things. */
function whyNotServedAgain(broken: World, rules: Rules): string | null {
  // The end of maintenance is news for everyone, like any other change of the Lease.
  let world: World = { ...broken, left: {} };
  for (const home of homesIn(broken)) {
    if (broken.leases[home]!.maintenance === null) continue;
    world = notifyAll(withLease(world, home, { maintenance: null }), home, null);
  }
  for (;;) {
    const mending = transitionsOf(world, rules).find(({ mends }) => mends);
    if (mending === undefined && world.queue.length === 0) break;
    world = mending?.world ?? regularTransition(world, rules);
    const violation = violationIn(world);
    if (violation !== null) return violation;
  }
  for (const server of [HOME, PARTNER]) {
    const runs = world.processes.filter((process) => process.server === server);
    // A process that was told to stop ends by itself; the kubelet then starts another in its place.
    if (runs.some(({ alive, state }) => alive && !state.stopping)) continue;
    world = start(world, rules, server, runs.at(-1)!.me.split('/')[1]!);
  }
  for (let quanta = 0; quanta < RECOVERY_QUANTA; ) {
    if (world.queue.length === 0) {
      if (served(world)) return null;
      quanta++;
      world = proveDeath(world, rules);
    }
    world = regularTransition(world, rules);
    const violation = violationIn(world);
    if (violation !== null) return violation;
  }
  const holders = homesIn(world).map((home) => `the Lease of ${home} names ${world.leases[home]!.holder}`);
  return `not served ${RECOVERY_QUANTA * QUANTUM} ms after everything was mended: ${holders.join(', ')}`;
}

/** The operator is level-triggered: as long as a Lease names a process that has ended, it says so. */
function proveDeath(world: World, rules: Rules): World {
  let next: World = world;
  for (const home of homesIn(world)) {
    const { holder, epoch, deathProof } = next.leases[home]!;
    const dead = next.processes.find(({ me, alive }) => me === holder && !alive);
    if (dead === undefined || (deathProof?.incarnation === dead.me && deathProof.epoch === epoch)) continue;
    next = withLease(next, home, { deathProof: { incarnation: dead.me, epoch, evidence: 'operator' } });
    const sighting = sightingOf(next.leases[home]!);
    for (const { me, alive } of next.processes)
      if (alive) next = feed(next, rules, me, { kind: 'leaseSeen', home, sighting });
  }
  return next;
}

function served(world: World): boolean {
  return homesIn(world).every((home) =>
    world.processes.some((process) => {
      const { open, leaseEnd } = process.paths[home]!;
      const serves = process.alive && open?.phase === 'open' && leaseEnd !== null;
      return serves && nowOf(world, process) < leaseEnd;
    }),
  );
}
