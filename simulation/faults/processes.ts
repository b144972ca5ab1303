/** Faults of processes: they crash, are stopped, are replaced, and are told to end. */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import { HALTED, halted } from '../exploration/apply-event.ts';
import { checkRecords, machinePaused } from '../exploration/paused-machine.ts';
import { kill, start } from '../exploration/processes.ts';
import type { Rules } from '../exploration/rules.ts';
import {
  HOME,
  homesIn,
  inputFor,
  nowOf,
  PARTNER,
  type Process,
  queued,
  type World,
  withoutInHand,
  withPath,
  withProcess,
} from '../exploration/world.ts';
import { SERVERS } from '../world.ts';
import { canStrike, type Fault, running, spend } from './fault.ts';

export const processFaults: readonly Fault[] = [
  {
    name: 'crash',
    places: { all: [0, 1], twins: [8], machines: [4], disks: [2, 3] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      process?.kill('crashes');
    },
    explored: {
      before: ({ world, process: { me }, what }) =>
        canStrike(world, 'crash')
          ? [{ name: `${me} crashes before: ${what}`, world: kill(spend(world, 'crash'), me) }]
          : [],
      quiet: (world) =>
        !canStrike(world, 'crash')
          ? []
          : world.processes
              .filter(({ alive }) => alive)
              .map(({ me }) => ({ name: `${me} crashes`, world: kill(spend(world, 'crash'), me) })),
    },
  },
  {
    name: 'bothCrash',
    places: { all: [2], disks: [6] },
    strike: (world) => {
      for (const process of [...world.processes]) process.kill('crashes with all others');
    },
  },
  {
    name: 'pause',
    places: { all: [3, 4, 5], twins: [7], apart: [3], machines: [0, 1] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      const forMs = world.random.between(50, 4 * world.timing.leaseMs);
      world.note(`${process?.me} is paused for ${forMs.toFixed(0)} ms`);
      process?.stop(forMs);
    },
    explored: {
      before: ({ world, process, what }) =>
        canStrike(world, 'pause')
          ? [
              {
                name: `${process.me} is stopped before: ${what}`,
                world: paused(spend(world, 'pause'), process),
              },
            ]
          : [],
      quiet: (world, rules) => [
        ...world.processes
          .filter((process) => process.alive && process.paused)
          .map((process) => ({
            name: `${process.me} goes on`,
            mends: true as const,
            world: resumed(world, process, rules),
          })),
        ...(canStrike(world, 'pause') ? running(world) : []).map((process) => ({
          name: `${process.me} is stopped`,
          world: paused(spend(world, 'pause'), process),
        })),
      ],
    },
  },
  /** The whole machine: its clock and its dead man's switch see nothing of it. */
  {
    name: 'machinePause',
    explored: {
      before: ({ world, process, what }) =>
        canStrike(world, 'machinePause')
          ? [
              {
                name: `the machine of ${process.me} is paused before: ${what}`,
                world: machinePaused(spend(world, 'machinePause'), process),
              },
            ]
          : [],
      quiet: (world) =>
        (canStrike(world, 'machinePause') ? running(world) : []).map((process) => ({
          name: `the machine of ${process.me} is paused`,
          world: machinePaused(spend(world, 'machinePause'), process),
        })),
    },
  },
  /** And no news reaches it for a while afterwards. */
  {
    name: 'pauseUntold',
    places: { machines: [2, 3] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      process?.stopUntold(world.random.between(1, 4) * world.timing.leaseMs);
    },
  },
  /** The node is cut off or only slow, and its pod is replaced: two incarnations of one server are alive. */
  {
    name: 'replace',
    places: { all: [12], twins: [0, 1], machines: [7], disks: [8] },
    strike: (world) => {
      const server = world.random.pick(SERVERS);
      if (world.processes.length > 0) world.start(server, 'new container');
    },
    explored: {
      /** The old one may still run. */
      quiet: (world, rules) =>
        !canStrike(world, 'replace')
          ? []
          : lastRuns(world).map(([server, , runs]) => ({
              name: `the pod of ${server} is replaced`,
              world: start(spend(world, 'replace'), rules, server, `pod${runs + 1}`),
            })),
    },
  },
  /** A run in the same container after the end of the one before. */
  {
    name: 'restart',
    explored: {
      quiet: (world, rules) =>
        !canStrike(world, 'restart')
          ? []
          : lastRuns(world)
              .filter(([, last]) => !last.alive)
              .map(([server, last]) => ({
                name: `${server} restarts`,
                world: start(spend(world, 'restart'), rules, server, last.me.split('/')[1]!),
              })),
    },
  },
  {
    name: 'stop',
    places: { all: [14], machines: [9], disks: [4] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      world.note(`${process?.me} is told to stop`);
      process?.input({ kind: 'stop' });
    },
    explored: {
      quiet: (world) =>
        !canStrike(world, 'stop')
          ? []
          : running(world)
              .filter(({ state }) => !state.stopping)
              .map(({ me }) => ({
                name: `${me} is told to stop`,
                world: queued(spend(world, 'stop'), inputFor(world, me, { kind: 'stop' })),
              })),
    },
  },
  {
    name: 'halt',
    places: { all: [16, 17] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      const home = world.random.pick(SERVERS);
      const lateMs = world.random.pick([0, world.random.between(0, 2) * world.timing.leaseMs]);
      world.note(`${process?.me} halts ${home}, and says so ${lateMs.toFixed(0)} ms later`);
      process?.halt(home, lateMs);
    },
    explored: {
      /** The agent hears of it at any later moment. */
      quiet: (world, rules) =>
        !canStrike(world, 'halt')
          ? []
          : running(world).flatMap(({ me, paths }) =>
              homesIn(world)
                .filter((home) => paths[home]!.open?.phase === 'open')
                .map((home) => ({
                  name: `${me} halts ${home}`,
                  world: haltedUnheard(spend(world, 'halt'), rules, me, home),
                })),
            ),
    },
  },
  {
    name: 'setWallClock',
    places: { all: [23] },
    strike: (world) => {
      const by = world.random.between(-5, 5) * world.timing.leaseMs;
      const server = world.random.pick(SERVERS);
      world.note(`the wall clock of ${server} is set by ${by.toFixed(0)} ms`);
      world.setWallClock(server, by);
    },
  },
];

/**
 * A stopped process may have a write in its hands: checked, and executed with its next instruction. While a disk set is
 * opened that is its ownership record.
 */
function paused(world: World, process: Process): World {
  let next = withProcess(world, { ...process, paused: true });
  for (const home of homesIn(world)) {
    const { open, leaseEnd } = process.paths[home]!;
    const writing =
      open !== null &&
      open.phase !== 'halted' &&
      (open.phase === 'fencing' || (leaseEnd !== null && nowOf(world, process) < leaseEnd));
    if (writing) next = withPath(next, process.me, home, { inHand: open.epoch });
  }
  return next;
}

function haltedUnheard(world: World, rules: Rules, me: Incarnation, home: ServerName): World {
  const next = halted(world, me, home);
  if (rules.has('haltUntold')) return next;
  const fault = { kind: 'diskSetFault', home, reason: HALTED, message: 'halted' } as const;
  return { ...next, held: [...next.held, inputFor(next, me, fault)] };
}

function resumed(world: World, process: Process, rules: Rules): World {
  const runs = withProcess(world, { ...process, paused: false, clockStands: false, waiting: [] });
  const running = process.clockStands ? checkRecords(runs, rules) : runs;
  const tick = inputFor(world, process.me, { kind: 'tick' });
  return queued(withoutInHand(running, process.me), ...process.waiting, tick);
}

/** The last run of each server that has run, and how many runs there were. */
function lastRuns(world: World): [server: string, last: Process, runs: number][] {
  return [HOME, PARTNER].flatMap((server) => {
    const runs = world.processes.filter((process) => process.server === server);
    const last = runs.at(-1);
    return last === undefined ? [] : [[server, last, runs.length]];
  });
}
