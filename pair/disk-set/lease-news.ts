/** News of its Lease that reach a disk set: by a watch, a read, or the outcome of its own write. */

import { serverOf } from '../incarnation.ts';
import {
  type LeaseOwnership,
  type LeaseSighting,
  notOlder,
  sameOwnership,
  volumesAheadOf,
} from '../lease.ts';
import { retryAfterMs } from '../serving-lease.ts';
import { movedOn } from '../transfer-policy.ts';
import type { Input } from '../types.ts';
import { answerAwaiting, partiesOf } from './answers.ts';
import { claimLost } from './claiming.ts';
import { becomeHolder, confirmWrite, fence, gone } from './serving.ts';
import { type Context, type DiskSetState, type PendingWrite, type Role, trace } from './state.ts';

/** News of the Lease, from a watch, a read or a write. Of what looks older than what we have, only a read is believed. */
export function see(
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
 * The witness has lost writes that this process had seen. What the process knows of the ownership stays true for it. The
 * server that may write it again does so against the version that the witness has now, so no other write has come since. A server
 * that holds nothing first gives the holder the time for that.
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
  context.emit({ kind: 'witnessWentBack', home: state.home, epoch, message });
  const { role } = lastly;
  return {
    ...(role.name === 'claiming' ? claimLost(lastly, role, message, context) : lastly),
    wentBack: { since: context.now, found: sighting.record },
    unchangedSince: context.now,
  };
}

function askedSince(state: DiskSetState, { record }: LeaseSighting, context: Context): DiskSetState['asked'] {
  if (record.request === null) return null;
  const { id } = record.request;
  if (state.asked?.id === id) return state.asked;
  return { id, since: context.now, about: record.request.about ?? partiesOf(record) };
}

function ownershipChanged(state: DiskSetState, context: Context): DiskSetState {
  const { role } = state;
  const record = state.seen!.record;
  const onHomeServer = record.holder !== null && serverOf(record.holder) === state.home;
  let next: DiskSetState = { ...state, detected: null, memory: movedOn(state.memory, onHomeServer) };
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

/** The witness has answered a read, or has not (`unknown`): then the next read waits. */
export function leaseRead(
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

/**
 * A write of the Lease has an outcome. After `unknown` nothing is assumed: a read comes before any other write (R8).
 *
 * @param token of the write
 */
export function leaseWritten(
  state: DiskSetState,
  token: number,
  outcome: Extract<Input, { kind: 'leaseWritten' }>['outcome'],
  context: Context,
): DiskSetState {
  const { role } = state;
  const write = 'write' in role ? role.write : null;
  if (write === null || write.token !== token) {
    // A write that this state has given up (the lease ran out meanwhile): its news is still news.
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
