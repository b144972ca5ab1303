/** Facts about the rest of the server that a disk set has to know in one step. */
import type { KnownDead } from '../claim.ts';
import type { Context } from '../disk-set/state.ts';
import type { ServerName } from '../incarnation.ts';
import type { Effect } from '../types.ts';
import { steadyPartner } from './partner.ts';
import type { ServerState } from './state.ts';

/**
 * @param effects gets what the disk set emits
 * @param nextToken a number that no earlier write of this server has
 */
export function contextOf(
  state: ServerState,
  home: ServerName,
  now: number,
  effects: Effect[],
  nextToken: () => number,
): Context {
  const dead: KnownDead[] = state.deaths.map((death) => ({
    incarnation: death.incarnation,
    epoch: death.holdings.find((holding) => holding.home === home)?.epoch ?? null,
    evidence: death.evidence,
    at: death.at,
  }));
  const steady = steadyPartner(state, now);
  return {
    identity: state.identity,
    now,
    stopping: state.stopping,
    steadyPartner: steady?.incarnation ?? null,
    steadySince: steady?.steadySince ?? null,
    partnerCannotServe: steady?.cannotServe ?? [],
    connected: state.partners.map(({ incarnation }) => incarnation),
    cutOff: state.partners.flatMap(({ incarnation, witnessSilent }) => (witnessSilent ? [incarnation] : [])),
    partnerStops: state.partnerStops,
    dead,
    nextToken,
    emit: (effect) => effects.push(effect),
  };
}
