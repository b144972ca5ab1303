/** ClientAddressesKept: a warning exactly where a node rewrites the addresses by which shares let clients in. */

import { expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { FilerShareObject } from '../model/objects.ts';
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

const shares = (...forEverybody: readonly boolean[]): FilerShareObject[] =>
  forEverybody.map((open, i) => ({
    metadata: { name: `share-${i}`, namespace: 'storage', uid: `share-${i}` },
    spec: { pairRef: { name: 'home' }, server: 'a', volume: 'data', deletionPolicy: 'Retain' },
    ...(open && { forEverybody: true }),
  }));

test.each<[says: string, message: string, shares: FilerShareObject[]]>([
  ['False Rewritten', 'A FilerShare that names clients refuses', []],
  ['True NotNeeded', 'every FilerShare is for everybody', shares(true, true)],
  ['False Rewritten', 'FilerShare share-1 refuses', shares(true, false)],
  ['False Rewritten', 'FilerShare share-0, like others, refuses', shares(false, true, false)],
])('with rewritten addresses the shares decide: %s, %s', (says, message, filerShares) => {
  const world = World.running({ ...spec, exposure: { type: 'NodePort', externalTrafficPolicy: 'Cluster' } });
  world.observed.filerShares = filerShares;
  const verdict = clientAddresses(world.view());
  expect(`${verdict?.status} ${verdict?.reason}`).toBe(says);
  expect(verdict?.message).toContain(message);
});
