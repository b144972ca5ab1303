/** The life of one disk set as one server sees it. Pure: (state, input, context) -> state, effects. */
import { carriedOut, endRequest, wantedOwner } from './disk-set/answers.ts';
import { advanceObserver, claimAgain, forgetAnnouncement } from './disk-set/claiming.ts';
import { leaseRead, leaseWritten, see } from './disk-set/lease-news.ts';
import { request, timeToGiveBack } from './disk-set/requests.ts';
import {
  changesEnded,
  diskSetClosed,
  diskSetOpened,
  diskSetOpenFailed,
  enforceLease,
  fault,
  fence,
  freezeOrThaw,
  gone,
  leave,
  stopping,
  volumeStalled,
} from './disk-set/serving.ts';
import { type Context, type DiskSetState, type Holder, type Role, send, trace } from './disk-set/state.ts';
import { type Incarnation, startedLater } from './incarnation.ts';
import { released, renewed } from './lease.ts';
import { renewEveryMs, soloAfterMs } from './serving-lease.ts';
import type { Input } from './types.ts';

//                 claim applied                     right ran out, fault, Lease lost
//    observer --> claiming --> holder ------------------------------> fencing --> observer
//       |                        |  leaving (stop, giveback)                        ^
//       |  Lease still names me  v                                                  |
//       +--> regaining -----> holder(quiescing) --> releasing ----------------------+
//
// Where safety lives:
//  - `leaseUntil` only ever comes from a write that was *applied* or from an acknowledgement by `accepts`,
//    each dated by when its request was sent (R1).
//  - `accepts` is null from before a write of ours is sent until one is applied that names an acknowledger:
//    a write with unknown outcome may still take effect, so nothing that contradicts it may count. Only a write that was
//    surely not executed leaves it what it was, if no unknown one came before it.
//  - while `claiming` nothing is acknowledged (see `acknowledge` in server.ts), and a claim with unknown outcome is
//    repeated until the version it was made against is gone: only then its outcome is known (R3).
//  - after the lease is cut nothing is served again before the data path has reported that it is closed.

/**
 * One input that concerns this disk set, followed by whatever the passing of time demands.
 *
 * The outcome of a write comes before news of what was written after it: the partner may see a release and claim before
 * the witness has answered this server. So news waits until no write is under way; no lease depends on it.
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

/** Does the next step, whatever input came: every branch sends at most one request to the witness. */
function advance(state: DiskSetState, context: Context): DiskSetState {
  const present = endRequest(forgetAnnouncement(state, context), context);
  const { role } = present;
  const guarded = freezeOrThaw(
    role.name === 'holder' ? enforceLease(present, role, context) : present,
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

function lookUp(state: DiskSetState, context: Context): DiskSetState {
  if (state.readSince !== null || context.now < state.notBefore) return state;
  context.emit({ kind: 'readLease', home: state.home });
  return { ...state, readSince: context.now, readOvertaken: false };
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
  // Without a connection no acknowledgement can come: the API is asked with the whole lease still left.
  const there = context.connected.includes(accepts);
  const silent = context.now - role.confirmedAt >= soloAfterMs(context.identity.timing);
  if (!there || silent) return null;
  // A server that is cut off from the witness could not follow, and no other one may. Many notice it late: so a successor comes
  // first too.
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
  // A server that stops claims nothing: then home claims when it is back, and nobody waits for the one that is named.
  const to = context.partnerStops ? null : role.leaving.to;
  const leaving = { ...role.leaving, to };
  return send(state, seen, released(seen.record, to, state.ahead), context, (write) => ({
    ...role,
    leaving,
    write,
  }));
}
