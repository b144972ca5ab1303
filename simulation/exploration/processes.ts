/** Processes of the explored world: how a run starts and ends, and which of them are connected. */
import { type Incarnation, incarnationOf, type ServerName } from '../../pair/incarnation.ts';
import { initialServer } from '../../pair/server/state.ts';
import type { Rules } from './rules.ts';
import {
  connected,
  HOME,
  homesIn,
  inputFor,
  NO_PATH,
  PARTNER,
  type Process,
  pairName,
  processOf,
  queued,
  TIMING,
  type World,
  withProcess,
} from './world.ts';

/** Starts a run: in that container, connected with every partner that is alive. */
export function start(world: World, rules: Rules, server: ServerName, container: string): World {
  const me = incarnationOf(
    server,
    rules.has('oneContainerForAll') ? 'pod' : container,
    `run${world.runs + 1}`,
  );
  const partner = server === HOME ? PARTNER : HOME;
  const process: Process = {
    me,
    server,
    state: initialServer({ me, server, partner, timing: TIMING, policy: rules.policy }, world.now),
    alive: true,
    paused: false,
    clockStands: false,
    behindMs: 0,
    waiting: [],
    paths: Object.fromEntries(homesIn(world).map((home) => [home, NO_PATH])),
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
    clockStands: false,
    waiting: [],
    paths: Object.fromEntries(homesIn(world).map((home) => [home, NO_PATH])),
  });
  const held = holdings.filter(({ home }) => home in world.leases);
  const died = { kind: 'died' as const, incarnation: me, holdings, evidence: 'sentinel' };
  return {
    ...queued(
      dead,
      ...partners.map((other) => inputFor(world, other.me, { kind: 'partnerDisconnected', incarnation: me })),
    ),
    held: [
      ...dead.held.filter((event) => !('to' in event) || event.to !== me),
      ...(held.length === 0
        ? []
        : partners.map((other) => inputFor(world, other.me, { kind: 'died', died }))),
      ...held.map(({ home, epoch }) => ({ kind: 'proof' as const, home, incarnation: me, epoch })),
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

/** A connection on which nothing was heard for two thirds of the lease is closed at the end that listens. */
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
