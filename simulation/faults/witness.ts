/** Faults of the witness: out of reach, late, without an answer, restored from a backup. */

import { applyEvent } from '../exploration/apply-event.ts';
import type { Rules } from '../exploration/rules.ts';
import { answerUnknown, sightingOf } from '../exploration/witness.ts';
import { homesIn, inputFor, type PendingEvent, queued, type World } from '../exploration/world.ts';
import { SERVERS } from '../world.ts';
import { canStrike, type Fault, running, spend, strikeLater, type Transition } from './fault.ts';

export const witnessFaults: readonly Fault[] = [
  {
    name: 'withoutApi',
    places: { all: [10, 11], network: [3, 4], twins: [4, 5], machines: [6] },
    strike: (world) => {
      const servers = world.random.chance(0.4) ? SERVERS : [world.random.pick(SERVERS)];
      const forMs = world.random.between(100, 4 * world.timing.leaseMs);
      world.note(`API out of reach of ${servers.join(', ')} for ${forMs.toFixed(0)} ms`);
      for (const server of servers) world.api.lose(server, forMs);
    },
    explored: {
      /** One process hears nothing of the witness until mended. */
      quiet: (world) =>
        running(world).flatMap(({ me }): Transition[] => {
          if (world.withoutApi.includes(me)) {
            const mended = { ...world, withoutApi: world.withoutApi.filter((other) => other !== me) };
            const seen = homesIn(world).map((home) =>
              inputFor(world, me, { kind: 'leaseSeen', home, sighting: sightingOf(world.leases[home]!) }),
            );
            return [{ name: `${me} reaches the API again`, mends: true, world: queued(mended, ...seen) }];
          }
          if (!canStrike(world, 'withoutApi')) return [];
          const withoutApi = [...world.withoutApi, me].sort();
          return [
            { name: `${me} cannot reach the API`, world: { ...spend(world, 'withoutApi'), withoutApi } },
          ];
        }),
    },
  },
  /** A call of the witness ends without an answer: never applied, applied, or applied later. */
  {
    name: 'unknown',
    explored: {
      before: ({ world, rest, head, what }, rules) =>
        head.kind === 'call' && canStrike(world, 'unknown')
          ? withoutAnswer(spend(rest, 'unknown'), rules, head, what)
          : [],
    },
  },
  {
    name: 'longWithoutApi',
    places: { all: [22] },
    strike: (world) => {
      const forMs = world.random.between(3, 8) * world.timing.leaseMs;
      world.note(`API down for ${forMs.toFixed(0)} ms`);
      for (const server of SERVERS) world.api.lose(server, forMs);
    },
  },
  /**
   * A holder drops its acknowledger, because it was not heard for a moment, and neither of the two reaches the API from then
   * on; another run of the acknowledger's server does. What the dropped one still says must not count.
   */
  {
    name: 'apart',
    places: { apart: [0, 1] },
    strike: (world) => {
      const { random, queue, timing } = world;
      const dropped = random.pick(SERVERS);
      const holder = world.partnerOf(dropped);
      const old = world.alive(dropped).at(-1);
      if (old === undefined) return;
      world.note(
        `${old.me} and ${holder} lose the API and, for a moment, each other; ${dropped} gets another pod`,
      );
      world.start(dropped, 'new container');
      world.api.runsWithout.add(old.me);
      for (const server of SERVERS) world.network.cut(server);
      strikeLater(world, random.between(0.35, 0.8) * timing.leaseMs, () => world.api.without.add(holder));
      queue.after(random.between(0.4, 0.9) * timing.leaseMs, () => {
        for (const server of SERVERS) world.network.mend(server);
        for (const process of world.alive(holder)) world.connect(process, old);
      });
      queue.after(random.between(3, 5) * timing.leaseMs, () => {
        world.api.runsWithout.delete(old.me);
        world.api.reach(holder);
      });
    },
  },
  /** Both servers are solo; answers to one come nearly as late as it waits for them (0.4 of the lease), then not at all. */
  {
    name: 'lateAnswers',
    places: { apart: [2] },
    strike: (world) => {
      const { random, queue, timing } = world;
      const server = random.pick(SERVERS);
      world.api.giveUpMs = 0.4 * timing.leaseMs;
      world.note(`the servers do not hear each other; the API answers ${server} late, then not at all`);
      for (const one of SERVERS) world.network.cut(one);
      strikeLater(world, 2 * timing.leaseMs, () => {
        world.api.answersLateMs = { server, ms: random.between(0.3, 0.39) * timing.leaseMs };
      });
      strikeLater(world, random.between(2.2, 4) * timing.leaseMs, () => world.api.without.add(server));
      queue.after(7 * timing.leaseMs, () => {
        world.api.answersLateMs = null;
        world.api.reach(server);
        for (const one of SERVERS) world.network.mend(one);
      });
    },
  },
  {
    name: 'forget',
    places: { disks: [0, 1] },
    strike: (world) => {
      const home = world.random.pick(SERVERS);
      const backup = world.witness.record(home);
      world.queue.after(world.random.between(1, 3) * world.timing.leaseMs, () => {
        world.note(`the Lease of ${home} is restored from a backup: epoch ${backup.epoch}`);
        world.witness.restore(home, backup);
      });
    },
  },
];

/** The call is lost, or was applied, or will be; its sender learns nothing. */
function withoutAnswer(
  rest: World,
  rules: Rules,
  event: Extract<PendingEvent, { kind: 'call' }>,
  what: string,
): Transition[] {
  const told = queued(rest, answerUnknown(rest, event.from, event.effect));
  const silent = { ...event, silent: true };
  const late = { name: `no answer, late or lost: ${what}`, world: { ...told, held: [...told.held, silent] } };
  if (event.effect.kind !== 'writeLease') return [late];
  return [late, { name: `applied without an answer: ${what}`, world: applyEvent(told, rules, silent) }];
}
