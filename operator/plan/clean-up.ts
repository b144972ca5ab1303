/**
 * A pair that is deleted goes in order. First go its pods, so that the servers can still release what they own (they need their
 * rights, Services and Leases for that). Then the last epoch goes onto the claims, which stay, because they are the data,
 * unless the spec says Delete of them.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { claimsToDelete } from '../assess/claims-to-delete.ts';
import { type Action, deletion, finalizersSet, inSequence, patchOf } from '../model/action.ts';
import { type LeaseView, viewLease } from '../model/lease-view.ts';
import { LEASE_FINALIZER, PAIR_FINALIZER } from '../model/names.ts';
import type { Claim, FilerPairObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { recordsLetGo } from './disk-set-records.ts';
import { letLeaseGo } from './lease-upkeep.ts';

// Then, when nothing of this is left to do, the FilerPair goes, and with it, by Kubernetes' garbage collector, everything that
// it owned. The Leases go last.

export function cleanUp(observed: Observed): Action[] {
  if (observed.pods.length > 0) return podsDeleted(observed);
  const leases = observed.leases.map(viewLease);
  const deleted = claimsToDelete(observed);
  const claimActions = [
    ...leases.flatMap((lease) => epochRemembered(observed, lease)),
    ...deleted.flatMap(claimDeleted),
  ];
  // The finalizer goes only when the clean-up was seen to be done, not when it was asked for.
  const cleaned = claimActions.length === 0 && deleted.length === 0;
  // A Lease goes last: it is the only other place where the epoch is.
  return inSequence('clean-up', [
    ...claimActions,
    ...(observed.pair === null || !cleaned ? [] : pairLetGo(observed.pair)),
    ...leases
      .filter(
        ({ object }) =>
          object.metadata.deletionTimestamp !== undefined &&
          object.metadata.finalizers?.includes(LEASE_FINALIZER),
      )
      .map((lease) => letLeaseGo(lease, 'no pod of the pair is left, and its claims remember the epoch')),
    ...(cleaned ? recordsLetGo(observed) : []),
  ]);
}

/** Never by force: a pod on a node that is away is waited for, because its server may still write. */
function podsDeleted({ pair, pods }: Observed): Action[] {
  if (pair === null) return [];
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((pod) => deletion('pods', pod, 'the FilerPair is being deleted'));
}

const claimDeleted = (claim: Claim): Action[] =>
  claim.metadata.deletionTimestamp === undefined
    ? [
        deletion(
          'persistentVolumeClaims',
          claim,
          'the pair is deleted, and its spec says whenDeleted: Delete',
        ),
      ]
    : [];

function pairLetGo(pair: FilerPairObject): Action[] {
  const { finalizers } = pair.metadata;
  if (!finalizers?.includes(PAIR_FINALIZER)) return [];
  const left = finalizers.filter((one) => one !== PAIR_FINALIZER);
  return [finalizersSet('filerPairs', pair, left, 'its servers have ended')];
}

/** A FilerPair that does not wait for its clean-up yet. */
export function pairHeld(pair: FilerPairObject): Action[] {
  const { finalizers = [] } = pair.metadata;
  if (finalizers.includes(PAIR_FINALIZER)) return [];
  return [
    finalizersSet('filerPairs', pair, [...finalizers, PAIR_FINALIZER], 'it shall be cleaned up in order'),
  ];
}

function epochRemembered(observed: Observed, lease: LeaseView): Action[] {
  const home = lease.object.metadata.labels?.[labels.diskSet];
  return Object.values(observed.claims).flatMap((claim): Action[] => {
    if (
      typeof claim !== 'object' ||
      claim.metadata.deletionTimestamp !== undefined ||
      home === undefined ||
      // Another pair's, which this one has only named.
      (claim.metadata.labels?.[labels.pair] ?? observed.name) !== observed.name ||
      claim.metadata.labels?.[labels.diskSet] !== home
    )
      return [];
    const wanted = { [labels.epoch]: String(lease.epoch), [labels.owner]: '' };
    const known = claim.metadata.labels;
    if (known[labels.epoch] === wanted[labels.epoch] && known[labels.owner] === '') return [];
    const patch = { metadata: { labels: wanted } };
    return [patchOf('persistentVolumeClaims', claim, patch, 'the pair is gone')];
  });
}
