// Claims that the spec adopts have to exist, and so have those that were made once. An empty volume in the place of a full one
// would look to clients as if their files had been deleted.

import type { FilerPairVolume } from '../../crds/filerpair.ts';
import { type ConditionResult, isFalse, isUnknown } from '../model/condition-result.ts';
import { ACCEPT_EMPTY_ANNOTATION, claimName } from '../model/names.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/** Whether the pair has had this claim, so that making it anew would put an empty volume in its place. */
export function claimWasThere(view: Assessment, server: ServerView, volume: FilerPairVolume): boolean {
  const name = claimName(view.observed.name, server.name, volume);
  const accepted = view.pair.metadata.annotations?.[ACCEPT_EMPTY_ANNOTATION]
    ?.split(',')
    .map((one) => one.trim());
  const known = view.pair.status?.diskSets?.find(({ home }) => home === server.name)?.claims ?? [];
  return known.includes(name) && !accepted?.includes(name);
}

/**
 * What is left of the consent to empty volumes, as the annotation has it; undefined: all of it. It holds for one loss: a claim
 * that is there again is not given up in advance.
 */
export function consentLeft(view: Assessment): string | null | undefined {
  const names = view.pair.metadata.annotations?.[ACCEPT_EMPTY_ANNOTATION]
    ?.split(',')
    .map((one) => one.trim());
  const left = names?.filter((name) => {
    const claim = view.observed.claims[name];
    return name !== '' && (typeof claim !== 'object' || claim.metadata.deletionTimestamp !== undefined);
  });
  if (names === undefined || left?.length === names.length) return undefined;
  return left?.join(',') || null;
}

export const claimsThere = question((view: Assessment): ConditionResult | null => {
  for (const server of view.servers)
    for (const volume of server.spec.volumes) {
      const name = claimName(view.observed.name, server.name, volume);
      const claim = view.observed.claims[name] ?? 'absent';
      const where = `spec.servers[${server.name}].volumes[${volume.name}]`;
      if (volume.existingClaim !== undefined && claim === 'absent')
        return isFalse(
          'ClaimMissing',
          `${where}.existingClaim names PersistentVolumeClaim ${name}, which does not exist in namespace ${view.observed.namespace}. Create it, or use claim instead to have one made.`,
        );
      if (volume.existingClaim !== undefined && claim === 'unknown')
        return isUnknown(
          'ClaimUnknown',
          `The API did not say whether PersistentVolumeClaim ${name} (${where}) exists.`,
        );
      if (volume.claim !== undefined && claim === 'absent' && claimWasThere(view, server, volume))
        return isFalse(
          'ClaimDeleted',
          `PersistentVolumeClaim ${name} (${where}) has been deleted. None is made in its place, because an empty volume would look as if all files were gone. Make a claim of this name for the PersistentVolume that had the data; or, if an empty volume is wanted, this once: kubectl -n ${view.observed.namespace} annotate filerpair ${view.observed.name} ${ACCEPT_EMPTY_ANNOTATION}=${name}`,
        );
      if (typeof claim === 'object' && claim.status?.phase === 'Lost')
        return isFalse(
          'ClaimLost',
          `PersistentVolumeClaim ${name} (${where}) has lost its PersistentVolume. Nothing is done with it; look at the volume.`,
        );
    }
  return null;
});
