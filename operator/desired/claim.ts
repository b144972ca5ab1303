// The PersistentVolumeClaims of a disk set. They have no owner reference: deleting a FilerPair never deletes data.

import type { FilerPairVolume } from '../../crds/filerpair.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { ClaimView, ServerView, View } from '../model/view.ts';
import { type Desired, desired, pairLabels } from './owned.ts';

/** Who owns the disk set, for everybody who looks at the claim alone. */
export function claimLabels(view: View, home: ServerView, volume: FilerPairVolume): Record<string, string> {
  return {
    ...pairLabels(view),
    [labels.home]: home.name,
    [labels.volume]: volume.name,
    ...ownershipLabels(home),
  };
}

/** Without a Lease nothing is said: labels that are there stay, since they may hold the last epoch that is known. */
function ownershipLabels(home: ServerView): Record<string, string> {
  if (home.lease === null) return {};
  return { [labels.owner]: home.lease.holderServer ?? '', [labels.epoch]: String(home.lease.epoch) };
}

/** Labels alone, and no fingerprint of them: they change with every takeover. The spec is applied once, then grows. */
export function newClaim(
  view: View,
  home: ServerView,
  { volume, name }: ClaimView,
): Desired<'persistentVolumeClaims'> {
  const { claim } = volume;
  if (claim === undefined) throw new Error(`volume ${volume.name} adopts a claim, it does not make one`);
  return desired(view, 'persistentVolumeClaims', name, {
    owned: false,
    labels: claimLabels(view, home, volume),
    body: {
      spec: {
        accessModes: [claim.accessMode],
        resources: { requests: { storage: claim.size } },
        ...(claim.storageClassName === undefined ? {} : { storageClassName: claim.storageClassName }),
        ...(claim.volumeName === undefined ? {} : { volumeName: claim.volumeName }),
      },
    },
  });
}
