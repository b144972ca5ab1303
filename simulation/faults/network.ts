/** Faults of the network between the servers: cut, lossy, slow. */

import { describe } from '../exploration/describe.ts';
import { reconnect, setApart } from '../exploration/processes.ts';
import { HOME, PARTNER, type Process, pairName, type World } from '../exploration/world.ts';
import { SERVERS } from '../world.ts';
import { canStrike, type Fault, running, spend, strikeLater, type Transition } from './fault.ts';

export const networkFaults: readonly Fault[] = [
  {
    name: 'cut',
    places: { all: [6], network: [0], twins: [3], machines: [5] },
    strike: (world) => {
      const servers = world.random.chance(0.5) ? SERVERS : [world.random.pick(SERVERS)];
      const forMs = world.random.between(100, 4 * world.timing.leaseMs);
      world.note(`network: nothing from ${servers.join(', ')} arrives for ${forMs.toFixed(0)} ms`);
      for (const server of servers) {
        world.network.cut(server);
        world.queue.after(forMs, () => world.network.mend(server));
      }
    },
    explored: {
      /** Nothing that one incarnation says reaches another, until mended. */
      quiet: (world) =>
        pairs(world)
          .filter(([a, b]) => !world.apart.includes(pairName(a.me, b.me)))
          .flatMap(([a, b]) => [`${a.me}>${b.me}`, `${b.me}>${a.me}`])
          .flatMap((direction) => cutOrMended(world, direction)),
    },
  },
  /** The connection between two incarnations breaks, and both notice. */
  {
    name: 'disconnect',
    explored: {
      quiet: (world) =>
        pairs(world).flatMap(([a, b]): Transition[] => {
          if (world.apart.includes(pairName(a.me, b.me))) {
            const name = `${a.me} and ${b.me} are connected again`;
            return [{ name, mends: true, world: reconnect(world, a.me, b.me) }];
          }
          if (!canStrike(world, 'disconnect')) return [];
          const name = `the connection of ${a.me} and ${b.me} breaks`;
          return [{ name, world: setApart(spend(world, 'disconnect'), a.me, b.me) }];
        }),
    },
  },
  /** An event arrives late: at any later moment, or never. */
  {
    name: 'late',
    explored: {
      before: ({ world, rest, head, what }) =>
        canStrike(world, 'late')
          ? [{ name: `held up: ${what}`, world: { ...spend(rest, 'late'), held: [...rest.held, head] } }]
          : [],
      quiet: (world) =>
        world.held.map((event, index) => ({
          name: `arrives late: ${describe(event)}`,
          mends: true as const,
          world: { ...world, held: world.held.filter((_, other) => other !== index), queue: [event] },
        })),
    },
  },
  {
    name: 'losses',
    places: { all: [7], twins: [6] },
    strike: (world) => {
      world.network.lossRate = world.random.between(0.05, 0.6);
      world.note(`network: ${(world.network.lossRate * 100).toFixed(0)} % of the messages get lost`);
      world.queue.after(world.random.between(500, 8000), () => {
        world.network.lossRate = 0;
      });
    },
  },
  {
    name: 'slowNetwork',
    places: { all: [8, 9], network: [1, 2], twins: [2] },
    strike: (world) => {
      world.network.slownessMs = world.random.between(0.2, 1.5) * world.timing.leaseMs;
      world.note(`network: messages take up to ${world.network.slownessMs.toFixed(0)} ms longer`);
      world.queue.after(world.random.between(500, 8000), () => {
        world.network.slownessMs = 0;
      });
    },
  },
  {
    name: 'flap',
    places: { all: [21], network: [6] },
    strike: (world) => {
      const server = world.random.pick(SERVERS);
      const times = 2 + world.random.below(6);
      world.note(`network: what ${server} sends arrives now and then, ${times} times`);
      let at = 0;
      for (let time = 0; time < times; time++) {
        strikeLater(world, at, () => world.network.cut(server));
        at += world.random.between(0.1, 0.9) * world.timing.leaseMs;
        world.queue.after(at, () => world.network.mend(server));
        at += world.random.between(0.05, 0.6) * world.timing.leaseMs;
      }
    },
  },
  {
    name: 'isolate',
    places: { all: [13], network: [5] },
    strike: (world) => {
      const server = world.random.pick(SERVERS);
      const forMs = world.random.between(world.timing.leaseMs, 4 * world.timing.leaseMs);
      world.note(`${server} is cut off from everything for ${forMs.toFixed(0)} ms`);
      world.network.cut(server);
      world.api.without.add(server);
      world.queue.after(forMs, () => {
        world.network.mend(server);
        world.api.reach(server);
      });
    },
  },
];

/** A stopped process connects with nobody, and cutting it off adds nothing. */
function pairs(world: World): [Process, Process][] {
  const of = (name: string): Process[] => running(world).filter(({ server }) => server === name);
  return of(HOME).flatMap((a) => of(PARTNER).map((b): [Process, Process] => [a, b]));
}

function cutOrMended(world: World, direction: string): Transition[] {
  if (world.cut.includes(direction)) {
    const cut = world.cut.filter((one) => one !== direction);
    return [{ name: `${direction} is mended`, mends: true, world: { ...world, cut } }];
  }
  if (!canStrike(world, 'cut')) return [];
  const cut = [...world.cut, direction].sort();
  return [{ name: `${direction} is cut`, world: { ...spend(world, 'cut'), cut } }];
}
