/**
 * Why the disks of a disk set have to stay where they are (storage type Reattach). A move would take the last pod from a claim
 * that is being deleted, nothing keeps two nodes from a volume, or the class does not allow the pair.
 */

import type { Reason } from '../../crds/pair/reasons.ts';
import type { ServerView } from '../model/view.ts';
import { accepted } from './accepted.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsBeingDeleted } from './claim-being-deleted.ts';
import { MISFITS, misfit } from './claims-fit.ts';

// A disk set without its disks serves nobody, so then its owner is not changed either: not by itself (the servers read it from
// their Leases as maintenance), and not for an administrator.

export interface DisksHeld {
  /** As in a condition. */
  readonly reason: Reason;
  /** For the Lease: the same as long as the cause is. */
  readonly why: string;
}

/** null: they may move, or need not. */
export const disksHeld = question((view: Assessment, home: ServerView): DisksHeld | null => {
  if (view.effective.storageType !== 'Reattach') return null;
  const [deleted] = claimsBeingDeleted(home);
  if (deleted !== undefined) return { reason: 'ClaimBeingDeleted', why: beingDeleted(deleted) };
  const { status, reason } = accepted(view);
  if (status !== 'True') return { reason, why: NOT_ACCEPTED };
  // Either disk set will do: attachment pods are made for both, or for none.
  const found = misfit(view);
  return found === null ? null : { reason: found.reason, why: unfit(found.claim, found.reason) };
});

/** Whether a reason on a Lease of this pair is one of {@link disksHeld}. */
export const isDisksHeld = (view: Assessment, why: string): boolean =>
  why === NOT_ACCEPTED ||
  view.servers
    .flatMap(({ claims }) => claims)
    .some(
      ({ name: claim }) =>
        why === beingDeleted(claim) || MISFITS.some((reason) => why === unfit(claim, reason)),
    );

/** The operator moves nothing then. */
const NOT_ACCEPTED = 'the FilerPair is not accepted';

const beingDeleted = (claim: string): string => `PersistentVolumeClaim ${claim} is being deleted`;

const unfit = (claim: string, reason: string): string =>
  `PersistentVolumeClaim ${claim} does not fit the storage type (${reason})`;
