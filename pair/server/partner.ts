/** The partner's incarnations: which are connected, which have been heard without a gap, and which of them could follow. */
import { type Incarnation, type ServerName, startedLater } from '../incarnation.ts';
import type { DiedMessage, PairMessage } from '../messages.ts';
import { steadyAfterMs } from '../serving-lease.ts';
import type { PartnerState, ServerState } from './state.ts';

/** More than ever restart within the time in which an old proof matters. */
const DEATHS_MAX = 32;

export function without(state: ServerState, incarnation: Incarnation): ServerState {
  return withPartners(
    state,
    state.partners.filter((partner) => partner.incarnation !== incarnation),
  );
}

export function withPartners(state: ServerState, partners: readonly PartnerState[]): ServerState {
  const partnerStops =
    partners.length === 0 ? state.partnerStops : partners.every(({ stopping }) => stopping);
  return { ...state, partners, partnerStops };
}

/** A repeated proof keeps the time of the first: a successor counts from when it *got* the proof. */
export function noteDeath(state: ServerState, died: DiedMessage, now: number): ServerState {
  if (died.incarnation === state.identity.me) return state;
  if (state.deaths.some((death) => death.incarnation === died.incarnation)) return state;
  const { incarnation, holdings, evidence } = died;
  const deaths = [...state.deaths, { incarnation, holdings, evidence, at: now }].slice(-DEATHS_MAX);
  return { ...without(state, incarnation), deaths };
}

/** A message of the partner: any message shows that it is there, a heartbeat also what it says about itself. */
export function hear(state: ServerState, from: Incarnation, message: PairMessage, now: number): ServerState {
  const gap = steadyAfterMs(state.identity.timing);
  const partners = state.partners.map((partner) => {
    if (partner.incarnation !== from) return partner;
    const steadySince = now - partner.heardAt > gap ? now : (partner.steadySince ?? now);
    if (message.kind !== 'heartbeat') return { ...partner, steadySince, heardAt: now };
    const { cannotServe = [], stopping = false, witnessSilent = false } = message;
    return { ...partner, steadySince, heardAt: now, cannotServe, stopping, witnessSilent };
  });
  return withPartners(state, partners);
}

/** The partner is there, and says nothing against serving this disk set. */
export function partnerCouldServe(state: ServerState, home: ServerName, now: number): boolean {
  const partner = steadyPartner(state, now);
  return partner !== null && !partner.cannotServe.includes(home);
}

/**
 * The partner's incarnation that could follow, among those that have been heard without a gap for long enough: the one that the witness
 * answers; of those the one that was started last, whichever connected last. An older one may run on where its node is cut off from
 * the API, without having noticed.
 */
export function steadyPartner(state: ServerState, now: number): PartnerState | null {
  const limit = steadyAfterMs(state.identity.timing);
  let best: PartnerState | null = null;
  for (const partner of state.partners) {
    const { steadySince, heardAt } = partner;
    const steady = steadySince !== null && now - steadySince >= limit && now - heardAt <= limit;
    if (steady && (best === null || couldRatherFollow(partner, best))) best = partner;
  }
  return best;
}

function couldRatherFollow(a: PartnerState, b: PartnerState): boolean {
  return a.witnessSilent === b.witnessSilent ? startedLater(a.incarnation, b.incarnation) : b.witnessSilent;
}
