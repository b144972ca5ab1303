/**
 * The life of one disk set as one server sees it. Pure: (state, input, context) -> state, effects.
 *
 *                 claim applied                     right ran out, fault, Lease lost
 *    observer --> claiming --> holder ------------------------------> fencing --> observer
 *       |                        |  leaving (stop, giveback)                        ^
 *       |  Lease still names me  v                                                  |
 *       +--> regaining -----> holder(quiescing) --> releasing ----------------------+
 *
 * Where safety lives:
 *  - `rightUntil` only ever comes from a write that was *applied* or from an acknowledgement by `accepts`,
 *    each dated by when its request was sent (R1).
 *  - `accepts` is null from before a write of ours is sent until one is applied that names an acknowledger:
 *    a write with unknown outcome may still take effect, so nothing that contradicts it may count. Only a write that was
 *    surely not executed leaves it what it was, if no unknown one came before it.
 *  - while `claiming` nothing is acknowledged (see `acknowledge` in server.ts), and a claim with unknown outcome is
 *    repeated until the version it was made against is gone: only then its outcome is known (R3).
 *  - after the right is cut nothing is served again before the data path has reported that it is closed.
 */
import { type ClaimVerdict, type KnownDead, mayClaim, silenceBeforeClaimMs } from './claim.ts';
import type { Incarnation, ServerName } from './incarnation.ts';
import { serverOf, startedLater } from './incarnation.ts';
import {
  claimed,
  type LeaseOwnership,
  type LeaseParties,
  type LeaseSighting,
  notOlder,
  released,
  renewed,
  sameOwnership,
  sameParties,
  type TransferRequest,
  type VolumesAhead,
  volumesAheadOf,
} from './lease.ts';
import { renewEveryMs, retryAfterMs, rightUntil, silenceMs, soloAfterMs } from './right-to-serve.ts';
import {
  askedFor,
  givebackVetoes,
  movedOn,
  NO_MEMORY,
  policyOf,
  type Recipient,
  type TransferMemory,
  tookOver,
  transferVetoes,
  whyNotByItself,
} from './transfer-policy.ts';
import type { Effect, Input, PairIdentity, TraceEvent, TransitionCause } from './types.ts';

/** How long a request that was asked of this process waits for its answer, ms. Longer than any hand-over worth waiting for. */
export const REQUEST_MS = 30_000;

// ----------------------------------------------------------------------------------------------- state

/** A compare-and-swap that is under way. */
interface PendingWrite {
  readonly token: number;
  readonly sentAt: number;
}

/** Why a holder gives the disk set away. */
interface Leaving {
  readonly to: ServerName | null;
  readonly requestId: string | null;
  readonly message: string;
  /** Nobody asked: the home server has been back for long enough. */
  readonly automatic?: boolean;
}

export interface Holder {
  readonly name: 'holder';
  readonly epoch: number;
  /** opening: the data path works on it. quiescing: it finishes what runs, then reports closed. */
  readonly port: 'opening' | 'open' | 'quiescing';
  /** The one incarnation whose acknowledgements count now. Null: solo, or a write is under way. */
  readonly accepts: Incarnation | null;
  /** Whom the Lease names for sure: by the last write that was applied, if no outcome is unknown since. */
  readonly named: Incarnation | null;
  /** Another acknowledger than `accepts` is wanted: has the witness answered a read since? Null: none is. */
  readonly doubt: 'asking' | 'answered' | null;
  /** When the request of the newest confirmation was sent. */
  readonly confirmedAt: number;
  /** When the last applied write was sent: what a solo holder's renewals are paced by. */
  readonly writtenAt: number;
  readonly write: PendingWrite | null;
  readonly leaving: Leaving | null;
  /** When quiescing began. */
  readonly quiescedAt: number;
  /** When an acknowledger was dropped last: one that cannot acknowledge is not named again at once. */
  readonly droppedAt: number;
}

export type Role =
  | { readonly name: 'observer' }
  | {
      readonly name: 'claiming';
      /** Null while the outcome of the last try is unknown and being looked up. */
      readonly write: PendingWrite | null;
      readonly against: LeaseSighting;
      readonly epoch: number;
      readonly cause: TransitionCause;
    }
  | { readonly name: 'regaining'; readonly write: PendingWrite }
  | Holder
  /** The right is cut; waits for the data path. `leaving`: then release, else the Lease stays as it is. */
  | { readonly name: 'fencing'; readonly epoch: number; readonly leaving: Leaving | null }
  | {
      readonly name: 'releasing';
      readonly epoch: number;
      readonly leaving: Leaving;
      readonly write: PendingWrite | null;
    };

export interface DiskSetState {
  readonly home: ServerName;
  readonly seen: LeaseSighting | null;
  /** Since when the ownership in `seen` has been seen unchanged. */
  readonly unchangedSince: number;
  /** It is as this process has found it when it started. */
  readonly asFound: boolean;
  readonly role: Role;
  /** A read is under way since; null if none. */
  readonly readSince: number | null;
  /** News has come while it is under way: its answer may be older. */
  readonly readOvertaken: boolean;
  /** The witness has lost what this process had seen (a restored backup): since when, and what it says instead. */
  readonly wentBack: { readonly since: number; readonly found: LeaseOwnership } | null;
  /**
   * R6: the volumes have been served at a higher epoch than the Lease knows of. A verdict, until an administrator's confirmation; it is written
   * with the release, so that it outlives this process.
   */
  readonly ahead: VolumesAhead | null;
  /** No write, claim or release may be sent before a read (or the watch) has brought news. */
  readonly lookup: boolean;
  /** No write before this time: pace of retries. */
  readonly notBefore: number;
  /** No claim or regain before this time: the volumes could not be opened here. */
  readonly cannotServeUntil: number;
  /** When this process last acknowledged a holder of this disk set (kept by `acknowledge` in server.ts). */
  readonly acknowledgedAt: number;
  /** The last request that this process has dealt with. */
  readonly handledRequest: string | null;
  /** A release of ours whose addressee has not claimed yet: the asker waits for the answer. */
  readonly awaiting: { readonly requestId: string; readonly to: ServerName } | null;
  /** The claim that was announced as detected, so that it is traced once. */
  readonly detected: TransitionCause | null;
  /** The request that stands in the Lease (or `local`), since when this process has seen it, and what it is about. */
  readonly asked: { readonly id: string; readonly since: number; readonly about: LeaseParties } | null;
  /** Asked of this process itself while it is not the owner; answered once it is, and after REQUEST_MS at the latest. */
  readonly local: TransferRequest | null;
  /** Of hand-overs: attempts, takeovers, the last release. */
  readonly memory: TransferMemory;
  /** Writes of the Lease that were sent and have no outcome yet, also those that the role has given up. */
  readonly writesUnderWay: number;
  /** News of the Lease that waits for the outcome of a write: see `stepDiskSet`. */
  readonly heldBack: readonly News[];
  /** The partner has announced that it releases its disk set to this server: the epoch of the claim, and for how long. */
  readonly announced: { readonly epoch: number; readonly until: number } | null;
  /** The standstill of the Lease that was begun last. */
  readonly standstill: { readonly id: string; readonly over: boolean } | null;
}

type News = Extract<Input, { kind: 'leaseSeen' | 'leaseRead' }>;

export function initialDiskSet(home: ServerName, now: number): DiskSetState {
  return {
    home,
    seen: null,
    unchangedSince: now,
    asFound: true,
    role: { name: 'observer' },
    readSince: null,
    readOvertaken: false,
    wentBack: null,
    ahead: null,
    lookup: true,
    notBefore: now,
    cannotServeUntil: now,
    acknowledgedAt: Number.NEGATIVE_INFINITY,
    handledRequest: null,
    awaiting: null,
    detected: null,
    asked: null,
    local: null,
    memory: NO_MEMORY,
    writesUnderWay: 0,
    heldBack: [],
    announced: null,
    standstill: null,
  };
}

/** What a disk set needs to know of the rest of the server in one step. */
export interface Context {
  readonly identity: PairIdentity;
  readonly now: number;
  readonly stopping: boolean;
  /** The partner's incarnation to name as acknowledger: connected, heard steadily, not known to be dead. */
  readonly steadyPartner: Incarnation | null;
  /** Since when it has been heard without a gap; null: there is none. */
  readonly steadySince: number | null;
  /** Disk sets that the partner says it could not serve now, by home. */
  readonly partnerCannotServe: readonly ServerName[];
  /** The partner's incarnations that are connected and not known to be dead. */
  readonly connected: readonly Incarnation[];
  /** Those of them who say that the witness does not answer them. */
  readonly cutOff: readonly Incarnation[];
  /** The partner has said that it stops: it will claim nothing. */
  readonly partnerStops: boolean;
  /** Proofs of death, with the epoch that each names for this disk set. */
  readonly dead: readonly KnownDead[];
  readonly nextToken: () => number;
  readonly emit: (effect: Effect) => void;
}

/** Until when this process may serve; null if not at all. */
export function currentRight(state: DiskSetState, identity: PairIdentity): number | null {
  return state.role.name === 'holder' ? rightUntil(state.role.confirmedAt, identity.timing) : null;
}

// ----------------------------------------------------------------------------------------------- inputs

/**
 * One input that concerns this disk set, followed by whatever the passing of time demands.
 *
 * The outcome of a write comes before news of what was written after it: the partner may see a release and claim before
 * the witness has answered this server. So news waits until no write is under way; no right depends on it.
 */
export function stepDiskSet(state: DiskSetState, input: Input, context: Context): DiskSetState {
  if ((input.kind === 'leaseSeen' || input.kind === 'leaseRead') && state.writesUnderWay > 0) {
    return advance({ ...state, heldBack: [...state.heldBack, input] }, context);
  }
  let next = advance(receive(state, input, context), context);
  while (next.writesUnderWay === 0 && next.heldBack.length > 0) {
    const [news, ...heldBack] = next.heldBack;
    next = advance(receive({ ...next, heldBack }, news!, context), context);
  }
  return next;
}

function receive(state: DiskSetState, input: Input, context: Context): DiskSetState {
  switch (input.kind) {
    case 'leaseSeen':
      return see(state, input.sighting, context);
    case 'leaseRead':
      return leaseRead(state, input.outcome, context);
    case 'leaseWritten':
      return leaseWritten(
        { ...state, writesUnderWay: Math.max(0, state.writesUnderWay - 1) },
        input.token,
        input.outcome,
        context,
      );
    case 'diskSetOpened':
      return diskSetOpened(state, input.epoch, context);
    case 'diskSetOpenFailed':
      return diskSetOpenFailed(state, input, context);
    case 'diskSetClosed':
      return diskSetClosed(state, context);
    case 'changesEnded':
      return changesEnded(state, context);
    case 'diskSetFault':
      return fault(state, input.reason, input.message, context);
    case 'volumeStalled':
      return volumeStalled(state, input.volume, input.waitedMs, context);
    case 'request':
      return request(state, input.request, context);
    default:
      return state;
  }
}

/** News of the Lease, from a watch, a read or a write. Of what looks older than what we have, only a read is believed. */
function see(
  state: DiskSetState,
  sighting: LeaseSighting,
  context: Context,
  read: 'read' | 'told' = 'told',
): DiskSetState {
  const before = state.seen;
  if (before !== null && isOlder(sighting.record, before.record)) {
    if (sighting.version === before.version) return { ...state, lookup: false };
    // A watch may be late, and so may a read that was under way when the news came: then another read tells.
    const surely = read === 'read' && !state.readOvertaken;
    return surely ? wentBack(state, before, sighting, context) : { ...state, lookup: true };
  }
  const unchanged = before !== null && sameOwnership(before.record, sighting.record);
  let next: DiskSetState = {
    ...state,
    seen: sighting,
    unchangedSince: unchanged ? state.unchangedSince : context.now,
    asFound: before === null || (state.asFound && unchanged),
    lookup: false,
    readOvertaken: state.readSince !== null,
    wentBack: null,
    ahead: volumesAheadOf(sighting.record, state.ahead, context.identity.me),
    asked: state.local === null ? askedSince(state, sighting, context) : state.asked,
  };
  if (!unchanged) next = ownershipChanged(next, context);
  return next;
}

/** One epoch with two owners is no older news: one of them was claimed after the witness had gone back. It is believed. */
function isOlder(news: LeaseOwnership, known: LeaseOwnership): boolean {
  const claimedTwice =
    news.epoch === known.epoch &&
    news.holder !== null &&
    known.holder !== null &&
    news.holder !== known.holder;
  return !claimedTwice && !notOlder(news, known);
}

/**
 * The witness has lost writes that this process had seen. What the process knows of the ownership stays true for it, and is
 * written again by whoever has the right to: against the version that the witness has now, so that nobody has written since.
 * Whoever holds nothing first gives the holder the time in which he does that.
 */
function wentBack(
  state: DiskSetState,
  before: LeaseSighting,
  sighting: LeaseSighting,
  context: Context,
): DiskSetState {
  const { holder, epoch, acknowledger, renewal, releasedTo, claimAfterMs, volumesAhead, written } =
    before.record;
  const known = { holder, epoch, acknowledger, renewal, releasedTo, claimAfterMs, volumesAhead };
  const record = { ...sighting.record, ...known, ...(written === undefined ? {} : { written }) };
  const lastly: DiskSetState = { ...state, seen: { version: sighting.version, record }, lookup: false };
  if (state.wentBack !== null && sameOwnership(state.wentBack.found, sighting.record)) return lastly;
  const { holder: now, epoch: then } = sighting.record;
  const message = `the witness names ${now ?? 'nobody'} at epoch ${then}, but has named ${holder ?? 'nobody'} at epoch ${epoch}`;
  trace(state, { name: 'wentBack', epoch, message }, context);
  const { role } = lastly;
  return {
    ...(role.name === 'claiming' ? claimLost(lastly, role, message, context) : lastly),
    wentBack: { since: context.now, found: sighting.record },
    unchangedSince: context.now,
  };
}

/** Before this time nobody who holds nothing claims or regains. */
function holderComesFirstUntil(state: DiskSetState, { identity }: Pick<Context, 'identity'>): number {
  if (state.wentBack === null) return Number.NEGATIVE_INFINITY;
  return state.wentBack.since + silenceBeforeClaimMs(identity.timing, state.seen!.record);
}

function askedSince(state: DiskSetState, { record }: LeaseSighting, context: Context): DiskSetState['asked'] {
  if (record.request === null) return null;
  const { id } = record.request;
  if (state.asked?.id === id) return state.asked;
  return { id, since: context.now, about: record.request.about ?? partiesOf(record) };
}

function partiesOf({ holder, epoch, acknowledger }: LeaseParties): LeaseParties {
  return { holder, epoch, acknowledger };
}

function ownershipChanged(state: DiskSetState, context: Context): DiskSetState {
  const { role } = state;
  const record = state.seen!.record;
  const atHome = record.holder !== null && serverOf(record.holder) === state.home;
  let next: DiskSetState = { ...state, detected: null, memory: movedOn(state.memory, atHome) };
  if (next.awaiting !== null && record.holder !== null) next = answerAwaiting(next, record.holder, context);
  if (role.name === 'holder' && (record.holder !== context.identity.me || record.epoch !== role.epoch)) {
    const by = record.holder ?? 'nobody';
    return fence(
      next,
      role,
      null,
      `the Lease of ${state.home} names ${by} at epoch ${record.epoch}`,
      context,
    );
  }
  return next;
}

function leaseRead(
  state: DiskSetState,
  outcome: Extract<Input, { kind: 'leaseRead' }>['outcome'],
  context: Context,
): DiskSetState {
  const next = { ...state, readSince: null };
  if (outcome.kind === 'unknown') {
    return { ...next, notBefore: context.now + retryAfterMs(context.identity.timing) };
  }
  const { role } = next;
  const answered: Role =
    role.name === 'holder' && role.doubt !== null ? { ...role, doubt: 'answered' } : role;
  return see({ ...next, role: answered }, outcome.sighting, context, 'read');
}

function leaseWritten(
  state: DiskSetState,
  token: number,
  outcome: Extract<Input, { kind: 'leaseWritten' }>['outcome'],
  context: Context,
): DiskSetState {
  const { role } = state;
  const write = 'write' in role ? role.write : null;
  if (write === null || write.token !== token) {
    // A write that this state has given up (the right ran out meanwhile): its news is still news.
    return outcome.kind === 'applied' ? see(state, outcome.sighting, context) : { ...state, lookup: true };
  }
  if (outcome.kind === 'applied') return writeApplied(state, write, outcome.sighting, context);
  // Not applied, or not known: look it up before anything else. A conflict is news, so it does not wait.
  const pause = outcome.kind === 'conflict' ? 0 : retryAfterMs(context.identity.timing);
  const retried = { ...state, lookup: true, notBefore: context.now + pause };
  switch (role.name) {
    case 'claiming':
      if (outcome.kind === 'unknown') return { ...retried, role: { ...role, write: null } };
      return claimLost(retried, role, describeLoss(outcome), context);
    case 'regaining':
      return { ...retried, role: { name: 'observer' } };
    case 'holder': {
      // Surely not written: the Lease names whom it named, and so it is as if nothing had been sent.
      const named = outcome.kind === 'refused' ? role.named : null;
      return { ...retried, role: { ...role, write: null, accepts: named, named, doubt: null } };
    }
    case 'releasing':
      return { ...retried, role: { ...role, write: null } };
    default:
      return retried;
  }
}

function describeLoss(outcome: { readonly kind: string; readonly message?: string }): string {
  return outcome.kind === 'conflict' ? 'another write came first' : (outcome.message ?? outcome.kind);
}

function writeApplied(
  state: DiskSetState,
  write: PendingWrite,
  sighting: LeaseSighting,
  context: Context,
): DiskSetState {
  const { role } = state;
  const next: DiskSetState = {
    ...state,
    seen: sighting,
    unchangedSince: context.now,
    asFound: false,
    readOvertaken: state.readSince !== null,
    wentBack: null,
    lookup: false,
  };
  switch (role.name) {
    case 'claiming':
      trace(next, { name: 'owned', epoch: sighting.record.epoch, cause: role.cause }, context);
      return becomeHolder(next, write, context);
    case 'regaining':
      return becomeHolder(next, write, context);
    case 'holder':
      return confirmWrite(next, role, write, context);
    case 'releasing':
      return gone(next, role, context);
    default:
      return next;
  }
}

/** The Lease names this process no more. Whoever asked for it hears when the addressee has claimed. */
function gone(
  state: DiskSetState,
  role: Extract<Role, { name: 'releasing' }>,
  context: Context,
): DiskSetState {
  const { requestId, to } = role.leaving;
  trace(state, { name: 'released', epoch: role.epoch, to }, context);
  const gave = { epoch: role.epoch, automatic: role.leaving.automatic === true };
  const observer: DiskSetState = { ...state, role: { name: 'observer' }, memory: { ...state.memory, gave } };
  if (requestId === null || to === null) return observer;
  const awaiting: DiskSetState = { ...observer, awaiting: { requestId, to } };
  const { holder } = state.seen!.record;
  return holder === null ? awaiting : answerAwaiting(awaiting, holder, context);
}

/** A planned stop hands over to the partner if it is there, and otherwise to whoever comes. */
function stopping(state: DiskSetState, context: Context): Leaving {
  const maintained = state.seen !== null && state.seen.record.maintenance !== null;
  const there = context.connected.length > 0 && !context.partnerStops;
  const to = there && !maintained ? context.identity.partner : null;
  return { to, requestId: null, message: 'this server stops' };
}

/** The Lease names this process by a write of its own that was applied: the right begins at its sending. */
function becomeHolder(state: DiskSetState, write: PendingWrite, context: Context): DiskSetState {
  const record = state.seen!.record;
  const until = rightUntil(write.sentAt, context.identity.timing);
  if (context.stopping) {
    return {
      ...state,
      role: { name: 'releasing', epoch: record.epoch, leaving: stopping(state, context), write: null },
    };
  }
  if (context.now >= until) {
    // The answer took longer than the right that it brought. Nothing was opened; try again as an observer.
    return { ...state, role: { name: 'observer' } };
  }
  context.emit({ kind: 'setRight', home: state.home, until });
  const { written } = record;
  const known = written === undefined ? {} : { written };
  context.emit({ kind: 'openDiskSet', home: state.home, epoch: record.epoch, ...known });
  gate('openGate', state.home, record.epoch, context);
  if (state.local !== null) carriedOut(state, state.local, context);
  // Its addressee did not take it, and it comes back.
  if (state.awaiting !== null) answerAwaiting(state, context.identity.me, context);
  return {
    ...state,
    detected: null,
    ahead: null,
    awaiting: null,
    local: null,
    memory:
      state.home === context.identity.server
        ? state.memory
        : tookOver(state.memory, record.epoch, policyOf(context.identity).giveback, context.now),
    role: {
      name: 'holder',
      epoch: record.epoch,
      port: 'opening',
      accepts: record.acknowledger,
      named: record.acknowledger,
      doubt: null,
      confirmedAt: write.sentAt,
      writtenAt: write.sentAt,
      write: null,
      leaving: null,
      quiescedAt: 0,
      droppedAt: Number.NEGATIVE_INFINITY,
    },
  };
}

function confirmWrite(
  state: DiskSetState,
  role: Holder,
  write: PendingWrite,
  context: Context,
): DiskSetState {
  const { acknowledger } = state.seen!.record;
  if (acknowledger !== null) {
    trace(state, { name: 'paired', epoch: role.epoch, acknowledger }, context);
  }
  const confirmed: Holder = {
    ...role,
    accepts: acknowledger,
    named: acknowledger,
    doubt: null,
    writtenAt: write.sentAt,
    write: null,
  };
  return confirm(state, confirmed, write.sentAt, context);
}

/** An acknowledgement of the holding by `from`, for a heartbeat that was sent at `sentAt`. */
export function acknowledged(
  state: DiskSetState,
  from: Incarnation,
  epoch: number,
  sentAt: number,
  context: Context,
): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder' || role.epoch !== epoch || role.accepts !== from) return state;
  return confirm(state, role, sentAt, context);
}

/**
 * Extends the right; a confirmation that is older than the newest one gives nothing. A right that has run
 * out is not revived: its end may have been acted upon already.
 */
function confirm(state: DiskSetState, role: Holder, sentAt: number, context: Context): DiskSetState {
  const { timing } = context.identity;
  const expired = context.now >= rightUntil(role.confirmedAt, timing);
  if (expired || sentAt <= role.confirmedAt) return { ...state, role };
  context.emit({ kind: 'setRight', home: state.home, until: rightUntil(sentAt, timing) });
  return { ...state, role: { ...role, confirmedAt: sentAt } };
}

// ------------------------------------------------------------------------------------------ the data path

function diskSetOpened(state: DiskSetState, epoch: number, context: Context): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder' || role.epoch !== epoch || role.port !== 'opening') return state;
  trace(state, { name: 'serving', epoch }, context);
  return { ...state, role: { ...role, port: 'open' } };
}

function diskSetOpenFailed(
  state: DiskSetState,
  { epoch, message, epochFound }: Extract<Input, { kind: 'diskSetOpenFailed' }>,
  context: Context,
): DiskSetState {
  const { role } = state;
  const ahead = epochFound === undefined ? state.ahead : { epoch: epochFound, message };
  // While fencing it ends nothing: one thread could not open its volume, another may be inside a system call. Only `closed`
  // says that all have stopped. What was found on a volume is as true then.
  if (role.name === 'fencing' && role.epoch === epoch) return { ...state, ahead };
  if (role.name !== 'holder' || role.epoch !== epoch) return state;
  trace(state, { name: 'openFailed', epoch, message }, context);
  return giveUpHere({ ...state, ahead }, role, message, context);
}

function fault(state: DiskSetState, reason: string, message: string, context: Context): DiskSetState {
  const { role } = state;
  return role.name === 'holder' ? giveUpHere(state, role, `${reason}: ${message}`, context) : state;
}

/**
 * A hanging disk holds a thread of this process in the kernel: only the whole disk set can be given up. Worth it if there
 * is a partner to whom the disk may answer; otherwise the other volumes are served on.
 */
function volumeStalled(
  state: DiskSetState,
  volume: string,
  waitedMs: number,
  context: Context,
): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder') return state;
  const message = `volume ${volume} has not answered for ${Math.round(waitedMs / 1000)} s`;
  if (context.connected.length > 0) return giveUpHere(state, role, `VolumeStalled: ${message}`, context);
  trace(state, { name: 'stalled', epoch: role.epoch, message }, context);
  return state;
}

/** The volumes cannot be served by this server now: let the partner try, and don't claim for a while. */
function giveUpHere(state: DiskSetState, role: Holder, message: string, context: Context): DiskSetState {
  const to = context.connected.length > 0 ? context.identity.partner : null;
  const cannotServeUntil = context.now + silenceMs(context.identity.timing) * 4;
  return fence({ ...state, cannotServeUntil }, role, { to, requestId: null, message }, message, context);
}

function diskSetClosed(state: DiskSetState, context: Context): DiskSetState {
  const { role } = state;
  if (role.name === 'fencing') {
    context.emit({ kind: 'disarm', home: state.home });
    if (role.leaving === null) return { ...state, role: { name: 'observer' }, lookup: true };
    return { ...state, role: { name: 'releasing', epoch: role.epoch, leaving: role.leaving, write: null } };
  }
  if (role.name === 'holder' && role.port === 'quiescing' && role.leaving !== null) {
    // Everything is answered and flushed. Cut the right before the release is sent: after it, nothing.
    context.emit({ kind: 'setRight', home: state.home, until: null });
    context.emit({ kind: 'disarm', home: state.home });
    return { ...state, role: { name: 'releasing', epoch: role.epoch, leaving: role.leaving, write: null } };
  }
  return state;
}

/**
 * The switch is for the thread that has checked the right and not yet made its system call: there is none. Whoever waits for
 * the data path to close goes on waiting.
 */
function changesEnded(state: DiskSetState, context: Context): DiskSetState {
  if (state.role.name === 'fencing') context.emit({ kind: 'disarm', home: state.home });
  return state;
}

/** Stop serving at once (R2). What is under way is not answered. */
function fence(
  state: DiskSetState,
  role: Holder,
  leaving: Leaving | null,
  message: string,
  context: Context,
): DiskSetState {
  context.emit({ kind: 'setRight', home: state.home, until: null });
  close(state.home, role.epoch, 'fence', context);
  trace(state, { name: 'fenced', epoch: role.epoch, message }, context);
  if (leaving === null && role.leaving !== null && role.leaving.requestId !== null) {
    refuse(state, role.leaving.requestId, `interrupted: ${message}`, context);
  }
  return { ...state, role: { name: 'fencing', epoch: role.epoch, leaving } };
}

function close(home: ServerName, epoch: number, mode: 'quiesce' | 'fence', context: Context): void {
  context.emit({ kind: 'closeDiskSet', home, mode });
  gate('closeGate', home, epoch, context);
}

/** Only the partner's disk set has a gate: clients find a server's own one under its own name. */
function gate(
  kind: 'openGate' | 'withdrawGate' | 'closeGate',
  home: ServerName,
  epoch: number,
  { identity, emit }: Context,
): void {
  if (home !== identity.server) emit({ kind, epoch });
}

/**
 * The holder says that it is about to release its disk set to this server: until every node forwards to a new endpoint
 * takes longer than claim and opening together, so the gate opens now. Believed only of the Lease as this server has
 * read it, and withdrawn when no claim follows.
 */
export function handOverAnnounced(
  state: DiskSetState,
  from: Incarnation,
  epoch: number,
  context: Context,
): DiskSetState {
  const { role, seen } = state;
  if (role.name !== 'observer' || seen?.record.holder !== from || seen.record.epoch !== epoch) return state;
  gate('openGate', state.home, epoch + 1, context);
  const { timing } = context.identity;
  return {
    ...state,
    announced: { epoch: epoch + 1, until: context.now + 2 * timing.leaseMs + silenceMs(timing) },
  };
}

function forgetAnnouncement(state: DiskSetState, context: Context): DiskSetState {
  const { announced } = state;
  if (announced === null || context.now < announced.until) return state;
  gate('withdrawGate', state.home, announced.epoch, context);
  return { ...state, announced: null };
}

/** Only at the epoch that is meant: a later owner knows nothing of it. */
function standStill(state: DiskSetState, context: Context): DiskSetState {
  const { role, home, standstill } = state;
  const wanted = state.seen?.record.standstill;
  if (wanted === undefined || role.name !== 'holder' || role.epoch !== wanted.epoch) return state;
  if (role.port === 'opening') return state;
  const { id, msMax, over } = wanted;
  const begun = standstill?.id === id;
  if (over === (begun ? standstill.over : true)) return state;
  context.emit(over ? { kind: 'thawDiskSet', home, id } : { kind: 'freezeDiskSet', home, id, msMax });
  return { ...state, standstill: { id, over } };
}

// ------------------------------------------------------------------------------------ requests of people

/** Only the holder can act on a request, and only with its port open; others say so, or leave it to it. */
function request(state: DiskSetState, asked: TransferRequest, context: Context): DiskSetState {
  const { identity } = context;
  const { role, home } = state;
  const handled = { ...state, handledRequest: asked.id };
  if (role.name !== 'holder') {
    // What waits for an administrator, and what only an administrator can decide, is decided here and not by the owner.
    const mine = wantedOwner(home, asked, context) === identity.server;
    if (
      mine &&
      state.seen !== null &&
      ((asked.force === true && asked.reason !== '') || state.detected !== null)
    ) {
      const about = asked.about ?? partiesOf(state.seen.record);
      return { ...handled, local: asked, asked: { id: asked.id, since: context.now, about } };
    }
    const owner = state.seen?.record.holder ?? null;
    const message =
      owner === null
        ? `nobody owns ${home} now`
        : `${identity.server} does not own ${home}; ask ${serverOf(owner)}`;
    return refuse(handled, asked.id, message, context);
  }
  const wanted = wantedOwner(home, asked, context);
  if (wanted === identity.server) {
    return refuse(handled, asked.id, `${home} is served by ${wanted} already`, context);
  }
  if (role.port !== 'open') {
    const doing = role.port === 'opening' ? 'is being opened' : 'is being handed over already';
    return refuse(handled, asked.id, `${home} ${doing}`, context);
  }
  const override = asked.override ?? [];
  const vetoes = transferVetoes(recipient(home, context)).filter(({ veto }) => !override.includes(veto));
  if (vetoes.length > 0) {
    const message = vetoes.map(({ veto, message: why }) => `${veto}: ${why}`).join('; ');
    return refuse(handled, asked.id, message, context);
  }
  return leave(
    { ...handled, memory: askedFor(state.memory) },
    role,
    { to: wanted, requestId: asked.id, message: asked.reason },
    context,
  );
}

function recipient(home: ServerName, context: Context): Recipient {
  return {
    name: context.identity.partner,
    steady: context.steadyPartner,
    steadySince: context.steadySince,
    cannotServe: context.partnerCannotServe.includes(home),
  };
}

/** The home server is back, and nothing speaks against giving it its disk set back: nobody has to ask. */
function timeToGiveBack(state: DiskSetState, role: Holder, context: Context): boolean {
  const { identity, now } = context;
  const { giveback } = policyOf(identity);
  if (giveback.mode !== 'Automatic' || state.home === identity.server || role.port !== 'open') return false;
  return (
    givebackVetoes(recipient(state.home, context), state.memory, state.seen!.record, giveback, now).length ===
    0
  );
}

/**
 * A request in the Lease asks for a state. It stands there until its answer does, so the new owner may see it before
 * the old one has seen the claim and answered: what it asks for has come true, whoever says so.
 */
function carriedOut(state: DiskSetState, asked: TransferRequest, context: Context): DiskSetState {
  const message = `${context.identity.server} owns ${state.home}`;
  context.emit({ kind: 'requestAnswered', home: state.home, requestId: asked.id, result: 'done', message });
  return { ...state, handledRequest: asked.id };
}

function wantedOwner(
  home: ServerName,
  asked: TransferRequest,
  context: Pick<Context, 'identity'>,
): ServerName {
  return asked.kind === 'giveback' ? home : otherServer(home, context.identity);
}

function otherServer(name: ServerName, identity: PairIdentity): ServerName {
  return name === identity.server ? identity.partner : identity.server;
}

function refuse(state: DiskSetState, requestId: string, message: string, context: Context): DiskSetState {
  context.emit({ kind: 'requestAnswered', home: state.home, requestId, result: 'refused', message });
  return state;
}

function answerAwaiting(state: DiskSetState, holder: Incarnation, context: Context): DiskSetState {
  const { requestId, to } = state.awaiting!;
  const owner = serverOf(holder);
  const message =
    owner === to ? `${to} owns ${state.home}` : `${to} did not take ${state.home}; ${owner} owns it`;
  context.emit({
    kind: 'requestAnswered',
    home: state.home,
    requestId,
    result: owner === to ? 'done' : 'refused',
    message,
  });
  return { ...state, awaiting: null };
}

/** Nobody waits for the answer any longer, so nobody watches over what is done on that word. */
function endRequest(state: DiskSetState, context: Context): DiskSetState {
  const { local, asked } = state;
  if (local === null || asked === null || context.now < asked.since + REQUEST_MS) return state;
  refuse(state, local.id, `not finished within ${REQUEST_MS} ms`, context);
  return { ...state, local: null, asked: null };
}

/** Begins a planned hand-over: finish what runs, then release. The right goes on being renewed meanwhile. The port is open. */
function leave(state: DiskSetState, role: Holder, leaving: Leaving, context: Context): DiskSetState {
  const { home } = state;
  trace(state, { name: 'quiescing', epoch: role.epoch, to: leaving.to, message: leaving.message }, context);
  if (leaving.to !== null) {
    const message = { kind: 'handingOver' as const, home, epoch: role.epoch };
    for (const to of context.connected) context.emit({ kind: 'send', to, message });
  }
  close(home, role.epoch, 'quiesce', context);
  return { ...state, role: { ...role, port: 'quiescing', leaving, quiescedAt: context.now } };
}

// ------------------------------------------------------------------------------------ the passing of time

/** What has to be done now, whatever input came: every branch sends at most one request to the witness. */
function advance(state: DiskSetState, context: Context): DiskSetState {
  const present = endRequest(forgetAnnouncement(state, context), context);
  const { role } = present;
  const guarded = standStill(
    role.name === 'holder' ? enforceRight(present, role, context) : present,
    context,
  );
  if (guarded.lookup || guarded.seen === null) return heedStop(lookUp(guarded, context), context);
  switch (guarded.role.name) {
    case 'observer':
      return advanceObserver(guarded, context);
    case 'claiming':
      return guarded.role.write === null ? claimAgain(guarded, guarded.role, context) : guarded;
    case 'holder':
      return advanceHolder(guarded, guarded.role, context);
    case 'releasing':
      return advanceReleasing(guarded, guarded.role, context);
    case 'regaining':
    case 'fencing':
      return guarded;
  }
}

/** R2: the right is over when its time is over, whatever else is under way. */
function enforceRight(state: DiskSetState, role: Holder, context: Context): DiskSetState {
  const { timing } = context.identity;
  if (context.now >= rightUntil(role.confirmedAt, timing)) {
    const message = `no confirmation for ${Math.round(context.now - role.confirmedAt)} ms (lease ${timing.leaseMs} ms)`;
    return fence(state, role, role.leaving, message, context);
  }
  if (role.port === 'quiescing' && context.now - role.quiescedAt > timing.leaseMs * 2) {
    return fence(
      state,
      role,
      role.leaving,
      `${state.home} could not be quiesced in ${timing.leaseMs * 2} ms`,
      context,
    );
  }
  return state;
}

function lookUp(state: DiskSetState, context: Context): DiskSetState {
  if (state.readSince !== null || context.now < state.notBefore) return state;
  context.emit({ kind: 'readLease', home: state.home });
  return { ...state, readSince: context.now, readOvertaken: false };
}

function advanceObserver(state: DiskSetState, context: Context): DiskSetState {
  const seen = state.seen!;
  if (context.stopping || context.now < state.notBefore || context.now < state.cannotServeUntil) return state;
  if (context.now < holderComesFirstUntil(state, context)) return state;
  // R6: to try again and again would only wear the verdict down, an epoch each time.
  if (state.ahead !== null && forcedBy(state, context) === null) return state;
  if (seen.record.holder === context.identity.me) return regain(state, seen, context);
  const verdict = mayClaim(claimView(state, context), context.now);
  if (verdict.kind !== 'now') return state;
  const waitsFor = waitsForPerson(state, verdict, context);
  if (waitsFor !== null) {
    if (state.detected === verdict.cause) return state;
    const message = `${verdict.message}; ${waitsFor}`;
    trace(state, { name: 'deferred', cause: verdict.cause, message }, context);
    return { ...state, detected: verdict.cause };
  }
  if (state.detected !== verdict.cause) {
    trace(state, { name: 'detected', cause: verdict.cause, message: verdict.message }, context);
  }
  return claim({ ...state, detected: verdict.cause }, seen, verdict.cause, context);
}

/** Null: the claim needs nobody, or somebody has asked for it. */
function waitsForPerson(
  state: DiskSetState,
  verdict: Extract<ClaimVerdict, { kind: 'now' | 'wait' }>,
  context: Pick<Context, 'identity'>,
): string | null {
  const { identity } = context;
  const { record } = state.seen!;
  const asked = state.local ?? record.request;
  if (asked !== null && wantedOwner(state.home, asked, context) === identity.server) return null;
  return whyNotByItself(identity, state.home, record, verdict.cause, state.memory.gave?.epoch ?? null);
}

/**
 * A forced request, if it is this server that shall own the disk set. It is an administrator's confirmation about one acknowledger of one
 * holder at one epoch: it counts for no other, who may be alive.
 */
function forcedBy(state: DiskSetState, context: Pick<Context, 'identity'>) {
  const asked = state.local ?? state.seen?.record.request ?? null;
  if (asked === null || asked.force !== true || state.asked?.id !== asked.id) return null;
  if (!sameParties(state.asked.about, state.seen!.record)) return null;
  if (wantedOwner(state.home, asked, context) !== context.identity.server) return null;
  return { since: state.asked.since, reason: asked.reason };
}

export function claimView(state: DiskSetState, context: Pick<Context, 'identity' | 'dead' | 'connected'>) {
  return {
    identity: context.identity,
    home: state.home,
    seen: state.seen!,
    unchangedSince: state.unchangedSince,
    asFound: state.asFound,
    acknowledgedAt: state.acknowledgedAt,
    dead: context.dead,
    partnerThere: context.connected.length > 0,
    forced: forcedBy(state, context),
  };
}

function claim(
  state: DiskSetState,
  seen: LeaseSighting,
  cause: TransitionCause,
  context: Context,
): DiskSetState {
  const above = Math.max(seen.record.epoch, state.ahead?.epoch ?? 0);
  const ownership = claimed(
    { ...seen.record, epoch: above },
    context.identity.me,
    context.steadyPartner,
    silenceMs(context.identity.timing),
  );
  const { epoch } = ownership;
  trace(state, { name: 'claiming', epoch, cause }, context);
  gate('openGate', state.home, epoch, context);
  context.emit({ kind: 'prepareDiskSet', home: state.home, epoch });
  return {
    ...send(state, seen, ownership, context, (write) => ({
      name: 'claiming',
      write,
      against: seen,
      epoch,
      cause,
    })),
    announced: null,
  };
}

/**
 * The outcome of the last try is unknown and the ownership has not changed: that try may still take effect.
 * Nothing was acknowledged since, so the claim is as legitimate as it was; only repeating it brings a state
 * in which its outcome is known.
 */
function claimAgain(
  state: DiskSetState,
  role: Extract<Role, { name: 'claiming' }>,
  context: Context,
): DiskSetState {
  if (!sameOwnership(role.against.record, state.seen!.record)) {
    // The state that the claim was made against is gone, so it is decided: it lost, unless it is ours now.
    return claimLost(state, role, `the Lease of ${state.home} has changed`, context);
  }
  if (context.now < state.notBefore) return state;
  return claim(state, state.seen!, role.cause, context);
}

function claimLost(
  state: DiskSetState,
  role: Extract<Role, { name: 'claiming' }>,
  message: string,
  context: Context,
): DiskSetState {
  trace(state, { name: 'claimLost', message }, context);
  gate('withdrawGate', state.home, role.epoch, context);
  context.emit({ kind: 'prepareDiskSet', home: state.home, epoch: null });
  return { ...state, role: { name: 'observer' } };
}

/** The Lease names this process, which does not serve: it fenced itself, or a claim was late. Solo first. */
function regain(state: DiskSetState, seen: LeaseSighting, context: Context): DiskSetState {
  return send(state, seen, renewed(seen.record, null), context, (write) => ({ name: 'regaining', write }));
}

/** A planned stop begins also while the witness does not answer: what runs is finished, and only the release waits. */
function heedStop(state: DiskSetState, context: Context): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder' || !context.stopping || role.leaving !== null) return state;
  const leaving = stopping(state, context);
  return role.port === 'open'
    ? leave(state, role, leaving, context)
    : fence(state, role, leaving, leaving.message, context);
}

function advanceHolder(state: DiskSetState, role: Holder, context: Context): DiskSetState {
  if (context.stopping && role.leaving === null) return heedStop(state, context);
  const asked = state.seen!.record.request;
  if (asked !== null && asked.id !== state.handledRequest && role.port === 'open') {
    return wantedOwner(state.home, asked, context) === context.identity.server
      ? carriedOut(state, asked, context)
      : request(state, asked, context);
  }
  if (timeToGiveBack(state, role, context)) {
    const message = `${state.home} is back: automatic giveback`;
    return leave(state, role, { to: state.home, requestId: null, message, automatic: true }, context);
  }
  if (role.write !== null || context.now < state.notBefore) return state;
  const acknowledger = wantedAcknowledger(role, context);
  const lost = state.wentBack !== null;
  if (acknowledger === role.accepts && role.doubt !== null && !lost)
    return { ...state, role: { ...role, doubt: null } };
  const { timing } = context.identity;
  const due =
    lost ||
    acknowledger !== role.accepts ||
    (role.accepts === null && context.now - role.writtenAt >= renewEveryMs(timing));
  if (!due) return state;
  if (role.accepts !== null && role.doubt !== 'answered' && !lost) {
    // Read before leaping: from the write on nobody's acknowledgements count, and without the witness it brings nothing.
    return lookUp({ ...state, role: { ...role, doubt: 'asking' } }, context);
  }
  if (role.accepts !== null && acknowledger === null) {
    trace(
      state,
      { name: 'solo', epoch: role.epoch, message: `${role.accepts} does not acknowledge` },
      context,
    );
  }
  const seen = state.seen!;
  const droppedAt = role.accepts === null || acknowledger === role.accepts ? role.droppedAt : context.now;
  return send(state, seen, renewed(seen.record, acknowledger), context, (write) => ({
    ...role,
    accepts: null,
    write,
    droppedAt,
  }));
}

/** Whom the Lease should name: the one that acknowledges well; else solo; a steady partner when solo. */
function wantedAcknowledger(role: Holder, context: Context): Incarnation | null {
  const { accepts } = role;
  if (accepts === null) {
    const tooSoon = context.now - role.droppedAt < context.identity.timing.leaseMs;
    return tooSoon ? null : context.steadyPartner;
  }
  // Without a connection no acknowledgement can come: the API is asked with the whole right still left.
  const there = context.connected.includes(accepts);
  const silent = context.now - role.confirmedAt >= soloAfterMs(context.identity.timing);
  if (!there || silent) return null;
  // Whoever is cut off from the witness could not follow, and nobody else may. Many notice it late: so a successor comes first too.
  const { steadyPartner, cutOff } = context;
  if (steadyPartner === null || steadyPartner === accepts) return accepts;
  const isCutOff = cutOff.includes(accepts);
  const better =
    cutOff.includes(steadyPartner) === isCutOff ? startedLater(steadyPartner, accepts) : isCutOff;
  return better ? steadyPartner : accepts;
}

function advanceReleasing(
  state: DiskSetState,
  role: Extract<Role, { name: 'releasing' }>,
  context: Context,
): DiskSetState {
  const seen = state.seen!;
  if (seen.record.holder !== context.identity.me || seen.record.epoch !== role.epoch) {
    // Released by a try whose outcome was unknown, or claimed by someone: either way it is not ours.
    return gone(state, role, context);
  }
  if (role.write !== null || context.now < state.notBefore) return state;
  // Whoever stops claims nothing: then home claims when it is back, and nobody waits for the one that is named.
  const to = context.partnerStops ? null : role.leaving.to;
  const leaving = { ...role.leaving, to };
  return send(state, seen, released(seen.record, to, state.ahead), context, (write) => ({
    ...role,
    leaving,
    write,
  }));
}

function send(
  state: DiskSetState,
  seen: LeaseSighting,
  ownership: LeaseOwnership,
  context: Context,
  role: (write: PendingWrite) => Role,
): DiskSetState {
  const token = context.nextToken();
  context.emit({ kind: 'writeLease', home: state.home, token, version: seen.version, ownership });
  const writesUnderWay = state.writesUnderWay + 1;
  return { ...state, writesUnderWay, role: role({ token, sentAt: context.now }) };
}

function trace(state: DiskSetState, event: TraceEvent, context: Context): void {
  context.emit({ kind: 'trace', home: state.home, event });
}

// ---------------------------------------------------------------------------------------------- wake-up

/** The earliest time at which `advance` could do something; Infinity if only an input can. */
export function nextWakeOfDiskSet(state: DiskSetState, context: Omit<Context, 'emit' | 'nextToken'>): number {
  const { announced, local, asked } = state;
  const forgotten = announced?.until ?? Number.POSITIVE_INFINITY;
  const ended = local !== null && asked !== null ? asked.since + REQUEST_MS : Number.POSITIVE_INFINITY;
  return Math.min(forgotten, ended, nextWakeOfRole(state, context));
}

function nextWakeOfRole(state: DiskSetState, context: Omit<Context, 'emit' | 'nextToken'>): number {
  const { timing } = context.identity;
  const { role } = state;
  if (role.name === 'holder') {
    const until = rightUntil(role.confirmedAt, timing);
    if (role.write !== null || state.readSince !== null) return until;
    if (role.doubt !== null || state.lookup || state.wentBack !== null)
      return Math.min(until, state.notBefore);
    return Math.min(until, Math.max(dueAt(role, context), state.notBefore));
  }
  if (state.readSince !== null) return Number.POSITIVE_INFINITY;
  if (state.lookup || state.seen === null) return state.notBefore;
  if ('write' in role && role.write !== null) return Number.POSITIVE_INFINITY;
  // The data path has to say something first.
  if (role.name === 'fencing' || role.name === 'regaining') return Number.POSITIVE_INFINITY;
  if (role.name !== 'observer') return state.notBefore;
  // Who stops claims nothing.
  if (context.stopping) return Number.POSITIVE_INFINITY;
  if (state.ahead !== null && forcedBy(state, context) === null) return Number.POSITIVE_INFINITY;
  const first = Math.max(state.notBefore, state.cannotServeUntil, holderComesFirstUntil(state, context));
  if (state.seen.record.holder === context.identity.me) return first;
  const verdict = mayClaim(claimView(state, context), context.now);
  // What waits for an administrator is woken by the request.
  if (
    verdict.kind !== 'no' &&
    waitsForPerson(state, verdict, context) !== null &&
    state.detected === verdict.cause
  ) {
    return Number.POSITIVE_INFINITY;
  }
  const at =
    verdict.kind === 'wait' ? verdict.until : verdict.kind === 'now' ? context.now : Number.POSITIVE_INFINITY;
  return Math.max(at, first);
}

/** When a holder that waits for nothing writes the Lease again, or doubts its acknowledger. */
function dueAt(role: Holder, { identity, connected }: Pick<Context, 'identity' | 'connected'>): number {
  if (role.accepts === null) return role.writtenAt + renewEveryMs(identity.timing);
  return connected.includes(role.accepts)
    ? role.confirmedAt + soloAfterMs(identity.timing)
    : Number.NEGATIVE_INFINITY;
}
