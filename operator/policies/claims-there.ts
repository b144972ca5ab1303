// Claims that the spec adopts have to exist.

import { claimName } from '../decide/names.ts';
import type { View } from '../decide/view.ts';
import { isFalse, isUnknown, type Policy } from './verdict.ts';

export const claimsThere: Policy<View> = (view) => {
  for (const server of view.servers)
    for (const volume of server.spec.volumes) {
      const name = claimName(view.observed.name, server.name, volume);
      const claim = view.observed.claims[name] ?? 'absent';
      const where = `spec.servers[${server.name}].volumes[${volume.name}]`;
      if (volume.existingClaim !== undefined && claim === 'absent')
        return isFalse(
          'ClaimMissing',
          `${where}.existingClaim names PersistentVolumeClaim ${name}, which does not exist in namespace ${view.observed.namespace}. Create it, or use claim instead to have one made.`,
        );
      if (volume.existingClaim !== undefined && claim === 'unknown')
        return isUnknown(
          'ClaimUnknown',
          `The API did not say whether PersistentVolumeClaim ${name} (${where}) exists.`,
        );
      if (typeof claim === 'object' && claim.status?.phase === 'Lost')
        return isFalse(
          'ClaimLost',
          `PersistentVolumeClaim ${name} (${where}) has lost its PersistentVolume. Nothing is done with it; look at the volume.`,
        );
    }
  return null;
};
