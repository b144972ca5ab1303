/** One run of the simulation: a seed decides everything; the same seed is the same run. */
import type { ClientFault } from './client.ts';
import type { FaultSet } from './faults/fault.ts';
import { menuOf } from './faults/registry.ts';
import type { Variant } from './variants/variant.ts';
import { type Outcome, SERVERS, World } from './world.ts';

/** True time during which faults strike. */
const FAULTS_MS = 20_000;

export interface RunOptions {
  readonly variant?: Variant | null;
  readonly keepTrace?: boolean;
  readonly faults?: FaultSet;
  /** Adds clients, whose history is checked; or a fault of theirs, which has to be found. */
  readonly clients?: boolean | ClientFault;
  /** false: with clients too, nothing of what they write is lost before it is flushed. */
  readonly writeBacksFail?: boolean;
}

export function runSeed(seed: number, options: RunOptions = {}): Outcome {
  const { faults: strike, variant = null, keepTrace = false } = options;
  // One of several volumes shows the newer owner where another one's record was written over; a single one has to.
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
  const menu = menuOf(options.faults ?? 'all');
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
