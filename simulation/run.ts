/** One run of the simulation: a seed decides everything; the same seed is the same run. */
import type { ServerName } from '../pair/incarnation.ts';
import type { TransferRequest } from '../pair/lease.ts';
import type { ClientFault } from './client.ts';
import type { SimulatedProcess } from './process.ts';
import type { Variant } from './variants/variant.ts';
import { type Outcome, SERVERS, World } from './world.ts';

/** True time during which faults strike. */
const FAULTS_MS = 20_000;

/** Which faults strike. */
export type FaultSet =
  | 'all'
  /** Only a network and an API that are cut and slow. */
  | 'network'
  /** Two incarnations of a server beside each other, in a network and before an API that are cut and slow. */
  | 'twins'
  /** A witness that loses what it had acknowledged, and volumes mounted where they do not belong. */
  | 'disks'
  /** Runs of one server of which some reach the API and others do not; answers of the API at the limit. */
  | 'apart'
  /** Disk sets of several volumes, of which single ones hang and fail. */
  | 'volumes'
  /** Machines that are paused as a whole: neither clock nor dead man's timer sees it. With several volumes, in odd seeds. */
  | 'machines'
  /** All, while somebody changes the lease times: servers that run have others than those that start. */
  | 'times';

export interface RunOptions {
  readonly variant?: Variant | null;
  readonly keepTrace?: boolean;
  readonly faults?: FaultSet;
  /** With clients, whose history is checked; or with a fault of theirs, which has to be found. */
  readonly clients?: boolean | ClientFault;
  /** false: with clients too, nothing of what they write is lost before it is flushed. */
  readonly writeBacksFail?: boolean;
}

export function runSeed(seed: number, options: RunOptions = {}): Outcome {
  const { faults: strike, variant = null, keepTrace = false } = options;
  // Of several volumes one shows the newer owner where another one's record was written over: a single one has to.
  const several = strike === 'volumes' || (strike === 'machines' && seed % 2 === 1);
  const world = new World(seed, variant, keepTrace, several ? 3 : 1);
  world.machinesPause = options.faults === 'machines';
  for (const server of SERVERS) {
    world.queue.after(world.random.between(0, 3000), () => {
      if (world.alive(server).length === 0) world.start(server, 'same container');
    });
  }
  const { clients = false } = options;
  if (clients !== false) world.startClients(seed, clients === true ? null : clients);
  if (clients !== false && options.writeBacksFail !== false) world.failWriteBacks(seed);
  const menu = MENUS[options.faults ?? 'all'];
  world.witnessForgets = options.faults === 'disks';
  world.timesChange = options.faults === 'times';
  world.operator.crashRate = world.random.pick([0, 0, 0.2, 0.6]);
  const faults = 2 + world.random.below(9);
  for (let count = 0; count < faults; count++) {
    const fault = world.random.pick(menu);
    world.queue.after(world.random.between(1000, FAULTS_MS), () => fault(world));
  }
  world.queue.runUntil(FAULTS_MS);
  world.heal();
  world.queue.runUntil(FAULTS_MS + world.recoveryMs);
  world.demandService();
  return world.outcome(seed);
}

type Fault = (world: World) => void;

const crash: Fault = (world) => {
  const process = world.random.pick(world.processes);
  process?.kill('crashes');
};

const bothCrash: Fault = (world) => {
  for (const process of [...world.processes]) process.kill('crashes with all others');
};

const pause: Fault = (world) => {
  const process = world.random.pick(world.processes);
  const forMs = world.random.between(50, 4 * world.timing.leaseMs);
  world.note(`${process?.me} is paused for ${forMs.toFixed(0)} ms`);
  process?.stop(forMs);
};

/** And no news reaches it for a while afterwards. */
const pauseUntold: Fault = (world) => {
  const process = world.random.pick(world.processes);
  process?.stopUntold(world.random.between(1, 4) * world.timing.leaseMs);
};

const cutNetwork: Fault = (world) => {
  const servers = world.random.chance(0.5) ? SERVERS : [world.random.pick(SERVERS)];
  const forMs = world.random.between(100, 4 * world.timing.leaseMs);
  world.note(`network: nothing from ${servers.join(', ')} arrives for ${forMs.toFixed(0)} ms`);
  for (const server of servers) {
    world.network.cut(server);
    world.queue.after(forMs, () => world.network.mend(server));
  }
};

const losses: Fault = (world) => {
  world.network.lossRate = world.random.between(0.05, 0.6);
  world.note(`network: ${(world.network.lossRate * 100).toFixed(0)} % of the messages get lost`);
  world.queue.after(world.random.between(500, 8000), () => {
    world.network.lossRate = 0;
  });
};

const slowNetwork: Fault = (world) => {
  world.network.slownessMs = world.random.between(0.2, 1.5) * world.timing.leaseMs;
  world.note(`network: messages take up to ${world.network.slownessMs.toFixed(0)} ms longer`);
  world.queue.after(world.random.between(500, 8000), () => {
    world.network.slownessMs = 0;
  });
};

const cutApi: Fault = (world) => {
  const servers = world.random.chance(0.4) ? SERVERS : [world.random.pick(SERVERS)];
  const forMs = world.random.between(100, 4 * world.timing.leaseMs);
  world.note(`API out of reach of ${servers.join(', ')} for ${forMs.toFixed(0)} ms`);
  for (const server of servers) world.loseApi(server, forMs);
};

/** The node is cut off or only slow, and its pod is replaced: two incarnations of one server are alive. */
const replacePod: Fault = (world) => {
  const server = world.random.pick(SERVERS);
  if (world.processes.length > 0) world.start(server, 'new container');
};

const isolate: Fault = (world) => {
  const server = world.random.pick(SERVERS);
  const forMs = world.random.between(world.timing.leaseMs, 4 * world.timing.leaseMs);
  world.note(`${server} is cut off from everything for ${forMs.toFixed(0)} ms`);
  world.network.cut(server);
  world.withoutApi.add(server);
  world.queue.after(forMs, () => {
    world.network.mend(server);
    world.reachApi(server);
  });
};

const plannedStop: Fault = (world) => {
  const process = world.random.pick(world.processes);
  world.note(`${process?.me} is told to stop`);
  process?.input({ kind: 'stop' });
};

const faultyDisk: Fault = (world) => {
  const process = world.random.pick(world.processes);
  const home = world.random.pick(SERVERS);
  process?.input({ kind: 'diskSetFault', home, reason: 'IoError', message: 'EIO' });
};

const request: Fault = (world) => {
  const home = world.random.pick(SERVERS);
  const kind: TransferRequest['kind'] = world.random.chance(0.7) ? 'giveback' : 'takeover';
  const asked = { id: `request-${world.queue.now}`, kind, reason: 'an administrator asked' };
  world.note(`${kind} of ${home} is requested`);
  world.witness.annotate(home, { request: asked });
};

/**
 * An administrator forces a transfer, where the word is true: nobody whom the Lease names as acknowledger can act any more. Asked of
 * a server itself, which keeps the word for as long as the asker waits.
 */
const forcedRequest: Fault = (world) => {
  const asked = world.random.pick(world.processes.filter(({ alive }) => alive));
  if (asked !== undefined) forceAt(world, asked, world.random.pick(SERVERS));
};

function forceAt(world: World, asked: SimulatedProcess, home: ServerName): void {
  const { holder, acknowledger } = world.witness.record(home);
  const acts = world.processes.some(({ me, alive }) => alive && me === acknowledger);
  if (acts || holder === null || holder === asked.me) return;
  const kind = asked.state.identity.server === home ? 'giveback' : 'takeover';
  world.note(`a ${kind} of ${home} is forced at ${asked.me}`);
  const id = `forced-${world.queue.now}`;
  asked.input({ kind: 'request', home, request: { id, kind, reason: 'seen to', force: true } });
}

/**
 * A holder and its partner do not hear each other, and somebody forces a takeover at the partner. The holder was alive: it
 * hears another pod of the partner's server from then on.
 */
const forcedApart: Fault = (world) => {
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
  strikeLater(world, random.between(0.5, 2) * timing.leaseMs, () => world.start(partner, 'new container'));
  queue.after(6 * timing.leaseMs, () => {
    if (asked.alive) for (const process of world.alive(holder)) world.connect(process, asked);
  });
};

const halt: Fault = (world) => {
  const process = world.random.pick(world.processes);
  const home = world.random.pick(SERVERS);
  const lateMs = world.random.pick([0, world.random.between(0, 2) * world.timing.leaseMs]);
  world.note(`${process?.me} halts ${home}, and says so ${lateMs.toFixed(0)} ms later`);
  process?.halt(home, lateMs);
};

const flap: Fault = (world) => {
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
};

const longWithoutApi: Fault = (world) => {
  const forMs = world.random.between(3, 8) * world.timing.leaseMs;
  world.note(`API down for ${forMs.toFixed(0)} ms`);
  for (const server of SERVERS) world.loseApi(server, forMs);
};

const setWallClock: Fault = (world) => {
  const by = world.random.between(-5, 5) * world.timing.leaseMs;
  const server = world.random.pick(SERVERS);
  world.note(`the wall clock of ${server} is set by ${by.toFixed(0)} ms`);
  world.setWallClock(server, by);
};

const swapVolumes: Fault = (world) => {
  world.note('each volume is mounted where the other belongs');
  world.volumes.swap(SERVERS[0], SERVERS[1]);
  world.queue.after(world.random.between(1, 4) * world.timing.leaseMs, () => {
    if (world.volumes.swapped) world.volumes.swap(SERVERS[0], SERVERS[1]);
  });
};

/** What is mounted cannot be exchanged under a server that has it open: it dies, and finds the other one. */
const swapAtRestart: Fault = (world) => {
  bothCrash(world);
  swapVolumes(world);
};

const forget: Fault = (world) => {
  const home = world.random.pick(SERVERS);
  const backup = world.witness.record(home);
  world.queue.after(world.random.between(1, 3) * world.timing.leaseMs, () => {
    world.note(`the Lease of ${home} is restored from a backup: epoch ${backup.epoch}`);
    world.witness.restore(home, backup);
  });
};

const FAULTS: readonly Fault[] = [
  crash,
  crash,
  bothCrash,
  pause,
  pause,
  pause,
  cutNetwork,
  losses,
  slowNetwork,
  slowNetwork,
  cutApi,
  cutApi,
  replacePod,
  isolate,
  plannedStop,
  faultyDisk,
  halt,
  halt,
  forcedRequest,
  request,
  request,
  flap,
  longWithoutApi,
  setWallClock,
  swapAtRestart,
];

const NETWORK_FAULTS: readonly Fault[] = [
  cutNetwork,
  slowNetwork,
  slowNetwork,
  cutApi,
  cutApi,
  isolate,
  flap,
];

/** One volume of a disk set does not answer one server: for a moment, or for longer than any lease. */
const hang: Fault = (world) => {
  const { random, timing } = world;
  const volume = random.pick(world.volumes.of(random.pick(SERVERS)));
  world.hang(random.pick(SERVERS), volume, random.between(0.1, 3) * timing.leaseMs);
};

/** A part of a fault that begins later; once everything is healed it does not. */
function strikeLater(world: World, ms: number, action: () => void): void {
  world.queue.after(ms, () => {
    if (!world.calm) action();
  });
}

/**
 * A holder drops its acknowledger, because it was not heard for a moment, and neither of the two reaches the API from then
 * on; another run of the acknowledger's server does. What the dropped one still says must not count.
 */
const apart: Fault = (world) => {
  const { random, queue, timing } = world;
  const dropped = random.pick(SERVERS);
  const holder = world.partnerOf(dropped);
  const old = world.alive(dropped).at(-1);
  if (old === undefined) return;
  world.note(
    `${old.me} and ${holder} lose the API and, for a moment, each other; ${dropped} gets another pod`,
  );
  world.start(dropped, 'new container');
  world.runsWithoutApi.add(old.me);
  for (const server of SERVERS) world.network.cut(server);
  strikeLater(world, random.between(0.35, 0.8) * timing.leaseMs, () => world.withoutApi.add(holder));
  queue.after(random.between(0.4, 0.9) * timing.leaseMs, () => {
    for (const server of SERVERS) world.network.mend(server);
    for (const process of world.alive(holder)) world.connect(process, old);
  });
  queue.after(random.between(3, 5) * timing.leaseMs, () => {
    world.runsWithoutApi.delete(old.me);
    world.reachApi(holder);
  });
};

/** Both servers are solo; answers to one come nearly as late as it waits for them (0.4 of the lease), then not at all. */
const lateAnswers: Fault = (world) => {
  const { random, queue, timing } = world;
  const server = random.pick(SERVERS);
  world.giveUpMs = 0.4 * timing.leaseMs;
  world.note(`the servers do not hear each other; the API answers ${server} late, then not at all`);
  for (const one of SERVERS) world.network.cut(one);
  strikeLater(world, 2 * timing.leaseMs, () => {
    world.answersLateMs = { server, ms: random.between(0.3, 0.39) * timing.leaseMs };
  });
  strikeLater(world, random.between(2.2, 4) * timing.leaseMs, () => world.withoutApi.add(server));
  queue.after(7 * timing.leaseMs, () => {
    world.answersLateMs = null;
    world.reachApi(server);
    for (const one of SERVERS) world.network.mend(one);
  });
};

const MENUS: Readonly<Record<FaultSet, readonly Fault[]>> = {
  all: FAULTS,
  network: NETWORK_FAULTS,
  twins: [replacePod, replacePod, slowNetwork, cutNetwork, cutApi, cutApi, losses, pause, crash],
  apart: [apart, apart, lateAnswers, pause, forcedApart],
  times: FAULTS,
  volumes: [...FAULTS.filter((fault) => fault !== swapAtRestart), hang, hang, hang, hang, hang, hang],
  machines: [
    pause,
    pause,
    pauseUntold,
    pauseUntold,
    crash,
    cutNetwork,
    cutApi,
    replacePod,
    request,
    plannedStop,
  ],
  disks: [forget, forget, crash, crash, plannedStop, swapAtRestart, bothCrash, request, replacePod],
};
