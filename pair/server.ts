/**
 * One server of a pair: its two disk sets, its partner's incarnations, heartbeats and acknowledgements.
 * `step` is the whole deciding code of the server's agent: (state, input, now) -> state, effects.
 */

import { handOverAnnounced } from './disk-set/claiming.ts';
import { currentServingLease, type DiskSetState } from './disk-set/state.ts';
import { nextWakeOfDiskSet } from './disk-set/wake-up.ts';
import { stepDiskSet } from './disk-set.ts';
import type { Incarnation, ServerName } from './incarnation.ts';
import type { PairMessage } from './messages.ts';
import { contextOf } from './server/context.ts';
import { acknowledge, sendHeartbeat, takeAcknowledgement } from './server/heartbeats.ts';
import { hear, noteDeath, without, withPartners } from './server/partner.ts';
import type { PartnerState, ServerState } from './server/state.ts';
import { tellChanges, tellDisks } from './server/tell.ts';
import type { Effect, Input } from './types.ts';

/**
 * One input, to its end. Pure.
 *
 * @param now ms on CLOCK_BOOTTIME, never less than at the step before
 * @returns effects in the order in which they have to be carried out
 */
export function step(
  state: ServerState,
  input: Input,
  now: number,
): { readonly state: ServerState; readonly effects: readonly Effect[] } {
  const effects: Effect[] = [];
  let next = noteInput(state, input, now);
  const stepOne = (diskSet: DiskSetState, on: Input): DiskSetState => {
    const context = contextOf(next, diskSet.home, now, effects, () => {
      const token = next.nextToken;
      next = { ...next, nextToken: token + 1 };
      return token;
    });
    return stepDiskSet(diskSet, on, context);
  };
  if (input.kind === 'message') next = receiveMessage(next, input.from, input.message, now, effects);
  const passed: Input = { kind: 'tick' };
  const concerns = 'home' in input ? input.home : null;
  const local = stepOne(next.local, concerns === next.local.home ? input : passed);
  next = { ...next, local };
  const partner = stepOne(next.partner, concerns === next.partner.home ? input : passed);
  next = { ...next, partner };
  next = sendHeartbeat(next, now, effects);
  next = tellChanges(state, tellDisks(next, now, effects), effects);
  return { state: next, effects };
}

/** The deadline up to which this server may serve the disk set of that home; null: not at all. */
export function servingLeaseOf(state: ServerState, home: ServerName): number | null {
  return currentServingLease(home === state.local.home ? state.local : state.partner, state.identity);
}

/** When the driver has to give a `tick` at the latest, if no other input comes before. */
export function nextWakeAt(state: ServerState, now: number): number {
  const heartbeat = state.partners.length > 0 ? state.nextHeartbeatAt : Number.POSITIVE_INFINITY;
  const wakeOf = (diskSet: DiskSetState) =>
    nextWakeOfDiskSet(
      diskSet,
      contextOf(state, diskSet.home, now, [], () => 0),
    );
  return Math.min(heartbeat, wakeOf(state.local), wakeOf(state.partner));
}

function noteInput(state: ServerState, input: Input, now: number): ServerState {
  switch (input.kind) {
    case 'partnerConnected': {
      if (state.deaths.some((death) => death.incarnation === input.incarnation)) return state;
      const others = state.partners.filter((partner) => partner.incarnation !== input.incarnation);
      const partner: PartnerState = {
        incarnation: input.incarnation,
        steadySince: null,
        heardAt: now,
        cannotServe: [],
        stopping: false,
        witnessSilent: false,
      };
      return { ...withPartners(state, [...others, partner]), nextHeartbeatAt: now };
    }
    case 'partnerDisconnected':
      return without(state, input.incarnation);
    case 'died':
      return noteDeath(state, input.died, now);
    case 'stop':
      // The partner hears of it at once: what it releases now is not for this server.
      return { ...state, stopping: true, nextHeartbeatAt: now };
    case 'leaseSeen':
      return hearWitness(state, true);
    case 'leaseRead':
      return hearWitness(state, input.outcome.kind === 'found');
    case 'leaseWritten':
      return hearWitness(state, input.outcome.kind === 'applied' || input.outcome.kind === 'conflict');
    case 'witnessSilent':
      return hearWitness(state, false);
    default:
      return state;
  }
}

function hearWitness(state: ServerState, answers: boolean): ServerState {
  return state.witnessSilent === !answers ? state : { ...state, witnessSilent: !answers };
}

function receiveMessage(
  state: ServerState,
  from: Incarnation,
  message: PairMessage,
  now: number,
  effects: Effect[],
): ServerState {
  const heard = hear(state, from, message, now);
  switch (message.kind) {
    case 'heartbeat':
      return acknowledge(heard, from, message.seq, message.holdings, now, effects);
    case 'acknowledgement':
      return takeAcknowledgement(heard, from, message.seq, message.holdings, now, effects);
    case 'leaseChanged': {
      if (message.home === heard.local.home) return { ...heard, local: { ...heard.local, lookup: true } };
      if (message.home !== heard.partner.home) return heard;
      return { ...heard, partner: { ...heard.partner, lookup: true } };
    }
    case 'handingOver': {
      const { partner } = heard;
      if (message.home !== partner.home) return heard;
      const context = contextOf(heard, partner.home, now, effects, () => {
        throw new Error('an announcement never writes the Lease');
      });
      return { ...heard, partner: handOverAnnounced(partner, from, message.epoch, context) };
    }
  }
}
