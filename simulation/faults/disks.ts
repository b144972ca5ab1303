/** Faults of disks and mounts: they fail, hang, and are mounted where they do not belong. */
import type { ServerName } from '../../pair/incarnation.ts';
import { homesIn, inputFor, type Process, queued, type World, withPath } from '../exploration/world.ts';
import { SERVERS, type World as SimulatedWorld } from '../world.ts';
import { canStrike, type Fault, running, spend } from './fault.ts';

export const diskFaults: readonly Fault[] = [
  {
    name: 'diskFault',
    places: { all: [15] },
    strike: (world) => {
      const process = world.random.pick(world.processes);
      const home = world.random.pick(SERVERS);
      process?.input({ kind: 'diskSetFault', home, reason: 'IoError', message: 'EIO' });
    },
    explored: {
      quiet: (world) =>
        !canStrike(world, 'diskFault')
          ? []
          : running(world).flatMap(({ me, paths }) =>
              homesIn(world)
                .filter((home) => paths[home]!.open?.phase === 'open')
                .map((home) => {
                  const fault = { kind: 'diskSetFault', home, reason: 'IoError', message: 'EIO' } as const;
                  const name = `${me} has a disk fault of ${home}`;
                  return { name, world: queued(spend(world, 'diskFault'), inputFor(world, me, fault)) };
                }),
            ),
    },
  },
  /** A disk set cannot be opened as a whole; it is reported at any later moment. */
  {
    name: 'openFailure',
    explored: {
      before: ({ world, rest, head, what, process }) =>
        head.kind === 'input' && head.input.kind === 'diskSetOpened' && canStrike(world, 'openFailure')
          ? [
              {
                name: `fails half-way: ${what}`,
                world: openHalf(spend(rest, 'openFailure'), process, head.input.home),
              },
            ]
          : [],
    },
  },
  /** A mounted volume cannot be exchanged under a server that has it open: it dies, and finds the other one. */
  {
    name: 'swapAtRestart',
    places: { all: [24], disks: [5] },
    strike: (world) => {
      for (const process of [...world.processes]) process.kill('crashes with all others');
      swapVolumes(world);
    },
  },
  /** One volume of a disk set does not answer one server: for a moment, or for longer than any lease. */
  {
    name: 'hang',
    places: { volumes: [24, 25, 26, 27, 28, 29] },
    strike: (world) => {
      const { random, timing } = world;
      const volume = random.pick(world.volumes.of(random.pick(SERVERS)));
      world.hang(random.pick(SERVERS), volume, random.between(0.1, 3) * timing.leaseMs);
    },
  },
];

function swapVolumes(world: SimulatedWorld): void {
  world.note('each volume is mounted where the other belongs');
  world.volumes.swap(SERVERS[0], SERVERS[1]);
  world.queue.after(world.random.between(1, 4) * world.timing.leaseMs, () => {
    if (world.volumes.swapped) world.volumes.swap(SERVERS[0], SERVERS[1]);
  });
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
