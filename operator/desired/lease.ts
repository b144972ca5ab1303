/** The Lease of one disk set as the operator makes it: without a holder. From then on it belongs to the servers. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { recordOf } from '../model/disk-set-record.ts';
import { LEASE_FINALIZER, leaseName } from '../model/names.ts';
import type { Claim } from '../model/objects.ts';
import type { ServerView, View } from '../model/view.ts';
import { ownerReference, pairLabels } from './owned.ts';

export function newLease(view: View, home: ServerView): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: leaseName(view.observed.name, home.name),
      namespace: view.observed.namespace,
      labels: { ...pairLabels(view), [labels.diskSet]: home.name },
      finalizers: [LEASE_FINALIZER],
      ownerReferences: [ownerReference(view)],
    },
    spec: { leaseTransitions: knownEpoch(view, home) },
  };
}

/**
 * The last epoch that is known, apart from the Lease. The record knows it, and claims remember it when a pair is deleted and made again
 * on the same data: the volumes refuse an epoch below the one that they have seen (rule R6).
 */
export function knownEpoch(view: View, home: ServerView): number {
  const fromClaims = home.claims.map(({ object }) => (object === null ? 0 : epochOf(object)));
  return Math.max(recordOf(view.observed, home.name)?.spec.epochFloor ?? 0, ...fromClaims);
}

function epochOf(claim: Claim): number {
  const epoch = Number(claim.metadata.labels?.[labels.epoch] ?? 0);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
}
