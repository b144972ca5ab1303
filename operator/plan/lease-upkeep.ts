/**
 * Writes of the operator to Leases that exist: proofs of death, requests, and the finalizer's end. Holder, epoch and
 * acknowledger belong to the servers and are never touched; every patch is a compare-and-swap on what was judged.
 */

import { leaseAnnotations, type RequestAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { disksHeld, isDisksHeld } from '../assess/disks-held.ts';
import { drains } from '../assess/drain.ts';
import { type Action, annotated, finalizersSet } from '../model/action.ts';
import { deathProof } from '../model/death-proof.ts';
import type { LeaseView } from '../model/lease-view.ts';
import { LEASE_FINALIZER } from '../model/names.ts';
import type { ServerView } from '../model/view.ts';

/**
 * Stands in front of what ends a pod. A Lease that names the pod itself is that of a dead run; its renewals are over, so
 * there is nothing to confirm.
 */
export function ownedByOthers({ lease }: ServerView, podUid: string): Action[] {
  if (lease === null || lease.holderPodUid === podUid) return [];
  const { namespace = '', name = '' } = lease.object.metadata;
  const { holder, epoch } = lease;
  const why = 'its owner must still be the one that was seen';
  return [{ kind: 'confirm', resource: 'leases', namespace, name, holder, epoch, why }];
}

export function deathProofs(view: Assessment): Action[] {
  return view.servers.flatMap(({ lease }) => {
    if (lease === null) return [];
    const proof = deathProof(lease, view.observed.pods);
    if (proof === null) return [];
    const { deathProof: told } = lease;
    if (told?.incarnation === proof.incarnation && told.epoch === proof.epoch) return [];
    const annotations = { [leaseAnnotations.deathProof]: JSON.stringify(proof) };
    return [
      annotated('leases', lease.object, annotations, `${proof.incarnation} is dead: ${proof.evidence}`),
    ];
  });
}

/** Disk sets of servers that are drained stay where they are, and move there if need be. */
export function drainsMirrored(view: Assessment): Action[] {
  const asked = drains(view);
  return view.servers.flatMap((home) => {
    const { lease } = home;
    const found = asked.find((one) => one.home.name === home.name);
    if (lease === null) return [];
    const wanted = found === undefined ? null : (view.effective.maintenance?.reason ?? '');
    const annotations = { [leaseAnnotations.drain]: wanted };
    const why = found === undefined ? `${home.name} is not drained any more` : `${home.name} is drained`;
    return [
      ...(lease.drain === wanted ? [] : [annotated('leases', lease.object, annotations, why)]),
      // One write at a time: the second would lose its compare-and-swap.
      ...(found?.request == null || lease.drain !== wanted
        ? []
        : [requested(lease, found.request, found.message)]),
    ];
  });
}

/**
 * The servers read from their Leases whether somebody works on the pair, or whether their disks must stay where they are. What
 * the operator did not put there (a server that was told to at its control socket) is left alone.
 */
export function maintenanceMirrored(view: Assessment): Action[] {
  const asked = pausedBecause(view);
  return view.servers.flatMap((home) => {
    const { lease } = home;
    const wanted = asked ?? disksHeld(view, home)?.why ?? null;
    if (lease === null || lease.maintenance === wanted) return [];
    const mine =
      lease.maintenance === null ||
      lease.maintenance.startsWith(FROM_THE_SPEC) ||
      isDisksHeld(view, lease.maintenance);
    if (asked === null && !mine) return [];
    const why = wanted === null ? 'maintenance has ended' : `maintenance: ${wanted}`;
    return [annotated('leases', lease.object, { [leaseAnnotations.maintenance]: wanted }, why)];
  });
}

/** So begins what the operator has put on a Lease. */
const FROM_THE_SPEC = 'spec.maintenance: ';

function pausedBecause(view: Assessment): string | null {
  const { maintenance } = view.effective;
  return maintenance?.automaticMoves === 'Paused' ? `${FROM_THE_SPEC}${maintenance.reason}` : null;
}

/** Asks the servers for something. */
export const requested = ({ object }: LeaseView, request: RequestAnnotation, why: string): Action =>
  annotated('leases', object, { [leaseAnnotations.request]: JSON.stringify(request) }, why);

/** Takes the finalizer off a Lease that is to go. */
export function letLeaseGo(lease: LeaseView, why: string): Action {
  const finalizers = (lease.object.metadata.finalizers ?? []).filter((one) => one !== LEASE_FINALIZER);
  return finalizersSet('leases', lease.object, finalizers, why);
}
