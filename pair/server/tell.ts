/** Tells others of a step: the data path, the sentinel, the partner, and the process that waits for the stop. */

import type { DiskSetState } from '../disk-set/state.ts';
import type { Holding } from '../messages.ts';
import type { Effect } from '../types.ts';
import { DISK_SET_SIDES, type DiskSetSide } from '../types.ts';
import { partnerCouldServe } from './partner.ts';
import type { DisksAt, ServerState } from './state.ts';

const NO_DISKS: DisksAt = { directory: null, partnerCouldServe: false };

/** Before all other effects of the step: a disk set that is opened now is opened where its disks are. */
export function tellDisks(state: ServerState, now: number, effects: Effect[]): ServerState {
  let { disks } = state;
  for (const { home, seen } of [state.local, state.partner]) {
    const directory = seen?.record.disks ?? null;
    const could = partnerCouldServe(state, home, now);
    const told = disks[home] ?? NO_DISKS;
    if (directory === told.directory && could === told.partnerCouldServe) continue;
    disks = { ...disks, [home]: { directory, partnerCouldServe: could } };
    effects.unshift({ kind: 'disksAt', home, directory, partnerCouldServe: could });
  }
  return { ...state, disks };
}

/** Tells others of this step: the sentinel, the partner, the process that waits for the stop. */
export function tellChanges(before: ServerState, after: ServerState, effects: Effect[]): ServerState {
  let next = after;
  const holdings = leasesThatNameMe(next);
  if (!sameHoldings(holdings, next.holdings)) {
    // First of all effects: the sentinel must be able to name the epoch before anything is served at it.
    effects.unshift({ kind: 'holdings', holdings });
    next = { ...next, holdings };
  }
  for (const which of DISK_SET_SIDES) {
    const written = next[which].seen?.record.renewal;
    if (written !== before[which].seen?.record.renewal && wroteIt(before, next, which)) {
      for (const { incarnation } of next.partners) {
        effects.push({
          kind: 'send',
          to: incarnation,
          message: { kind: 'leaseChanged', home: next[which].home },
        });
      }
    }
  }
  if (next.stopping && !next.stopped && idle(next.local) && idle(next.partner)) {
    effects.push({ kind: 'stopped' });
    next = { ...next, stopped: true };
  }
  return next;
}

/** A change of holder or acknowledger by this process: the partner should not wait for its watch. */
function wroteIt(before: ServerState, after: ServerState, which: DiskSetSide): boolean {
  const { me } = after.identity;
  const old = before[which].seen?.record;
  const now = after[which].seen!.record;
  const changed = old?.holder !== now.holder || old.acknowledger !== now.acknowledger;
  return changed && (now.holder === me || (old?.holder === me && now.holder === null));
}

function idle(diskSet: DiskSetState): boolean {
  return diskSet.role.name === 'observer';
}

function leasesThatNameMe(state: ServerState): Holding[] {
  const holdings: Holding[] = [];
  for (const { home, seen } of [state.local, state.partner]) {
    if (seen !== null && seen.record.holder === state.identity.me) {
      holdings.push({ home, epoch: seen.record.epoch });
    }
  }
  return holdings;
}

function sameHoldings(a: readonly Holding[], b: readonly Holding[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => one.home === b[index]!.home && one.epoch === b[index]!.epoch)
  );
}
