/** The PersistentVolumeClaims of a disk set. They have no owner reference: deleting a FilerPair never deletes data. */

import type { StorageType } from '../../crds/pair/storage.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { EffectiveVolume } from '../model/effective-pair.ts';
import type { ClaimView, ServerView, View } from '../model/view.ts';
import { type Desired, desired, pairLabels } from './owned.ts';

/** Says on the claim itself to whom the disk set belongs. */
export function claimLabels(view: View, home: ServerView, volume: EffectiveVolume): Record<string, string> {
  return {
    ...pairLabels(view),
    [labels.diskSet]: home.name,
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
  const { claimTemplate } = volume;
  if (claimTemplate === null) throw new Error(`volume ${volume.name} adopts a claim, it does not make one`);
  const { metadata, spec } = claimTemplate;
  return desired(view, 'persistentVolumeClaims', name, {
    owned: false,
    template: metadata?.labels,
    labels: claimLabels(view, home, volume),
    annotations: metadata?.annotations,
    body: { spec: { ...spec, accessModes: spec.accessModes ?? [accessModes[view.effective.storageType]] } },
  });
}

/** Access mode of a claim whose template does not say it. */
const accessModes: Readonly<Record<StorageType, string>> = {
  Reattach: 'ReadWriteOnce',
  SameNode: 'ReadWriteOnce',
  SharedCoherent: 'ReadWriteMany',
  SharedWriteThrough: 'ReadWriteMany',
};
