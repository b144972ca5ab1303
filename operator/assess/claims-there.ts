// Claims that the spec adopts have to exist, and so have those that were made once. An empty volume in the place of a full one
// would look to clients as if their files had been deleted.

import { type ConditionResult, isFalse, isUnknown } from '../model/condition-result.ts';
import { ACCEPT_EMPTY_ANNOTATION } from '../model/names.ts';
import type { ClaimView, ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/** Whether the pair has had this claim, so that making it anew would put an empty volume in its place. */
export function claimWasThere(view: Assessment, home: ServerView, { name }: ClaimView): boolean {
  const known = view.pair.status?.diskSets?.find((one) => one.home === home.name)?.claims ?? [];
  return known.includes(name) && consent(view)?.includes(name) !== true;
}

const consent = ({ pair }: Assessment): string[] | undefined =>
  pair.metadata.annotations?.[ACCEPT_EMPTY_ANNOTATION]?.split(',').map((one) => one.trim());

/**
 * What is left of the consent to empty volumes, as the annotation has it; undefined: all of it. It holds for one loss: a claim
 * that is there again is not given up in advance.
 */
export function consentLeft(view: Assessment): string | null | undefined {
  const names = consent(view);
  const left = names?.filter((name) => {
    const claim = view.observed.claims[name];
    return name !== '' && (typeof claim !== 'object' || claim.metadata.deletionTimestamp !== undefined);
  });
  if (names === undefined || left?.length === names.length) return undefined;
  return left?.join(',') || null;
}

export const claimsThere = question((view: Assessment): ConditionResult | null => {
  for (const server of view.servers)
    for (const claim of server.claims) {
      const { volume, name, is } = claim;
      const where = `spec.servers[${server.name}].volumes[${volume.name}]`;
      if (volume.existingClaim !== undefined && is === 'absent')
        return isFalse(
          'ClaimMissing',
          `${where}.existingClaim names PersistentVolumeClaim ${name}, which does not exist in namespace ${view.observed.namespace}. Create it, or use claim instead to have one made.`,
        );
      if (volume.existingClaim !== undefined && is === 'unknown')
        return isUnknown(
          'ClaimUnknown',
          `The API did not say whether PersistentVolumeClaim ${name} (${where}) exists.`,
        );
      if (volume.claim !== undefined && is === 'absent' && claimWasThere(view, server, claim))
        return isFalse(
          'ClaimDeleted',
          `PersistentVolumeClaim ${name} (${where}) has been deleted. None is made in its place, because an empty volume would look as if all files were gone. Make a claim of this name for the PersistentVolume that had the data; or, if an empty volume is wanted, this once: kubectl -n ${view.observed.namespace} annotate filerpair ${view.observed.name} ${ACCEPT_EMPTY_ANNOTATION}=${name}`,
        );
      if (claim.object?.status?.phase === 'Lost')
        return isFalse(
          'ClaimLost',
          `PersistentVolumeClaim ${name} (${where}) has lost its PersistentVolume. Nothing is done with it; look at the volume.`,
        );
    }
  return null;
});
