/**
 * Servers that are to be out of service: spec.maintenance.drain. It is desired state: as long as a server is listed, its
 * partner serves its disk set. The servers keep it there (a note on the Lease); the operator asks for the takeover, again and
 * again if need be.
 */

import type { RequestAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { disksHeld } from './disks-held.ts';

export interface DrainFinding {
  readonly home: ServerView;
  readonly state: 'Drained' | 'Draining' | 'Held';
  /** A sentence. */
  readonly message: string;
  /** To be put on the Lease now; null: nothing is. */
  readonly request: RequestAnnotation | null;
  /** When time alone goes on with it, ms since the epoch. */
  readonly wakeAt: number | null;
}

/** A refused request is repeated after at most this long, ms. */
const RETRY_MS = 30_000;

export const isDrained = (view: Assessment, server: string): boolean =>
  view.effective.maintenance?.drain?.includes(server) === true;

export const drains = question((view: Assessment): DrainFinding[] =>
  view.servers.filter(({ name }) => isDrained(view, name)).map((home) => findingFor(view, home)),
);

function findingFor(view: Assessment, home: ServerView): DrainFinding {
  const { name, partner, lease } = home;
  const found = (
    state: DrainFinding['state'],
    message: string,
    request: RequestAnnotation | null = null,
    wakeAt: number | null = null,
  ): DrainFinding => ({ home, state, message, request, wakeAt });
  if (lease === null || lease.holder === null)
    return found(
      'Draining',
      `Nobody owns the disk set of ${name}; ${partner} takes it over when ${name} has it.`,
    );
  if (lease.holderServer === partner) return found('Drained', `${partner} serves the disk set of ${name}.`);
  const held = disksHeld(view, home);
  if (held !== null) return found('Held', `The disk set of ${name} stays with ${name}: ${held.why}.`);
  const { request, requestResult, epoch } = lease;
  const pending = request !== null && requestResult?.id !== request.id;
  if (pending) return found('Draining', `${partner} is asked to take over the disk set of ${name}.`);
  // Another id after a while: the same one would be answered as before.
  const attempt = Math.floor(view.now / RETRY_MS);
  const id = `drain-${name}-${epoch}-${attempt}`;
  const last = requestResult?.id.startsWith(`drain-${name}-${epoch}-`) === true ? requestResult : null;
  if (last?.id === id)
    return found(
      'Draining',
      `The takeover of the disk set of ${name} was refused: ${last.message} It is asked for again.`,
      null,
      (attempt + 1) * RETRY_MS,
    );
  const reason = view.effective.maintenance?.reason ?? 'maintenance';
  return found('Draining', `${partner} is asked to take over the disk set of ${name}.`, {
    id,
    kind: 'takeover',
    reason: `${name} is drained: ${reason}`,
  });
}
