/** Actions of administrators: requests, forced transfers, maintenance. */
import type { ServerName } from '../../pair/incarnation.ts';
import type { TransferRequest } from '../../pair/lease.ts';
import { notifyAll } from '../exploration/witness.ts';
import { homesIn, processOf, type World, withLease } from '../exploration/world.ts';
import type { SimulatedProcess } from '../process.ts';
import { SERVERS, type World as SimulatedWorld } from '../world.ts';
import { canStrike, type Fault, spend, strikeLater, type Transition } from './fault.ts';

export const administratorFaults: readonly Fault[] = [
  {
    name: 'request',
    places: { all: [19, 20], machines: [8], disks: [7] },
    strike: (world) => {
      const home = world.random.pick(SERVERS);
      const kind: TransferRequest['kind'] = world.random.chance(0.7) ? 'giveback' : 'takeover';
      const asked = { id: `request-${world.queue.now}`, kind, reason: 'an administrator asked' };
      world.note(`${kind} of ${home} is requested`);
      world.witness.annotate(home, { request: asked });
    },
    explored: {
      quiet: (world) =>
        !canStrike(world, 'request')
          ? []
          : homesIn(world).flatMap((home): Transition[] => {
              const { request, holder } = world.leases[home]!;
              if (request !== null || holder === null) return [];
              const kind = holder.startsWith(home) ? 'takeover' : 'giveback';
              const asked = requested(spend(world, 'request'), home, { kind, reason: '' });
              return [{ name: `a ${kind} of ${home} is requested`, world: asked }];
            }),
    },
  },
  /**
   * An administrator forces a transfer, where the word is true: nobody whom the Lease names as acknowledger can act any more. Asked of
   * a server itself, which keeps the word for as long as the asker waits.
   */
  {
    name: 'force',
    places: { all: [18] },
    strike: (world) => {
      const asked = world.random.pick(world.processes.filter(({ alive }) => alive));
      if (asked !== undefined) forceAt(world, asked, world.random.pick(SERVERS));
    },
    explored: {
      /** Only where the claim is true: the administrator has seen to it that the acknowledger can act no more. */
      quiet: (world) =>
        !canStrike(world, 'force')
          ? []
          : homesIn(world).flatMap((home): Transition[] => {
              const { holder, epoch, acknowledger, request } = world.leases[home]!;
              if (request !== null || acknowledger === null || processOf(world, acknowledger)?.alive)
                return [];
              return (['takeover', 'giveback'] as const).map((kind) => {
                const about = { holder, epoch, acknowledger };
                const forced = { kind, reason: 'seen to', force: true, about };
                return {
                  name: `a ${kind} of ${home} is forced`,
                  world: requested(spend(world, 'force'), home, forced),
                };
              });
            }),
    },
  },
  /**
   * A holder and its partner do not hear each other, and somebody forces a takeover at the partner. The holder was alive: it
   * hears another pod of the partner's server from then on.
   */
  {
    name: 'forcedApart',
    places: { apart: [4] },
    strike: (world) => {
      const { random, queue, timing } = world;
      const holder = random.pick(SERVERS);
      const partner = world.partnerOf(holder);
      const asked = world.alive(partner).at(-1);
      if (asked === undefined) return;
      for (const process of world.alive(holder)) {
        process.input({ kind: 'partnerDisconnected', incarnation: asked.me });
        asked.input({ kind: 'partnerDisconnected', incarnation: process.me });
      }
      strikeLater(world, random.between(0.1, 0.5) * timing.leaseMs, () => {
        if (asked.alive) forceAt(world, asked, holder);
      });
      strikeLater(world, random.between(0.5, 2) * timing.leaseMs, () =>
        world.start(partner, 'new container'),
      );
      queue.after(6 * timing.leaseMs, () => {
        if (asked.alive) for (const process of world.alive(holder)) world.connect(process, asked);
      });
    },
  },
  /** Maintenance begins; its end costs nothing. */
  {
    name: 'maintenance',
    explored: {
      quiet: (world) =>
        homesIn(world).flatMap((home): Transition[] => {
          const begins = world.leases[home]!.maintenance === null;
          if (begins && !canStrike(world, 'maintenance')) return [];
          const before = begins ? spend(world, 'maintenance') : world;
          const after = withLease(before, home, { maintenance: begins ? 'work' : null });
          const name = `maintenance of ${home} ${begins ? 'begins' : 'ends'}`;
          return [{ name, world: notifyAll(after, home, null) }];
        }),
    },
  },
];

function forceAt(world: SimulatedWorld, asked: SimulatedProcess, home: ServerName): void {
  const { holder, acknowledger } = world.witness.record(home);
  const acts = world.processes.some(({ me, alive }) => alive && me === acknowledger);
  if (acts || holder === null || holder === asked.me) return;
  const kind = asked.state.identity.server === home ? 'giveback' : 'takeover';
  world.note(`a ${kind} of ${home} is forced at ${asked.me}`);
  const id = `forced-${world.queue.now}`;
  asked.input({ kind: 'request', home, request: { id, kind, reason: 'seen to', force: true } });
}

function requested(world: World, home: ServerName, asked: Omit<TransferRequest, 'id'>): World {
  const request = { id: `request${world.requests + 1}`, ...asked };
  const next = withLease({ ...world, requests: world.requests + 1 }, home, { request });
  return notifyAll(next, home, null);
}
