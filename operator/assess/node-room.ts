/**
 * Whether the scheduler would find room on a node for the pod that mounts a disk set there (storage type Reattach). On a full
 * node a failover waits until somebody else's pod has gone, unless the pod may take the place of others.
 */

import { amountOf } from '../../crds/quantities.ts';
import { attachmentPriority, attachmentRequests } from '../desired/attachment-pod.ts';
import type { ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';
import { attachmentPods } from './attachment-pods.ts';

/** Resources that the node lacks, as a clause; null: it has room, or a pod for the disks already, or its resources are not known. */
export function noRoom(view: Assessment, home: ServerView, node: string): string | null {
  const room = view.observed.nodeRoom[node];
  if (view.effective.storageType !== 'Reattach' || room === undefined) return null;
  if (attachmentPods(view, home).some(({ spec }) => spec?.nodeName === node)) return null;
  // Which others it may displace is the scheduler's to know.
  if (attachmentPriority(view, home) !== undefined) return null;
  const { cpu, memory } = attachmentRequests;
  if (room.pods < 1) return 'it has as many pods as it may have';
  if (room.cpu < amountOf(cpu))
    return `pods there have requested all but ${Math.max(0, Math.floor(room.cpu * 1000))}m of its CPU, and ${cpu} are needed`;
  if (room.memory < amountOf(memory))
    return `pods there have requested all but ${Math.max(0, Math.floor(room.memory / 2 ** 20))}Mi of its memory, and ${memory} are needed`;
  return null;
}
