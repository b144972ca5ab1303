/**
 * Whether the claims are such that what the storage type promises can hold (rule R9). The API server refuses what it can see in
 * the FilerPair itself; what a claim, its volume and its driver are like shows only when they are there.
 */

import { type ConditionResult, isFalse } from '../model/condition-result.ts';
import type { Claim } from '../model/objects.ts';
import { type Assessment, question } from './assessment.ts';
import { takenBy } from './claim-taken.ts';
import { howToOffer, isClaimOffered } from './offered.ts';

// With Reattach nothing lands late because the attach/detach controller gives a volume to one node at a time. It does
// only if the PersistentVolume's own access modes say so (Kubernetes: IsMultiAttachAllowed), and only if the driver attaches at
// all: without attaching, nothing in the API tells when a node has unmounted the file system (NodeUnstageVolume), which
// is after the pod's object has gone.

export const MISFITS = [
  'ClaimTaken',
  'ClaimNotOffered',
  'ClaimNotExclusive',
  'ClaimNotShared',
  'VolumeNotExclusive',
  'NotFenced',
] as const;

interface Misfit {
  readonly reason: (typeof MISFITS)[number];
  /** Fault of the claim, and what to do. */
  readonly message: string;
}

export const claimsFit = question((view: Assessment): ConditionResult | null => {
  const found = misfit(view);
  return found === null ? null : isFalse(found.reason, found.message);
});

/** The first claim that does not fit; null: all do, as far as is known. */
export const misfit = question((view: Assessment): (Misfit & { readonly claim: string }) | null => {
  for (const server of view.servers)
    for (const { volume, name, object: claim } of server.claims) {
      const where = `PersistentVolumeClaim ${name} (spec.servers[${server.name}].volumes[${volume.name}])`;
      const other = takenBy(view, name);
      if (other !== null)
        return {
          claim: name,
          reason: 'ClaimTaken',
          message: `${where} belongs to FilerPair ${other}, whose spec names it too. Nothing is started on it, and the claim is left as it is. Take it out of one of the two, or rename the volume.`,
        };
      if (claim === null) continue;
      if (!isClaimOffered(view, claim))
        return {
          claim: name,
          reason: 'ClaimNotOffered',
          message: `${where} was not made for this FilerPair, and is not offered to it. Nothing is started on it, and the claim is left as it is. ${howToOffer(view, 'pvc', name)}`,
        };
      const found = claimMisfit(view, claim) ?? volumeMisfit(view, claim);
      if (found !== null)
        return {
          claim: name,
          reason: found.reason,
          message: `${where} ${found.message}. Nothing is started on it.`,
        };
    }
  return null;
});

function claimMisfit({ effective: { storageType } }: Assessment, claim: Claim): Misfit | null {
  const modes = claim.spec?.accessModes;
  if (modes === undefined) return null;
  const has = `has the access modes ${modes.join(', ')}`;
  const many = modes.includes('ReadWriteMany');
  if (storageType === 'Reattach')
    return many
      ? {
          reason: 'ClaimNotExclusive',
          message: `${has}: with storage type Reattach the storage has to see to it that one node alone has the volume. Use a ReadWriteOnce claim, or another storage type that holds for its file system`,
        }
      : null;
  if (many || (storageType === 'SameNode' && modes.includes('ReadWriteOnce'))) return null;
  return {
    reason: 'ClaimNotShared',
    message: `${has}: with storage type ${storageType} both servers mount the volume, which these do not allow. Use a ReadWriteMany claim; or storage type Reattach, with which it moves from node to node, or for ReadWriteOnce also SameNode`,
  };
}

/** An unknown volume is no misfit; before anything is mounted it has to be known (attachment.ts). */
function volumeMisfit({ effective: { storageType }, observed }: Assessment, claim: Claim): Misfit | null {
  const name = claim.spec?.volumeName;
  const fence = name === undefined ? undefined : observed.volumeFences[name];
  if (storageType !== 'Reattach' || fence === undefined || fence === 'unknown') return null;
  const { accessModes, driver, attachRequired } = fence;
  if (accessModes.length === 0 || accessModes.some((mode) => sharedModes.has(mode)))
    return {
      reason: 'VolumeNotExclusive',
      message: `is bound to PersistentVolume ${name}, which has the access modes ${accessModes.join(', ') || '(none)'}: Kubernetes attaches such a volume to two nodes at once, whatever the claim says. Give the PersistentVolume the access mode ReadWriteOnce or ReadWriteOncePod alone`,
    };
  if (driver === null)
    return {
      reason: 'NotFenced',
      message: `is bound to PersistentVolume ${name}, which no CSI driver attaches: nothing says when a node has let go of it. Use a CSI driver that attaches, or another storage type that holds`,
    };
  if (!attachRequired)
    return {
      reason: 'NotFenced',
      message: `is bound to PersistentVolume ${name}, whose driver attaches nothing (CSIDriver ${driver}: attachRequired false): nothing says when a node has unmounted it, and nothing keeps a node that is only cut off from writing. Use a driver that attaches, or another storage type that holds`,
    };
  return null;
}

/** A PersistentVolume that has one of these access modes is attached to as many nodes as ask for it. */
const sharedModes: ReadonlySet<string> = new Set(['ReadWriteMany', 'ReadOnlyMany']);
