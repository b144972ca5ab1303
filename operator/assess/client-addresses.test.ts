// ClientAddressesKept: a warning exactly where exports go by addresses that a node rewrites.

import { expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/filerpair.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { clientAddresses } from './client-addresses.ts';

const forEverybody = spec.servers.map((server) => ({
  ...server,
  exports: server.exports!.map((one) => ({ ...one, clients: ['0.0.0.0/0'] })),
}));

test.each<[says: string | null, change: Partial<FilerPairSpecInput>]>([
  [null, {}],
  [null, { service: { type: 'NodePort', externalTrafficPolicy: 'Cluster' }, servers: forEverybody }],
  ['True Kept', { service: { type: 'NodePort' } }],
  ['True Kept', { service: { type: 'LoadBalancer' } }],
  ['True Kept', { hostNetwork: true }],
  ['False Rewritten', { service: { type: 'NodePort', externalTrafficPolicy: 'Cluster' } }],
  ['False Rewritten', { service: { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster' } }],
  // It has two ways in then, and one of them hides the client.
  ['False Rewritten', { service: { type: 'NodePort', externalTrafficPolicy: 'Cluster' }, hostNetwork: true }],
])('%s', (says, change) => {
  const verdict = clientAddresses(World.running({ ...spec, ...change }).view());
  expect(verdict && `${verdict.status} ${verdict.reason}`).toBe(says);
});

test('names every export that is concerned, and the way out', () => {
  const service = { type: 'NodePort', externalTrafficPolicy: 'Cluster' } as const;
  const { message } = clientAddresses(World.running({ ...spec, service }).view())!;
  expect(message).toContain('/home of filer-a (10.0.0.0/8); /projects of filer-b (10.0.0.0/8)');
  expect(message).toContain('Choose Local');
});

test('is told as an event from the first moment: the spec alone decides it', () => {
  const service = { type: 'NodePort', externalTrafficPolicy: 'Cluster' } as const;
  const { events } = new World({ ...spec, service }).plan();
  expect(events.map(({ type, reason }) => `${type} ${reason}`)).toContain('Warning Rewritten');
});
