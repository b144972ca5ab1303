/**
 * Claims that the spec adopts have to exist, and so have those that were made once. An empty volume in the place of a full one
 * would look to clients as if their files had been deleted.
 */

import { type ConditionResult, isFalse, isUnknown } from '../model/condition-result.ts';
import { recordedClaim } from '../model/disk-set-record.ts';
import type { ClaimView, ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/**
 * Whether the pair has had this claim, so that making it anew would put an empty volume in its place. The record says so, and the
 * Lease, on which servers note what they have served.
 */
export const claimWasThere = (view: Assessment, home: ServerView, { volume }: ClaimView): boolean =>
  recordedClaim(view.observed, home.name, volume.name) !== undefined ||
  Object.hasOwn(home.lease?.written?.volumes ?? {}, volume.name);

export const claimsThere = question((view: Assessment): ConditionResult | null => {
  for (const server of view.servers)
    for (const claim of server.claims) {
      const { volume, name, is } = claim;
      const where = `spec.servers[${server.name}].volumes[${volume.name}]`;
      if (volume.claimTemplate === null && is === 'absent')
        return isFalse(
          'ClaimMissing',
          `${where}.claimRef names PersistentVolumeClaim ${name}, which does not exist in namespace ${view.observed.namespace}. Create it, or use claimTemplate instead to have one made.`,
        );
      if (volume.claimTemplate === null && is === 'unknown')
        return isUnknown(
          'ClaimUnknown',
          `The API did not say whether PersistentVolumeClaim ${name} (${where}) exists.`,
        );
      if (volume.claimTemplate !== null && is === 'absent' && claimWasThere(view, server, claim))
        return isFalse(
          'ClaimDeleted',
          `PersistentVolumeClaim ${name} (${where}) has been deleted. None is made in its place, because an empty volume would look as if all files were gone. Make a claim of this name for the PersistentVolume that had the data; or, if an empty volume is wanted: kubectl filerpair -n ${view.observed.namespace} recreate-claim ${server.name} ${volume.name} ${view.observed.name}`,
        );
      if (claim.object?.status?.phase === 'Lost')
        return isFalse(
          'ClaimLost',
          `PersistentVolumeClaim ${name} (${where}) has lost its PersistentVolume. Nothing is done with it; look at the volume.`,
        );
    }
  return null;
});
