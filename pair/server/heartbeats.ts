/** Heartbeats, and acknowledgements in both directions (R1). */

import { acknowledged } from '../disk-set/serving.ts';
import type { Incarnation } from '../incarnation.ts';
import type { Holding } from '../messages.ts';
import { DISK_SET_SIDES, type Effect } from '../types.ts';
import { contextOf } from './context.ts';
import type { ServerState } from './state.ts';

/** Heartbeats that may be answered late; a lease lasts ten heartbeats with the default timing. */
const HEARTBEATS_REMEMBERED = 64;

/**
 * Rule R1, the acknowledger's side: only for a holder and epoch of a Lease that this process has itself read and that names it.
 * Never from the moment it considers a claim until the outcome is known (R3).
 */
export function acknowledge(
  state: ServerState,
  from: Incarnation,
  seq: number,
  holdings: readonly Holding[],
  now: number,
  effects: Effect[],
): ServerState {
  const given: Holding[] = [];
  let next = state;
  for (const which of DISK_SET_SIDES) {
    const diskSet = next[which];
    const holding = holdings.find((one) => one.home === diskSet.home);
    if (holding === undefined || diskSet.role.name !== 'observer') continue;
    const record = diskSet.seen?.record;
    if (
      record?.holder === from &&
      record.epoch === holding.epoch &&
      record.acknowledger === state.identity.me
    ) {
      given.push(holding);
      next = { ...next, [which]: { ...diskSet, acknowledgedAt: now } };
    }
  }
  effects.push({ kind: 'send', to: from, message: { kind: 'acknowledgement', seq, holdings: given } });
  return next;
}

/**
 * Rule R1, the holder's side: dates the confirmation by the sending of heartbeat `seq`. A heartbeat that is not remembered
 * confirms nothing.
 */
export function takeAcknowledgement(
  state: ServerState,
  from: Incarnation,
  seq: number,
  holdings: readonly Holding[],
  now: number,
  effects: Effect[],
): ServerState {
  const sent = state.sentAt.find((heartbeat) => heartbeat.seq === seq);
  if (sent === undefined) return state;
  let next = state;
  for (const which of DISK_SET_SIDES) {
    const diskSet = next[which];
    const holding = holdings.find((one) => one.home === diskSet.home);
    if (holding === undefined) continue;
    const context = contextOf(next, diskSet.home, now, effects, () => {
      throw new Error('an acknowledgement never writes the Lease');
    });
    next = { ...next, [which]: acknowledged(diskSet, from, holding.epoch, sent.at, context) };
  }
  return next;
}

/** Sends one to each connected incarnation of the partner when it is due (`heartbeatMs`). */
export function sendHeartbeat(state: ServerState, now: number, effects: Effect[]): ServerState {
  if (state.partners.length === 0 || now < state.nextHeartbeatAt) return state;
  const seq = state.seq + 1;
  const holdings: Holding[] = [];
  for (const { home, role } of [state.local, state.partner]) {
    if (role.name === 'holder') holdings.push({ home, epoch: role.epoch });
  }
  const cannot = [state.local, state.partner]
    .filter((set) => now < set.cannotServeUntil || set.ahead !== null)
    .map(({ home }) => home);
  const cannotServe = cannot.length === 0 ? {} : { cannotServe: cannot };
  const stopping = state.stopping ? { stopping: true } : {};
  const silent = state.witnessSilent ? { witnessSilent: true } : {};
  for (const { incarnation } of state.partners) {
    effects.push({
      kind: 'send',
      to: incarnation,
      message: { kind: 'heartbeat', seq, holdings, ...cannotServe, ...stopping, ...silent },
    });
  }
  return {
    ...state,
    seq,
    sentAt: [...state.sentAt.slice(1 - HEARTBEATS_REMEMBERED), { seq, at: now }],
    nextHeartbeatAt: now + state.identity.timing.heartbeatMs,
  };
}
