// Whether the claims are such that what spec.storage promises can hold (rule R9). The API server refuses what it can see in
// the FilerPair itself; what an adopted claim is like shows only when it is there.

import { claimName } from '../decide/names.ts';
import type { View } from '../decide/view.ts';
import { isFalse, type Policy } from './verdict.ts';

export const claimsFit: Policy<View> = (view) => {
  for (const server of view.servers)
    for (const volume of server.spec.volumes) {
      const name = claimName(view.observed.name, server.name, volume);
      const claim = view.observed.claims[name];
      const modes = typeof claim === 'object' ? claim.spec?.accessModes : undefined;
      const problem = modes === undefined ? null : problemWith(view, modes);
      if (problem !== null)
        return isFalse(
          problem.reason,
          `PersistentVolumeClaim ${name} (spec.servers[${server.name}].volumes[${volume.name}]) has the access modes ${modes?.join(', ')}: ${problem.message}. Nothing is started on it.`,
        );
    }
  return null;
};

function problemWith(
  { spec: { storage } }: View,
  modes: readonly string[],
): { readonly reason: string; readonly message: string } | null {
  const many = modes.includes('ReadWriteMany');
  if (storage.transfer === 'Reattach')
    return many
      ? {
          reason: 'ClaimNotExclusive',
          message:
            'with storage.transfer Reattach the storage has to see to it that one node alone has the volume. Choose transfer Shared with a lateWrites that holds for its file system, or a ReadWriteOnce claim',
        }
      : null;
  if (many || (storage.lateWrites === 'SameNode' && modes.includes('ReadWriteOnce'))) return null;
  return {
    reason: 'ClaimNotShared',
    message:
      'with storage.transfer Shared both servers mount the volume, which these do not allow. Choose transfer Reattach, with which it moves from node to node, or for ReadWriteOnce also lateWrites SameNode',
  };
}
