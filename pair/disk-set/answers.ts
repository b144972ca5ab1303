/** Requests of administrators: whom they want as the owner, whether one is given now, and what is answered. */
import type { ClaimVerdict } from '../claim.ts';
import { type Incarnation, type ServerName, serverOf } from '../incarnation.ts';
import { type LeaseParties, sameParties, type TransferRequest } from '../lease.ts';
import { whyNotByItself } from '../transfer-policy.ts';
import type { PairIdentity } from '../types.ts';
import { type Context, type DiskSetState, REQUEST_MS } from './state.ts';

export function partiesOf({ holder, epoch, acknowledger }: LeaseParties): LeaseParties {
  return { holder, epoch, acknowledger };
}

/**
 * A request in the Lease asks for a state. It stands there until its answer does, so the new owner may see it before
 * the old one has seen the claim and answered. What it asks for has come true, whichever server says so.
 */
export function carriedOut(state: DiskSetState, asked: TransferRequest, context: Context): DiskSetState {
  const message = `${context.identity.server} owns ${state.home}`;
  context.emit({ kind: 'requestAnswered', home: state.home, requestId: asked.id, result: 'done', message });
  return { ...state, handledRequest: asked.id };
}

/** The server that is to own the disk set when the request is done. */
export function wantedOwner(
  home: ServerName,
  asked: TransferRequest,
  context: Pick<Context, 'identity'>,
): ServerName {
  return asked.kind === 'giveback' ? home : otherServer(home, context.identity);
}

function otherServer(name: ServerName, identity: PairIdentity): ServerName {
  return name === identity.server ? identity.partner : identity.server;
}

/** Answers a request with `refused`. `message`: a sentence for the administrator. */
export function refuse(
  state: DiskSetState,
  requestId: string,
  message: string,
  context: Context,
): DiskSetState {
  context.emit({ kind: 'requestAnswered', home: state.home, requestId, result: 'refused', message });
  return state;
}

/**
 * Answers the request behind a release, once its disk set has a holder: `done` if that is the addressee. `state.awaiting` is not
 * null.
 */
export function answerAwaiting(state: DiskSetState, holder: Incarnation, context: Context): DiskSetState {
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

/** The administrator no longer waits for the answer, so nothing more is done on the request. */
export function endRequest(state: DiskSetState, context: Context): DiskSetState {
  const { local, asked } = state;
  if (local === null || asked === null || context.now < asked.since + REQUEST_MS) return state;
  refuse(state, local.id, `not finished within ${REQUEST_MS} ms`, context);
  return { ...state, local: null, asked: null };
}

/** The condition that the claim waits for; null: it needs no request, or has one. */
export function waitsForRequest(
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
 * A forced request, if it is this server that shall own the disk set. An administrator asserts something about one
 * acknowledger of one holder at one epoch: it counts for no other, which may be alive.
 */
export function forcedBy(state: DiskSetState, context: Pick<Context, 'identity'>) {
  const asked = state.local ?? state.seen?.record.request ?? null;
  if (asked === null || asked.force !== true || state.asked?.id !== asked.id) return null;
  if (!sameParties(state.asked.about, state.seen!.record)) return null;
  if (wantedOwner(state.home, asked, context) !== context.identity.server) return null;
  return { since: state.asked.since, reason: asked.reason };
}
