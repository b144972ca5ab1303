import { expect, test } from 'vitest';
import { networkOf } from '../../kubernetes/client-network.ts';
import { ConnectionsByAddress, STRANGER_MAX, STRANGERS_MAX } from './connections-by-address.ts';

/** How many of `tries` are admitted. */
function open(connections: ConnectionsByAddress, address: string, isClient = true, tries = 5000): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (connections.admit(address, isClient) !== null) count += 1;
  return count;
}

test('one address gets eight ninths, and the next ones always find some', () => {
  const connections = new ConnectionsByAddress(4096);
  expect(open(connections, '10.0.0.1')).toBe(3641);
  expect(connections.why('10.0.0.1', true)).toBe('address');
  expect(open(connections, '10.0.0.2')).toBe(405);
  expect(open(connections, '10.0.0.3')).toBe(45);
  expect(connections.why('10.0.0.4', true)).toBe(null);
  expect(connections.total).toBe(4091);
});

test('addresses in no export get a few, and take none of the clients', () => {
  const connections = new ConnectionsByAddress(1000);
  let strangers = 0;
  for (let i = 0; i < 100; i++) strangers += open(connections, `192.0.2.${i}`, false, 50);
  expect(strangers).toBe(STRANGERS_MAX);
  expect(connections.why('192.0.2.200', false)).toBe('stranger');
  expect(open(connections, '10.0.0.1')).toBe(889);
  const others = new ConnectionsByAddress(1000);
  expect(open(others, '192.0.2.1', false)).toBe(STRANGER_MAX);
});

test('what has ended counts no more, also of somebody who is no client by now', () => {
  const connections = new ConnectionsByAddress(2);
  const first = connections.admit('10.0.0.1', true)!;
  const second = connections.admit('10.0.0.1', true)!;
  expect(connections.admit('10.0.0.1', true)).toBe(null);
  connections.leave(first);
  expect(connections.admit('10.0.0.1', true)).not.toBe(null);
  connections.leave(second);
  expect(connections.total).toBe(1);
  expect(() => connections.leave('10.9.9.9' as typeof first)).toThrow('no connection is left');
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::7', '2001:db8:1:2::/64'],
  ['2001:DB8::7', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
])('%s counts as %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
