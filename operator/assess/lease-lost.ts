/**
 * A Lease that vanishes while servers run takes the memory of who owns the disk set with it. Making a new one, without an
 * owner, would let one server claim while another still serves; so none is made as long as a pod of the pair is there. The
 * Leases' finalizer keeps this from happening by an ordinary delete.
 */

import { type ConditionResult, isFalse } from '../model/condition-result.ts';
import { leaseName } from '../model/names.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/** Whether the Lease of this disk set may be made now. */
export const mayCreateLease = (view: Assessment, home: ServerView): boolean =>
  home.lease === null && view.observed.pods.length === 0;

export const leaseLost = question((view: Assessment): ConditionResult | null => {
  const lost = view.servers.find((home) => home.lease === null && view.observed.pods.length > 0);
  if (lost === undefined) return null;
  const name = leaseName(view.observed.name, lost.name);
  return isFalse(
    'LeaseLost',
    `Lease ${name} is gone while pods of the pair exist, and with it the knowledge who owns the disk set of ${lost.name}. It is made again as soon as no pod of the pair is left: delete ${view.observed.pods.map((pod) => pod.metadata.name).join(', ')}.`,
  );
});
