// What is left to do for a pair that is deleted: Kubernetes' garbage collector removes what the FilerPair owned; the
// claims stay, because they are the data; the Leases wait for us, so that no server loses its witness while it runs
// and the last epoch is on the claims before the Lease forgets it.

import { labels } from '../../kubernetes/words.ts';
import type { Observed } from '../observe/observed.ts';
import { letLeaseGo } from './lease-upkeep.ts';
import { type LeaseView, viewLease } from './lease-view.ts';
import { leaseFinalizer } from './names.ts';
import type { Action } from './plan.ts';

/** Leases that are being deleted, of a pair of which no pod is left. */
export function cleanUp(observed: Observed): Action[] {
  if (observed.pods.length > 0) return [];
  return observed.leases
    .filter(
      ({ metadata }) =>
        metadata.deletionTimestamp !== undefined && metadata.finalizers?.includes(leaseFinalizer),
    )
    .map(viewLease)
    .flatMap((lease) => [
      ...epochRemembered(observed, lease),
      letLeaseGo(lease, 'no pod of the pair is left, and its claims remember the epoch'),
    ]);
}

function epochRemembered(observed: Observed, lease: LeaseView): Action[] {
  const home = lease.object.metadata.labels?.[labels.home];
  return Object.values(observed.claims).flatMap((claim): Action[] => {
    if (typeof claim !== 'object' || home === undefined || claim.metadata.labels?.[labels.home] !== home)
      return [];
    const wanted = { [labels.epoch]: String(lease.epoch), [labels.owner]: '' };
    const known = claim.metadata.labels;
    if (known[labels.epoch] === wanted[labels.epoch] && known[labels.owner] === '') return [];
    const { namespace = '', name = '' } = claim.metadata;
    const patch = { metadata: { labels: wanted } };
    return [
      { kind: 'patch', resource: 'persistentVolumeClaims', namespace, name, patch, why: 'the pair is gone' },
    ];
  });
}
