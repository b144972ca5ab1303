/**
 * The dry run: would a takeover of this disk set by this server work now, and what is missing? Nothing is changed. What
 * the state machine cannot know by itself (does the witness answer, can the volumes be read) comes in as facts.
 */
import { silenceBeforeClaimMs } from './claim.ts';
import { type ServerName, serverOf } from './incarnation.ts';
import { emptyLease } from './lease.ts';
import type { ServerState } from './server/state.ts';
import { SLEW_MAX } from './serving-lease.ts';
import { policyOf } from './transfer-policy.ts';

export interface TakeoverFacts {
  readonly witness: 'answers' | 'silent';
  /** Null: every volume is there, belongs to the disk set and can be read. Else a sentence. */
  readonly whyNotReadable: string | null;
  /** By which part of 1 this server's clock is set to run fast or slow; null: not known. */
  readonly clockSlew: number | null;
}

export interface Missing {
  readonly name:
    | 'LeaseUnseen'
    | 'NeverOwned'
    | 'OwnedHere'
    | 'Stopping'
    | 'CannotServe'
    | 'VolumesAhead'
    | 'WitnessWentBack'
    | 'WitnessSilent'
    | 'VolumesUnreadable'
    | 'NotAcknowledger'
    | 'ClockTooFast'
    | 'Maintenance'
    | 'ManualMode';
  /** A sentence that names the way out. */
  readonly message: string;
}

export interface TakeoverCheck {
  readonly home: ServerName;
  /** The server that would take over. */
  readonly server: ServerName;
  readonly possible: boolean;
  /** In the order of weight; empty if it is possible. */
  readonly missing: readonly Missing[];
  /** The outcome if the owner died now. */
  readonly message: string;
}

/** `now`: ms on CLOCK_BOOTTIME. */
export function takeoverCheck(
  state: ServerState,
  home: ServerName,
  facts: TakeoverFacts,
  now: number,
): TakeoverCheck {
  const missing = whatIsMissing(state, home, facts, now);
  const { server, timing } = state.identity;
  const { seen } = home === state.local.home ? state.local : state.partner;
  const message =
    missing.length > 0
      ? missing.map((one) => one.message).join('; ')
      : `${server} would take ${home} over: at once if the death is reported, after ${silenceBeforeClaimMs(timing, seen?.record ?? emptyLease)} ms of silence otherwise`;
  return { home, server, possible: missing.length === 0, missing, message };
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

function whatIsMissing(state: ServerState, home: ServerName, facts: TakeoverFacts, now: number): Missing[] {
  const { identity, stopping } = state;
  const set = home === state.local.home ? state.local : state.partner;
  if (set.seen === null) {
    return [
      { name: 'LeaseUnseen', message: `the Lease of ${home} has not been read: can the witness be reached?` },
    ];
  }
  const { record } = set.seen;
  if (record.epoch === 0)
    return [
      { name: 'NeverOwned', message: `${home} has never been served; its home server has to start first` },
    ];
  if (record.holder !== null && serverOf(record.holder) === identity.server) {
    return [{ name: 'OwnedHere', message: `${identity.server} owns ${home} already` }];
  }
  const missing: Missing[] = [];
  if (stopping) missing.push({ name: 'Stopping', message: `${identity.server} is stopping` });
  if (facts.witness === 'silent')
    missing.push({
      name: 'WitnessSilent',
      message: 'the witness does not answer, and without it nobody claims',
    });
  if (facts.whyNotReadable !== null)
    missing.push({ name: 'VolumesUnreadable', message: facts.whyNotReadable });
  if (set.wentBack !== null)
    missing.push({
      name: 'WitnessWentBack',
      message: `the witness has lost writes to the Lease of ${home} (was it restored from a backup?): its owner has to write it again first`,
    });
  if (set.ahead !== null) {
    missing.push({
      name: 'VolumesAhead',
      message: `${set.ahead.message}: the Lease of ${home} knows less than the volumes (was the witness restored?). When no other server serves ${home}, take it over by force, with a reason: it is then claimed above epoch ${set.ahead.epoch}`,
    });
  } else if (now < set.cannotServeUntil) {
    missing.push({
      name: 'CannotServe',
      message: `${identity.server} could not serve ${home} a moment ago; it tries again in ${Math.ceil(set.cannotServeUntil - now)} ms`,
    });
  }
  if (facts.clockSlew !== null && Math.abs(facts.clockSlew) > SLEW_MAX) {
    missing.push({
      name: 'ClockTooFast',
      message: `the clock of ${identity.server} is being corrected at ${percent(facts.clockSlew)}, and the pair's waits cover ${percent(SLEW_MAX)}: limit the slew rate of its time service (chrony: maxslewrate)`,
    });
  }
  const { acknowledger } = record;
  if (acknowledger !== null && acknowledger !== identity.me) {
    missing.push({
      name: 'NotAcknowledger',
      message: `the Lease of ${home} names ${acknowledger} as acknowledger, not ${identity.me}: until it does, only proof of the owner's death lets ${identity.server} take over`,
    });
  }
  if (record.maintenance !== null) {
    missing.push({
      name: 'Maintenance',
      message: `maintenance (${record.maintenance}): a takeover has to be asked for`,
    });
  } else if (policyOf(identity).takeover === 'Manual') {
    missing.push({ name: 'ManualMode', message: 'takeovers wait for an administrator here (mode Manual)' });
  }
  return missing;
}
