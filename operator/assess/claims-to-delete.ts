import type { FilerPairVolume } from '../../crds/filerpair.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { APPLIED_ANNOTATION, claimName } from '../model/names.ts';
import type { Claim } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';

/**
 * Claims that were made for this pair, and of which its spec says Delete. Adopted ones are never among them, nor is any
 * once the FilerPair is gone: then nobody says it any more.
 */
export function claimsToDelete(observed: Observed): Claim[] {
  if (observed.pair?.metadata.deletionTimestamp === undefined) return [];
  return (observed.pair.spec?.servers ?? []).flatMap((server) =>
    (server.volumes ?? []).flatMap((volume) => {
      if (volume.claim?.reclaim !== 'Delete' || volume.existingClaim !== undefined) return [];
      const claim = observed.claims[claimName(observed.name, server.name, volume as FilerPairVolume)];
      const made =
        typeof claim === 'object' &&
        claim.metadata.annotations?.[APPLIED_ANNOTATION] !== undefined &&
        claim.metadata.labels?.[labels.pair] === observed.name;
      return made ? [claim] : [];
    }),
  );
}
