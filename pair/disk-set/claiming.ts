/** Claims a disk set that this server does not hold, and regains one whose Lease still names it. */
import { mayClaim, silenceBeforeClaimMs } from '../claim.ts';
import type { Incarnation } from '../incarnation.ts';
import { claimed, type LeaseSighting, renewed, sameOwnership } from '../lease.ts';
import { silenceMs } from '../serving-lease.ts';
import type { TransitionCause } from '../types.ts';
import { forcedBy, waitsForRequest } from './answers.ts';
import { type Context, type DiskSetState, gate, type Role, send, trace } from './state.ts';

/** Before this time a server that holds nothing neither claims nor regains. */
export function holderComesFirstUntil(state: DiskSetState, { identity }: Pick<Context, 'identity'>): number {
  if (state.wentBack === null) return Number.NEGATIVE_INFINITY;
  return state.wentBack.since + silenceBeforeClaimMs(identity.timing, state.seen!.record);
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

/** Withdraws the gate that an announced hand-over opened, when no claim has followed in its time. */
export function forgetAnnouncement(state: DiskSetState, context: Context): DiskSetState {
  const { announced } = state;
  if (announced === null || context.now < announced.until) return state;
  gate('withdrawGate', state.home, announced.epoch, context);
  return { ...state, announced: null };
}

/** Claims or regains, if the rules, the policy and the pace of retries allow it now. `state.seen` is not null. */
export function advanceObserver(state: DiskSetState, context: Context): DiskSetState {
  const seen = state.seen!;
  if (context.stopping || context.now < state.notBefore || context.now < state.cannotServeUntil) return state;
  if (context.now < holderComesFirstUntil(state, context)) return state;
  // R6: to try again and again would only wear the verdict down, an epoch each time.
  if (state.ahead !== null && forcedBy(state, context) === null) return state;
  if (seen.record.holder === context.identity.me) return regain(state, seen, context);
  const verdict = mayClaim(claimView(state, context), context.now);
  if (verdict.kind !== 'now') return state;
  const waitsFor = waitsForRequest(state, verdict, context);
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

/** What {@link mayClaim} asks about. `state.seen` is not null. */
export function claimView(state: DiskSetState, context: Pick<Context, 'identity' | 'dead' | 'connected'>) {
  return {
    identity: context.identity,
    home: state.home,
    seen: state.seen!,
    unchangedSince: state.unchangedSince,
    asFound: state.asFound,
    acknowledgedAt: state.acknowledgedAt,
    announced: state.announced?.epoch === state.seen!.record.epoch + 1,
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
export function claimAgain(
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

/** Ends a claim that was not applied: gate withdrawn, prepared volumes discarded. `message` names the cause. */
export function claimLost(
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
