/** Maintenance: is somebody at work on the pair, so that something does not happen by itself? */

import { type ConditionResult, isFalse, isTrue } from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';
import { isDisksHeld } from './disks-held.ts';

export const underMaintenance = question((view: Assessment): ConditionResult => {
  const { maintenance } = view.effective;
  const drained = maintenance?.drain ?? [];
  if (maintenance?.automaticMoves === 'Paused')
    return isTrue(
      'MovesPaused',
      `No disk set changes its owner by itself: ${maintenance.reason} (spec.maintenance).`,
    );
  if (maintenance !== null && drained.length > 0)
    return isTrue(
      'Draining',
      `${drained.join(', ')} is taken out of service: ${maintenance.reason} (spec.maintenance).`,
    );
  for (const { name, lease } of view.servers)
    if (lease !== null && lease.maintenance !== null && !isDisksHeld(view, lease.maintenance))
      return isTrue(
        'MovesPaused',
        `The disk set of ${name} does not change its owner by itself: ${lease.maintenance} (on its Lease).`,
      );
  return isFalse('NoMaintenance', 'Nobody has announced work on the pair.');
});
