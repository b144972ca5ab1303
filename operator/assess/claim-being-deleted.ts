/**
 * A claim that somebody has deleted stays as long as a pod uses it (Kubernetes' finalizer pvc-protection), and goes with its
 * last pod. Where the reclaim policy is Delete the volume and all files go with it. No new pod may use it. So the operator does
 * nothing that would take a pod from it, and people are told while it can still be helped.
 */

import { isTrue, type Policy } from '../model/condition-result.ts';
import type { ClaimView, ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';

const isBeingDeleted = ({ object }: ClaimView): boolean => object?.metadata.deletionTimestamp !== undefined;

/** Names of a disk set's claims that are being deleted. */
export const claimsBeingDeleted = ({ claims }: ServerView): string[] =>
  claims.filter(isBeingDeleted).map(({ name }) => name);

/** The deletion that is held up, and what an administrator has to do; null: no claim is being deleted. */
export function claimBeingDeleted(view: Assessment): string | null {
  if (view.pair.metadata.deletionTimestamp !== undefined) return null;
  for (const home of view.servers)
    for (const { name, bound } of home.claims.filter(isBeingDeleted)) {
      const keep =
        bound === undefined
          ? ''
          : `: kubectl patch pv ${bound} -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`;
      return `Somebody has deleted PersistentVolumeClaim ${name} of the disk set of ${home.name}. Kubernetes keeps it until its last pod ends, then it goes, and with the reclaim policy Delete all files with it. So no pod that uses it is moved or replaced. A deletion cannot be taken back: have the volume kept first${keep}; then see "A claim that somebody deleted" in docs/operator.md.`;
    }
  return null;
}

export const claimGoes: Policy<Assessment> = (view) => {
  const message = claimBeingDeleted(view);
  return message === null ? null : isTrue('ClaimBeingDeleted', message);
};
