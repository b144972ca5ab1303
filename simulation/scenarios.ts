/**
 * What must come true in certain situations, whatever the seed: not every fault at once, but one story with its times and
 * lengths at random.
 */
import { serverOf } from '../pair/incarnation.ts';
import type { Variant } from './variants/variant.ts';
import { type Outcome, SERVERS, World } from './world.ts';

export interface ScenarioOptions {
  readonly variant?: Variant | null;
  readonly keepTrace?: boolean;
}

/** A pair at peace: each server serves its own disk set, and counts the acknowledgements of the other. */
function pairAtPeace(seed: number, { variant = null, keepTrace = false }: ScenarioOptions): World {
  const world = new World(seed, variant, keepTrace);
  // No fault but those of the story.
  world.calm = true;
  for (const server of SERVERS)
    world.queue.after(world.random.between(0, 1000), () => world.start(server, 'same container'));
  const atPeace = (): boolean =>
    SERVERS.every((home) => {
      const process = world.serving(home);
      if (process === null || serverOf(process.me) !== home) return false;
      const { role } = process.state.own;
      return role.name === 'holder' && role.accepts !== null && role.write === null;
    });
  for (let tries = 0; tries < 60 && !atPeace(); tries++) world.queue.runUntil(world.queue.now + 500);
  if (!atPeace()) world.violate('the two servers do not become a pair');
  return world;
}

/**
 * R4: losing the API alone changes no role. The API refuses connections or swallows what it is sent; meanwhile the
 * interconnect is reset (new connections stand a moment later), or a server gets no processor for half of the lease.
 */
export function apiOutage(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options);
  const { queue, random, timing } = world;
  const refused = random.chance(0.5);
  world.note(`API ${refused ? 'refuses connections' : 'out of reach'}`);
  if (refused) world.apiRefuses = true;
  else for (const server of SERVERS) world.withoutApi.add(server);
  const disturbances = 1 + random.index(4);
  for (let count = 0; count < disturbances; count++) {
    queue.runUntil(queue.now + random.between(1, 2) * timing.leaseMs);
    if (random.chance(0.5)) resetInterconnect(world);
    else pauseOne(world);
  }
  queue.runUntil(queue.now + 1.5 * timing.leaseMs);
  for (const home of SERVERS) {
    if (world.serving(home) === null) world.violate(`${home} is not served, though only the API is gone`);
  }
  world.apiRefuses = false;
  world.heal();
  queue.runUntil(queue.now + world.recoveryMs);
  world.demandService();
  return world.outcome(seed);
}

function resetInterconnect(world: World): void {
  world.note('the connections between the servers are reset');
  for (const server of SERVERS) {
    for (const process of world.alive(server)) {
      for (const { me } of world.alive(world.partnerOf(server)))
        process.input({ kind: 'partnerDisconnected', incarnation: me });
    }
  }
  world.queue.after(world.random.between(5, 100), () => {
    for (const a of world.alive(SERVERS[0])) for (const b of world.alive(SERVERS[1])) world.connect(a, b);
  });
}

function pauseOne(world: World): void {
  const process = world.random.pick(world.processes);
  const forMs = world.random.between(0.3, 0.5) * world.timing.leaseMs;
  world.note(`${process?.me} is paused for ${forMs.toFixed(0)} ms`);
  process?.stop(forMs);
}

/** Both servers are told to stop, with any time between the two, and started when both have ended: each serves its own. */
export function stopAndStartOfBoth(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options);
  const { queue, random, timing } = world;
  world.restarts = false;
  const betweenMs = random.chance(0.5) ? random.between(0, 20) : random.between(0, 2 * timing.leaseMs);
  world.note(`both are told to stop, ${betweenMs.toFixed(0)} ms apart`);
  const [first, second] = random.chance(0.5) ? SERVERS : [SERVERS[1], SERVERS[0]];
  const stop = (server: (typeof SERVERS)[number]): void => {
    for (const process of world.alive(server)) process.input({ kind: 'stop' });
  };
  stop(first!);
  queue.after(betweenMs, () => stop(second!));
  for (let tries = 0; tries < 60 && world.processes.some(({ alive }) => alive); tries++)
    queue.runUntil(queue.now + 500);
  if (world.processes.some(({ alive }) => alive))
    world.violate('a server that was told to stop has not ended');
  for (const server of SERVERS)
    queue.after(random.between(0, timing.leaseMs / 2), () => world.start(server, 'new container'));
  queue.runUntil(queue.now + 4 * timing.leaseMs);
  for (const home of SERVERS) {
    const by = world.serving(home);
    if (by === null || serverOf(by.me) !== home)
      world.violate(`${home} is served by ${by?.me ?? 'nobody'} after a stop and a start of both`);
  }
  return world.outcome(seed);
}
