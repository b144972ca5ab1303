/**
 * Whether a node has room for the volumes of a disk set (storage type Reattach). A driver may say how many volumes it can
 * attach to a node; on a full one a failover waits until somebody else's pod has gone.
 */

import type { ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';

export interface NoSlots {
  readonly driver: string;
  readonly free: number;
  readonly needed: number;
}

/** Slots that the node lacks for the disk set; null: it has room, or has the volumes already, or its number of slots is not known. */
export function noVolumeSlots(view: Assessment, home: ServerView, node: string): NoSlots | null {
  const { volumeAttachments, volumeSlots } = view.observed;
  const volumes = new Set(home.claims.map(({ bound }) => bound));
  const theirs = volumeAttachments.filter(({ spec }) => volumes.has(spec?.source?.persistentVolumeName));
  if (theirs.some(({ spec }) => spec?.nodeName === node)) return null;
  for (const [driver, free] of Object.entries(volumeSlots[node] ?? {})) {
    const needed = theirs.filter(({ spec }) => spec?.attacher === driver).length;
    if (needed > free) return { driver, free, needed };
  }
  return null;
}
