/**
 * One server of a pair: its two disk sets, its partner's incarnations, heartbeats and acknowledgements.
 * `step` is the whole deciding code of the server's agent: (state, input, now) -> state, effects.
 */
import type { KnownDead } from './claim.ts';
import {
  acknowledged,
  type Context,
  currentRight,
  type DiskSetState,
  handOverAnnounced,
  initialDiskSet,
  nextWakeOfDiskSet,
  stepDiskSet,
} from './disk-set.ts';
import { type Incarnation, type ServerName, startedLater } from './incarnation.ts';
import { steadyAfterMs } from './right-to-serve.ts';
import type { DiedMessage, Effect, Holding, Input, PairIdentity, PairMessage } from './types.ts';

/** One live connection's worth of knowledge about an incarnation of the partner. */
interface PartnerState {
  readonly incarnation: Incarnation;
  /** Since when heartbeats have come without a gap; null before the first. */
  readonly steadySince: number | null;
  readonly heardAt: number;
  /** Disk sets that it says it could not serve, by home. */
  readonly cannotServe: readonly ServerName[];
  /** It says that it has been told to stop. */
  readonly stopping: boolean;
  /** It says that the witness does not answer it. */
  readonly witnessSilent: boolean;
}

interface KnownDeath {
  readonly incarnation: Incarnation;
  readonly holdings: readonly Holding[];
  readonly evidence: string;
  readonly at: number;
}

export interface ServerState {
  readonly identity: PairIdentity;
  readonly own: DiskSetState;
  readonly foreign: DiskSetState;
  readonly partners: readonly PartnerState[];
  /** The incarnations of the partner that are there say that they stop; or, if none is there, the last one said so. */
  readonly partnerStops: boolean;
  /** The newest proofs of death, at most DEATHS_MAX. */
  readonly deaths: readonly KnownDeath[];
  readonly stopping: boolean;
  readonly stopped: boolean;
  /** The last call of the witness had no answer, and no news has come since; true until the first. */
  readonly witnessSilent: boolean;
  /** Sequence number of the last heartbeat, and when those that may still be acknowledged were sent. */
  readonly seq: number;
  readonly sentAt: readonly { readonly seq: number; readonly at: number }[];
  readonly nextHeartbeatAt: number;
  readonly nextToken: number;
  /** As last told to the sentinel. */
  readonly holdings: readonly Holding[];
  /** As last told to the data path, by home; what is missing has not been told. */
  readonly disks: Readonly<Record<ServerName, DisksAt>>;
}

interface DisksAt {
  readonly directory: string | null;
  readonly partnerCouldServe: boolean;
}

const NO_DISKS: DisksAt = { directory: null, partnerCouldServe: false };

/** More than ever restart within the time in which an old proof matters. */
const DEATHS_MAX = 32;
/** Heartbeats that may be answered late; a right lasts ten heartbeats with the default timing. */
const HEARTBEATS_REMEMBERED = 64;

export function initialServer(identity: PairIdentity, now: number): ServerState {
  return {
    identity,
    own: initialDiskSet(identity.server, now),
    foreign: initialDiskSet(identity.partner, now),
    partners: [],
    partnerStops: false,
    deaths: [],
    stopping: false,
    stopped: false,
    witnessSilent: true,
    seq: 0,
    sentAt: [],
    nextHeartbeatAt: now,
    nextToken: 1,
    holdings: [],
    disks: {},
  };
}

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
  const own = stepOne(next.own, concerns === next.own.home ? input : passed);
  next = { ...next, own };
  const foreign = stepOne(next.foreign, concerns === next.foreign.home ? input : passed);
  next = { ...next, foreign };
  next = sendHeartbeat(next, now, effects);
  next = tellChanges(state, tellDisks(next, now, effects), effects);
  return { state: next, effects };
}

/** The deadline up to which this server may serve the disk set of that home; null: not at all. */
export function rightOf(state: ServerState, home: ServerName): number | null {
  return currentRight(home === state.own.home ? state.own : state.foreign, state.identity);
}

/** When the driver has to give a `tick` at the latest, if no other input comes before. */
export function nextWakeAt(state: ServerState, now: number): number {
  const heartbeat = state.partners.length > 0 ? state.nextHeartbeatAt : Number.POSITIVE_INFINITY;
  const wakeOf = (diskSet: DiskSetState) =>
    nextWakeOfDiskSet(
      diskSet,
      contextOf(state, diskSet.home, now, [], () => 0),
    );
  return Math.min(heartbeat, wakeOf(state.own), wakeOf(state.foreign));
}

// ----------------------------------------------------------------------------------------------- partner

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

function without(state: ServerState, incarnation: Incarnation): ServerState {
  return withPartners(
    state,
    state.partners.filter((partner) => partner.incarnation !== incarnation),
  );
}

function withPartners(state: ServerState, partners: readonly PartnerState[]): ServerState {
  const partnerStops =
    partners.length === 0 ? state.partnerStops : partners.every(({ stopping }) => stopping);
  return { ...state, partners, partnerStops };
}

/** A repeated proof keeps the time of the first: an heir counts from when it *got* the proof. */
function noteDeath(state: ServerState, died: DiedMessage, now: number): ServerState {
  if (died.incarnation === state.identity.me) return state;
  if (state.deaths.some((death) => death.incarnation === died.incarnation)) return state;
  const { incarnation, holdings, evidence } = died;
  const deaths = [...state.deaths, { incarnation, holdings, evidence, at: now }].slice(-DEATHS_MAX);
  return { ...without(state, incarnation), deaths };
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
      if (message.home === heard.own.home) return { ...heard, own: { ...heard.own, lookup: true } };
      if (message.home !== heard.foreign.home) return heard;
      return { ...heard, foreign: { ...heard.foreign, lookup: true } };
    }
    case 'handingOver': {
      const { foreign } = heard;
      if (message.home !== foreign.home) return heard;
      const context = contextOf(heard, foreign.home, now, effects, () => {
        throw new Error('an announcement never writes the Lease');
      });
      return { ...heard, foreign: handOverAnnounced(foreign, from, message.epoch, context) };
    }
  }
}

function hear(state: ServerState, from: Incarnation, message: PairMessage, now: number): ServerState {
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
function partnerCouldServe(state: ServerState, home: ServerName, now: number): boolean {
  const partner = steadyPartner(state, now);
  return partner !== null && !partner.cannotServe.includes(home);
}

/**
 * Of the partner's incarnations that have been heard without a gap for long enough, the one that could follow: whom the witness
 * answers; of those the one that was started last, whichever connected last. An older one may run on where its node is cut off from
 * the API, without having noticed.
 */
function steadyPartner(state: ServerState, now: number): PartnerState | null {
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

function contextOf(
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

// ------------------------------------------------------------------------- heartbeats, acknowledgements

/**
 * Rule R1, the acknowledger's side: only for a holder and epoch of a Lease that this process has itself read
 * and that names it, and never from the moment it considers a claim until the outcome is known (R3).
 */
function acknowledge(
  state: ServerState,
  from: Incarnation,
  seq: number,
  holdings: readonly Holding[],
  now: number,
  effects: Effect[],
): ServerState {
  const given: Holding[] = [];
  let next = state;
  for (const which of ['own', 'foreign'] as const) {
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

function takeAcknowledgement(
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
  for (const which of ['own', 'foreign'] as const) {
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

function sendHeartbeat(state: ServerState, now: number, effects: Effect[]): ServerState {
  if (state.partners.length === 0 || now < state.nextHeartbeatAt) return state;
  const seq = state.seq + 1;
  const holdings: Holding[] = [];
  for (const { home, role } of [state.own, state.foreign]) {
    if (role.name === 'holder') holdings.push({ home, epoch: role.epoch });
  }
  const cannot = [state.own, state.foreign]
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

// ------------------------------------------------------------------------------------------------- news

/** Before all other effects of the step: a disk set that is opened now is opened where its disks are. */
function tellDisks(state: ServerState, now: number, effects: Effect[]): ServerState {
  let { disks } = state;
  for (const { home, seen } of [state.own, state.foreign]) {
    const directory = seen?.record.disks ?? null;
    const could = partnerCouldServe(state, home, now);
    const told = disks[home] ?? NO_DISKS;
    if (directory === told.directory && could === told.partnerCouldServe) continue;
    disks = { ...disks, [home]: { directory, partnerCouldServe: could } };
    effects.unshift({ kind: 'disksAt', home, directory, partnerCouldServe: could });
  }
  return { ...state, disks };
}

/** What others have to hear of this step: the sentinel, the partner, whoever waits for the stop. */
function tellChanges(before: ServerState, after: ServerState, effects: Effect[]): ServerState {
  let next = after;
  const holdings = leasesThatNameMe(next);
  if (!sameHoldings(holdings, next.holdings)) {
    // First of all effects: the sentinel must be able to name the epoch before anything is served at it.
    effects.unshift({ kind: 'holdings', holdings });
    next = { ...next, holdings };
  }
  for (const which of ['own', 'foreign'] as const) {
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
  if (next.stopping && !next.stopped && idle(next.own) && idle(next.foreign)) {
    effects.push({ kind: 'stopped' });
    next = { ...next, stopped: true };
  }
  return next;
}

/** A change of holder or acknowledger by this process: the partner should not wait for its watch. */
function wroteIt(before: ServerState, after: ServerState, which: 'own' | 'foreign'): boolean {
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
  for (const { home, seen } of [state.own, state.foreign]) {
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
