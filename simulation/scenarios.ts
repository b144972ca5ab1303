/**
 * Outcomes that must come true in certain situations, whatever the seed: not every fault at once, but one story with its times and
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
export function pairAtPeace(
  seed: number,
  { variant = null, keepTrace = false }: ScenarioOptions,
  volumesEach = 1,
): World {
  const world = new World(seed, variant, keepTrace, volumesEach);
  // No fault but those of the story.
  world.calm = true;
  for (const server of SERVERS)
    world.queue.after(world.random.between(0, 1000), () => world.start(server, 'same container'));
  const atPeace = (): boolean =>
    SERVERS.every((home) => {
      const process = world.serving(home);
      if (process === null || serverOf(process.me) !== home) return false;
      const { role } = process.state.local;
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
  if (refused) world.api.refuses = true;
  else for (const server of SERVERS) world.api.without.add(server);
  const disturbances = 1 + random.below(4);
  for (let count = 0; count < disturbances; count++) {
    queue.runUntil(queue.now + random.between(1, 2) * timing.leaseMs);
    if (random.chance(0.5)) resetInterconnect(world);
    else pauseOne(world);
  }
  queue.runUntil(queue.now + 1.5 * timing.leaseMs);
  for (const home of SERVERS) {
    if (world.serving(home) === null) world.violate(`${home} is not served, though only the API is gone`);
  }
  world.api.refuses = false;
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
      world.violate(`${by?.me ?? 'no process'} serves ${home} after a stop and a start of both`);
  }
  return world.outcome(seed);
}

/**
 * The witness is restored from a backup, while both servers run. The owners go on and write their ownership again, no server asks
 * the witness without a pause, and afterwards a dead owner is followed as ever.
 */
export function witnessGoesBack(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options);
  const { queue, random, timing, witness } = world;
  world.witnessForgets = true;
  const backups = SERVERS.map((home) => witness.record(home));
  // A disk set has gone to the other server and back, or perhaps only there; or one has been renewed for a while.
  const home = random.pick(SERVERS);
  for (const kind of ['takeover', 'giveback'] as const) {
    if (random.chance(0.3)) break;
    witness.annotate(home, { request: { id: `${kind}-${seed}`, kind, reason: 'an administrator asked' } });
    queue.runUntil(queue.now + 2 * timing.leaseMs);
  }
  if (random.chance(0.3)) {
    const process = random.pick(world.processes.filter(({ alive }) => alive));
    world.restarts = false;
    process?.kill('crashes');
    queue.runUntil(queue.now + 3 * timing.leaseMs);
  }
  const owners = SERVERS.map((one) => world.serving(one)?.me);
  const epochs = SERVERS.map((one) => witness.record(one).epoch);
  world.api.requests.clear();
  SERVERS.forEach((one, index) => {
    if (random.chance(0.7)) witness.restore(one, backups[index]!);
  });
  world.note('the witness is restored');
  const leases = 6;
  queue.runUntil(queue.now + leases * timing.leaseMs);
  SERVERS.forEach((one, index) => {
    const { holder, epoch } = witness.record(one);
    if (world.serving(one)?.me !== owners[index]) world.violate(`${one} is not served by its owner any more`);
    if (holder !== owners[index] || epoch !== epochs[index])
      world.violate(`the Lease of ${one} names ${holder} at epoch ${epoch}, not ${owners[index]}`);
  });
  for (const [me, requests] of world.api.requests) {
    if (requests > leases * REQUESTS_MAX)
      world.violate(`${me} has asked the witness ${requests} times in ${leases} leases`);
  }
  world.restarts = true;
  random.pick(world.processes.filter(({ alive }) => alive))?.kill('crashes');
  queue.runUntil(queue.now + world.recoveryMs);
  for (const one of SERVERS)
    if (world.serving(one) === null) world.violate(`${one} is not served in the end`);
  return world.outcome(seed);
}

/**
 * The witness is restored from a backup while neither server runs: nobody is left who knows. The volumes know (R6), and that they
 * refuse is a verdict that outlives restarts: one claim is made, nothing is served, until somebody forces it.
 */
export function witnessGoesBackUnseen(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options);
  const { queue, random, timing, witness } = world;
  world.witnessForgets = true;
  const home = random.pick(SERVERS);
  const backup = witness.record(home);
  for (const kind of ['takeover', 'giveback'] as const) {
    witness.annotate(home, { request: { id: `${kind}-${seed}`, kind, reason: 'an administrator asked' } });
    queue.runUntil(queue.now + 3 * timing.leaseMs);
  }
  const volume = world.volumes.mountedFor(home);
  const { epoch } = volume;
  world.restarts = false;
  const killAll = (): void => {
    for (const process of world.processes) process.kill('crashes');
  };
  const startBoth = (): void => {
    for (const server of SERVERS)
      queue.after(random.between(0, timing.leaseMs), () => world.start(server, 'same container'));
  };
  killAll();
  world.note(`the Lease of ${home} is restored: epoch ${backup.epoch}, and its volume is at ${epoch}`);
  witness.restore(home, backup);
  const claims = (): number => witness.owners.get(home)!.length;
  const before = claims();
  for (let starts = 2 + random.below(3); starts > 0; starts--) {
    startBoth();
    queue.runUntil(queue.now + random.between(1, 8) * timing.leaseMs);
    if (world.serving(home) !== null)
      world.violate(`${home} is served though its volume is ahead of the Lease`);
    killAll();
  }
  if (claims() > before + 1) world.violate(`${home} was claimed ${claims() - before} times`);
  if (volume.epoch !== epoch)
    world.violate(`the volume of ${home} is at epoch ${volume.epoch}, not ${epoch}`);
  startBoth();
  queue.runUntil(queue.now + 3 * timing.leaseMs);
  const asked = random.pick(world.processes.filter(({ alive }) => alive));
  const kind = serverOf(asked.me) === home ? 'giveback' : 'takeover';
  const request = { id: `forced-${seed}`, kind, reason: 'etcd was restored', force: true } as const;
  world.note(`a ${kind} of ${home} is forced at ${asked.me}`);
  asked.input({ kind: 'request', home, request });
  queue.runUntil(queue.now + 4 * timing.leaseMs);
  if (world.serving(home) !== asked || volume.epoch !== epoch + 1)
    world.violate(`${home} is not served by ${asked.me} at epoch ${epoch + 1} in the end`);
  return world.outcome(seed);
}

/**
 * One volume's disk does not answer one server. With a partner whom it answers the disk set moves there; a server that is alone
 * serves the other volumes on, however long it lasts.
 */
export function oneVolumeHangs(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options, 3);
  const { queue, random, timing } = world;
  const home = random.pick(SERVERS);
  const alone = random.chance(0.5);
  if (alone) {
    world.restarts = false;
    for (const process of world.alive(world.partnerOf(home))) process.kill('crashes');
    queue.runUntil(queue.now + 2 * timing.leaseMs);
    // A loss without an answer of the API is not the volume's doing.
    world.api.prompt = true;
    queue.runUntil(queue.now + 4 * timing.leaseMs);
  }
  const hung = random.pick(world.volumes.of(home));
  const forMs = random.between(3, 6) * timing.leaseMs;
  const owner = world.serving(home);
  world.hang(home, hung, forMs);
  for (const until = queue.now + forMs - 1; queue.now < until; ) {
    world.written.clear();
    queue.runUntil(Math.min(until, queue.now + timing.leaseMs / 2));
    if (!alone || queue.now === until) continue;
    if (world.serving(home) !== owner)
      world.violate(`${home} is not served any more by the server that is alone`);
    for (const volume of world.volumes.of(home)) {
      if (volume !== hung && !world.written.has(volume))
        world.violate(`volume ${volume.name} is not served, though only ${hung.name} hangs`);
    }
  }
  const by = world.serving(home);
  if (!alone && (by === null || serverOf(by.me) === home))
    world.violate(`${by?.me ?? 'no process'} serves ${home}, though the partner's disks answer`);
  world.restarts = true;
  world.heal();
  queue.runUntil(queue.now + world.recoveryMs);
  world.demandService();
  return world.outcome(seed);
}

/**
 * A server has two pods, and the younger one does not reach the witness: it says so in its heartbeats, so it is not the one who may
 * follow. Then the holder is cut off from everything.
 */
export function youngPodCutOff(seed: number, options: ScenarioOptions = {}): Outcome {
  const world = pairAtPeace(seed, options);
  const { queue, random, timing } = world;
  const home = random.pick(SERVERS);
  const partner = world.partnerOf(home);
  const [old] = world.alive(partner);
  const young = world.start(partner, 'new container');
  world.api.runsWithout.add(young.me);
  queue.runUntil(queue.now + random.between(2, 5) * timing.leaseMs);
  if (world.serving(home) === null) world.violate(`${home} is not served any more`);
  world.note(`${home} is cut off from everything`);
  world.network.cut(home);
  world.api.without.add(home);
  queue.runUntil(queue.now + 4 * timing.leaseMs);
  const by = world.serving(home);
  if (by !== old) world.violate(`${by?.me ?? 'no process'} serves ${home}, and not ${old?.me}`);
  world.heal();
  queue.runUntil(queue.now + world.recoveryMs);
  world.demandService();
  return world.outcome(seed);
}

/** To the witness, by one process in one lease: a solo holder of two disk sets writes three times for each. */
const REQUESTS_MAX = 12;
