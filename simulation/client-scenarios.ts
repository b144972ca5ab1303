/**
 * Outcomes that a client with many calls under way must have, whatever the seed: one story each, with the servers' real decisions
 * on the other side.
 */
import { ResendingClient, type ResendingFault } from './resending-client.ts';
import { pairAtPeace } from './scenarios.ts';
import { type Outcome, SERVERS, type World } from './world.ts';

export interface ClientScenarioOptions {
  readonly fault?: ResendingFault | null;
  readonly keepTrace?: boolean;
}

const CALLS = 20;
const NO_STRANGERS = { primary: 0, secondary: 0 };

/**
 * A call that every server answers by closing the connection is given up, it alone, and those behind it are answered; also while
 * the disk set moves.
 */
export function refusedCall(
  seed: number,
  { fault = null, keepTrace = false }: ClientScenarioOptions = {},
): Outcome {
  const world = pairAtPeace(seed, { keepTrace });
  const { queue, random, timing } = world;
  const home = random.pick(SERVERS);
  const refused = 2 + random.below(CALLS - 2);
  const options = { home, calls: CALLS, refused, strangers: NO_STRANGERS, delayMsMax: 20, fault };
  const client = new ResendingClient(world, random, options);
  if (random.chance(0.5))
    queue.after(random.between(0, 2) * timing.leaseMs, () => world.serving(home)?.kill('crashes'));
  finish(world, client, 40_000);
  if (client.refused.join() !== String(refused))
    world.violate(`given up as refused: call ${client.refused.join() || 'none'}, and not call ${refused}`);
  return world.outcome(seed);
}

/** A server that ends each time that a call reaches it refuses no call: it is started again, and its port is closed meanwhile. */
export function crashLoop(
  seed: number,
  { fault = null, keepTrace = false }: ClientScenarioOptions = {},
): Outcome {
  const world = pairAtPeace(seed, { keepTrace });
  const { queue, random, timing } = world;
  const home = random.pick(SERVERS);
  world.restarts = false;
  for (const process of world.alive(world.partnerOf(home))) process.kill('crashes');
  queue.runUntil(queue.now + timing.leaseMs);
  const options = { home, calls: CALLS, refused: null, strangers: NO_STRANGERS, delayMsMax: 20, fault };
  const client = new ResendingClient(world, random, options);
  for (let times = 6 + random.below(3); times > 0; times--) {
    const { sends } = client;
    const giveUpAt = queue.now + 5 * timing.leaseMs;
    while (client.sends === sends && queue.now < giveUpAt) queue.runUntil(queue.now + 0.1);
    for (const process of world.alive(home)) process.kill('crashes');
    queue.runUntil(queue.now + random.between(300, 1500));
    world.start(home, 'same container');
  }
  finish(world, client, 40_000);
  return world.outcome(seed);
}

/**
 * Names that lead to the partner's own disks. Before the first answered call nothing can be proven, so the primary port comes
 * first; after it even a server's name with the addresses of both does no harm, whatever breaks or moves.
 */
export function strangersByName(
  seed: number,
  { fault = null, keepTrace = false }: ClientScenarioOptions = {},
): Outcome {
  const world = pairAtPeace(seed, { keepTrace });
  const { queue, random, timing } = world;
  const home = random.pick(SERVERS);
  const strangers = { primary: 0, secondary: 1 };
  // A server that answers later than the client waits for it is believed too late.
  const client = new ResendingClient(world, random, {
    home,
    calls: CALLS,
    refused: null,
    strangers,
    delayMsMax: 250,
    fault,
  });
  while (client.answered === 0 && queue.now < 60_000) queue.runUntil(queue.now + 1);
  strangers.primary = 0.5;
  strangers.secondary = 0.5;
  for (let breaks = 10; breaks > 0; breaks--)
    queue.after(random.between(0, 3) * timing.leaseMs, () => client.breakConnection());
  if (random.chance(0.5))
    queue.after(random.between(0, 2) * timing.leaseMs, () => world.serving(home)?.kill('crashes'));
  finish(world, client, 40_000);
  return world.outcome(seed);
}

function finish(world: World, client: ResendingClient, withinMs: number): void {
  const { queue } = world;
  const until = queue.now + withinMs;
  while (!client.finished && queue.now < until) queue.runUntil(queue.now + 100);
  if (!client.finished)
    world.violate(`${client.answered} of ${CALLS} calls were answered in ${withinMs} ms, and others wait`);
}
