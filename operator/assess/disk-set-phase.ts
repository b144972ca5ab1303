/** In which phase of its life a disk set is, as far as its Lease and its owner's pod tell. */

import { deathProof } from '../model/death-proof.ts';
import { podOfIncarnation, type ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { diskLocation } from './disk-location.ts';
import { ownerLife } from './owner-life.ts';

export const DiskSetPhase = {
  /** No Lease was seen. */
  Unknown: 'Unknown',
  NeverOwned: 'NeverOwned',
  /** Its last owner gave it up; nobody has claimed it since. */
  Released: 'Released',
  /** The owner is known to be dead. */
  OwnerDead: 'OwnerDead',
  /** Owned; the owner has not said yet that it serves. */
  Opening: 'Opening',
  /** Owned, and nobody can tell whether the owner still serves: its pod is gone, or its node does not report. */
  OwnerLost: 'OwnerLost',
  Serving: 'Serving',
} as const;
export type DiskSetPhase = (typeof DiskSetPhase)[keyof typeof DiskSetPhase];

/** First finding wins. */
export const diskSetPhase = question((view: Assessment, home: ServerView): DiskSetPhase => {
  const { lease } = home;
  if (lease === null) return 'Unknown';
  if (lease.holder === null) return lease.epoch === 0 ? 'NeverOwned' : 'Released';
  const { deathProof: told } = lease;
  if (told?.incarnation === lease.holder && told.epoch === lease.epoch) return 'OwnerDead';
  if (deathProof(lease, view.observed.pods) !== null) return 'OwnerDead';
  const life = ownerLife(view, home);
  if (life === 'gone' || life === 'unreachable') return 'OwnerLost';
  if (life === 'restarting') return 'Opening';
  if (lease.lastTransition?.epoch === lease.epoch || lease.secondaryPortOpen === lease.epoch)
    return 'Serving';
  const disks = diskLocation(view, home);
  // A pod's readiness comes later than an owner's wait for its disks begins; and a partner is ready for its own disk set:
  // whether it has this one already is only what it says itself.
  if (disks !== null && (disks.state !== 'Attached' || lease.holderServer !== home.name)) return 'Opening';
  const owner = podOfIncarnation(view, lease.holderServer, lease.holderPodUid);
  // A later run in the same pod owns it without a transition to tell of: ready is what it says instead.
  return owner?.state === 'Running' ? 'Serving' : 'Opening';
});
