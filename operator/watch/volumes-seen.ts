/**
 * The cluster's facts about the volumes of a pair: where they can be and are attached, and what keeps them from two nodes at
 * once.
 */

import { byName } from '../model/by-name.ts';
import type { PersistentVolume, Pod, VolumeAttachment } from '../model/objects.ts';
import type { Observed, VolumeFence } from '../model/observed.ts';
import { IN_USE_OF_CSI, MIGRATED_TO_ANNOTATION } from '../model/watched-kinds.ts';
import type { ClusterCopy } from './cluster-copy.ts';

/** Names of the PersistentVolumes that claims are bound to. */
const volumesOf = (claims: Observed['claims']): Set<string> =>
  new Set(
    Object.values(claims).flatMap((claim) =>
      typeof claim === 'object' ? (claim.spec?.volumeName ?? []) : [],
    ),
  );

export function attachmentsOf(copy: ClusterCopy, claims: Observed['claims']): VolumeAttachment[] {
  const volumes = volumesOf(claims);
  return [...copy.values('volumeAttachments')].filter(({ spec }) =>
    volumes.has(spec?.source?.persistentVolumeName ?? ''),
  );
}

/** Only where volumes move: elsewhere the scheduler sees the claims of the servers' own pods, and nothing is attached for them. */
export function movingVolumes(
  copy: ClusterCopy,
  claims: Observed['claims'],
): Pick<Observed, 'volumeReach' | 'volumeFences'> {
  const volumeReach = byName<Observed['volumeReach'][string]>();
  const volumeFences = byName<Observed['volumeFences'][string]>();
  for (const name of volumesOf(claims)) {
    const volume = copy.get('persistentVolumes', undefined, name);
    volumeReach[name] =
      volume === undefined ? 'unknown' : (volume.spec?.nodeAffinity?.required ?? 'every node');
    volumeFences[name] = volume === undefined ? 'unknown' : fenceOf(copy, volume);
  }
  return { volumeReach, volumeFences };
}

function fenceOf(copy: ClusterCopy, { metadata, spec }: PersistentVolume): VolumeFence {
  const driver = spec?.csi?.driver ?? metadata.annotations?.[MIGRATED_TO_ANNOTATION] ?? null;
  const found = driver === null ? undefined : copy.get('csiDrivers', undefined, driver);
  const { driver: ofCsi, volumeHandle } = spec?.csi ?? {};
  return {
    accessModes: spec?.accessModes ?? [],
    driver,
    attachRequired: found?.spec?.attachRequired !== false,
    ...(ofCsi && volumeHandle && { inUseAs: `${IN_USE_OF_CSI}${ofCsi}^${volumeHandle}` }),
  };
}

/** How many more volumes can be attached to each node of these pods, by driver. */
export function volumeSlots(copy: ClusterCopy, pods: readonly Pod[]): Observed['volumeSlots'] {
  const slots: Record<string, Record<string, number>> = {};
  for (const name of new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []))) {
    const free: Record<string, number> = {};
    for (const { name: driver, allocatable } of copy.get('csiNodes', undefined, name)?.spec?.drivers ?? [])
      if (allocatable?.count !== undefined) free[driver] = allocatable.count;
    for (const { spec } of copy.values('volumeAttachments'))
      if (spec?.nodeName === name && free[spec.attacher ?? ''] !== undefined) free[spec.attacher ?? '']! -= 1;
    slots[name] = free;
  }
  return slots;
}
