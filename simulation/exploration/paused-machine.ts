/**
 * A machine that is paused as a whole, as the explorer knows it: clock and dead man's switch see nothing of it. Only the ownership
 * record on the volumes tells its threads that somebody else owns them (docs/safety-paused-machines.md).
 */
import { HALTED, halted } from './apply-event.ts';
import type { Rules } from './rules.ts';
import {
  homesIn,
  inputFor,
  nowOf,
  type Process,
  queued,
  type World,
  withPath,
  withProcess,
} from './world.ts';

export function machinePaused(world: World, process: Process): World {
  const next = withProcess(world, { ...process, paused: true, clockStands: true });
  return homesIn(world).reduce((before, home) => {
    const { open } = process.paths[home]!;
    return open === null ? before : withPath(before, process.me, home, { open: { ...open, paused: true } });
  }, next);
}

/**
 * Its threads read the record before each change and each answer, so at the first moment, before the agent reads what has come
 * meanwhile. A change that was begun before the pause is not judged.
 */
export function checkRecords(world: World, rules: Rules): World {
  let next = world;
  for (const process of world.processes) {
    const { me, alive, paused, paths } = process;
    if (!alive || paused) continue;
    for (const home of homesIn(world)) {
      const { open, leaseEnd } = paths[home]!;
      const record = world.records[home]!;
      if (open?.phase !== 'open' || open.paused !== true || record <= open.epoch) continue;
      if (leaseEnd === null || nowOf(world, process) >= leaseEnd) continue;
      if (rules.has('ownerNotLookedAt')) {
        const violation = `${me} may write and answer for ${home} at epoch ${open.epoch}; its volumes are owned at epoch ${record}`;
        return { ...next, violation };
      }
      next = halted(next, me, home);
      const fault = { kind: 'diskSetFault', home, reason: HALTED, message: 'VolumeEpochAhead' } as const;
      next = queued(next, inputFor(next, me, fault));
    }
  }
  return next;
}
