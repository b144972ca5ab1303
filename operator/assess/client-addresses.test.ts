// ClientAddressesKept: a warning exactly where a node rewrites the addresses by which shares let clients in.

import { expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { clientAddresses } from './client-addresses.ts';

test.each<[says: string | null, exposure: FilerPairSpecInput['exposure']]>([
  [null, undefined],
  ['True Kept', { type: 'NodePort' }],
  ['True Kept', { type: 'LoadBalancer' }],
  ['True Kept', { type: 'HostNetwork' }],
  ['False Rewritten', { type: 'NodePort', externalTrafficPolicy: 'Cluster' }],
  ['False Rewritten', { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster' }],
])('%s', (says, exposure) => {
  const verdict = clientAddresses(World.running({ ...spec, exposure }).view());
  expect(verdict && `${verdict.status} ${verdict.reason}`).toBe(says);
});

test('is told as an event from the first moment, with the way out: the spec alone decides it', () => {
  const exposure = { type: 'NodePort', externalTrafficPolicy: 'Cluster' } as const;
  const { events } = new World({ ...spec, exposure }).plan();
  const [told] = events.filter(({ reason }) => reason === 'Rewritten');
  expect(told).toMatchObject({ type: 'Warning', note: expect.stringContaining('Choose Local') });
});
