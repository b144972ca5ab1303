/** A FilerPair that an operator accepts where nothing runs, for tests with an API server alone. */
import { apiVersion } from '../../crds/group.ts';

export const named = (name: string) => ({ namespace: 'storage', name });
export const pair = {
  apiVersion,
  kind: 'FilerPair',
  metadata: named('nas'),
  spec: {
    storage: { type: 'SharedCoherent' },
    volumes: [{ name: 'data', claimTemplate: { spec: { resources: { requests: { storage: '1Gi' } } } } }],
  },
};
