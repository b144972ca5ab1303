import { expect, test } from 'vitest';
import { identityChanges } from './network-identity.ts';

const before = new Map([
  ['Service nas-a', '10.96.0.1'],
  ['addresses behind nas-a', '10.244.1.2'],
  ['addresses behind nas-a-failover', '10.244.2.2'],
  ['addresses behind nas-b-failover', '10.244.1.2'],
  ['addresses behind nas-b', '10.244.2.2'],
  ['DNSEndpoint nas', 'nas-a -> 10.96.0.1'],
]);

test('finds a Service, an address or a DNS record that moved, appeared or went', () => {
  for (const name of before.keys()) {
    expect(identityChanges(before, new Map(before).set(name, 'elsewhere'))).toHaveLength(1);
    const without = new Map(before);
    without.delete(name);
    expect(identityChanges(before, without)).toHaveLength(1);
    expect(identityChanges(without, before)).toHaveLength(1);
  }
  expect(identityChanges(before, before)).toEqual([]);
});

test('lets a replaced pod have its new address, wherever that stands, and nothing else', () => {
  const moved = new Map(before)
    .set('addresses behind nas-a', '10.244.1.9')
    .set('addresses behind nas-b-failover', '10.244.1.9');
  expect(identityChanges(before, moved, ['a'])).toEqual([]);
  expect(identityChanges(before, moved, [])).toHaveLength(2);
  expect(identityChanges(before, moved.set('addresses behind nas-b', '10.244.2.9'), ['a'])).toHaveLength(1);
});
