/** When a disk set has something to do although no input comes. */
import { mayClaim } from '../claim.ts';
import { leaseUntil, renewEveryMs, soloAfterMs } from '../serving-lease.ts';
import { forcedBy, waitsForRequest } from './answers.ts';
import { claimView, holderComesFirstUntil } from './claiming.ts';
import { type Context, type DiskSetState, type Holder, REQUEST_MS } from './state.ts';

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
    const until = leaseUntil(role.confirmedAt, timing);
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
  // A server that stops claims nothing.
  if (context.stopping) return Number.POSITIVE_INFINITY;
  if (state.ahead !== null && forcedBy(state, context) === null) return Number.POSITIVE_INFINITY;
  const first = Math.max(state.notBefore, state.cannotServeUntil, holderComesFirstUntil(state, context));
  if (state.seen.record.holder === context.identity.me) return first;
  const verdict = mayClaim(claimView(state, context), context.now);
  // A step that waits for a request is woken by it.
  if (
    verdict.kind !== 'no' &&
    waitsForRequest(state, verdict, context) !== null &&
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
