/**
 * RecreateClaim: an empty claim in the place of one that is lost. It is the one way to make the operator forget a claim that
 * had data, and it holds for one loss: it names the UID of the claim that is given up.
 */

import { recordedClaim } from '../../model/disk-set-record.ts';
import type { FilerPairOperationObject } from '../../model/objects.ts';
import { type ClaimView, type ServerView, serverNamed } from '../../model/view.ts';
import { type Assessment, question } from '../assessment.ts';
import {
  complete,
  failed,
  type OperationFinding,
  type OperationVerdict,
  unfinished,
  waits,
} from './unfinished.ts';

export interface RecreateFinding extends OperationFinding {
  /** Claim to be forgotten now; null: none is. */
  readonly forget: { readonly home: ServerView; readonly claim: ClaimView } | null;
}

export const recreateFindings = question((view: Assessment): RecreateFinding[] =>
  unfinished(view.observed, 'RecreateClaim').map((operation) => {
    const found = findingFor(view, operation);
    return 'kind' in found
      ? { operation, verdict: found, forget: null }
      : { operation, verdict: waits('Recreating', 'An empty claim is made in its place.'), forget: found };
  }),
);

function findingFor(
  view: Assessment,
  { spec, status }: FilerPairOperationObject,
): OperationVerdict | NonNullable<RecreateFinding['forget']> {
  const { server, volume, lostClaimUID } = spec.recreateClaim!;
  const home = serverNamed(view, server);
  const claim = home?.claims.find((one) => one.volume.name === volume);
  if (home === null || claim === undefined)
    return failed(
      'VolumeNotFound',
      `FilerPair ${view.observed.name} has no volume ${volume} of a server ${server}.`,
    );
  const recorded = recordedClaim(view.observed, server, volume);
  const begun = status?.startTime !== undefined;
  // Already forgotten, by this operation alone: it says so before it forgets.
  if (begun && recorded?.uid !== lostClaimUID)
    return claim.is === 'there'
      ? complete('Recreated', `PersistentVolumeClaim ${claim.name} has been made, empty.`)
      : waits('Recreating', `PersistentVolumeClaim ${claim.name} is being made.`);
  if (recorded?.uid !== lostClaimUID)
    return failed(
      'NotTheClaim',
      `The claim that was bound for volume ${volume} of ${server} has UID ${recorded?.uid ?? '(none is known)'}, not ${lostClaimUID}.`,
    );
  if (claim.is === 'unknown')
    return waits('Recreating', `The API did not say whether PersistentVolumeClaim ${claim.name} exists.`);
  if (claim.object !== null)
    return failed(
      'NotLost',
      `PersistentVolumeClaim ${claim.name} exists${claim.object.metadata.deletionTimestamp === undefined ? '' : ' and is being deleted; create the operation when it is gone'}.`,
    );
  // Said first: an operation that was forgotten half-way must not fail as if it had never begun.
  if (!begun) return waits('Recreating', `PersistentVolumeClaim ${claim.name} is given up.`);
  return { home, claim };
}
