/** Which claims go with their FilerPair. */
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { namedVolumes } from '../model/effective-pair.ts';
import { APPLIED_ANNOTATION } from '../model/names.ts';
import type { Claim } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';

/**
 * Claims that were made for this pair, and of which its spec says Delete. Adopted ones are never among them, nor is any
 * once the FilerPair is gone: then nobody says it any more.
 */
export function claimsToDelete(observed: Observed): Claim[] {
  if (observed.pair?.metadata.deletionTimestamp === undefined) return [];
  return namedVolumes(observed.name, observed.pair.spec).flatMap(
    ({ claimName, claimTemplate, whenDeleted }) => {
      if (claimTemplate === null || whenDeleted !== 'Delete') return [];
      const claim = observed.claims[claimName];
      const made =
        typeof claim === 'object' &&
        claim.metadata.annotations?.[APPLIED_ANNOTATION] !== undefined &&
        claim.metadata.labels?.[labels.pair] === observed.name;
      return made ? [claim] : [];
    },
  );
}
