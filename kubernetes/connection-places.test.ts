import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it, test } from 'vitest';
import { networkOf } from './client-network.ts';
import { ConnectionPlaces } from './connection-places.ts';

/** What the places look at of a socket. Real ones are in control/http-server.test.ts and interconnect/interconnect.test.ts. */
function connection(remoteAddress: string, bytesRead = 0): Socket {
  return Object.assign(new EventEmitter(), { remoteAddress, bytesRead }) as unknown as Socket;
}

it('gives a place to everybody while there are some, and takes none back that was left', () => {
  const places = new ConnectionPlaces(2);
  const [a, b, c] = [connection('10.0.0.1'), connection('10.0.0.1'), connection('10.0.0.2')];
  expect([places.enter(a), places.enter(b)]).toEqual([null, null]);
  a.emit('close');
  expect(places.count).toBe(1);
  expect(places.enter(c)).toBeNull();
  places.leave(b);
  places.leave(b);
  expect(places.count).toBe(1);
});

it('takes the place of the address that has the most: of who is silent, else of who came first', () => {
  const places = new ConnectionPlaces(4);
  const many = [connection('10.0.0.1', 9), connection('10.0.0.1'), connection('10.0.0.1', 9)];
  const lone = connection('10.0.0.2');
  for (const socket of [lone, ...many]) places.enter(socket);
  expect(places.enter(connection('10.0.0.3'))).toBe(many[1]);
  expect(places.enter(connection('10.0.0.4', 9))).toBe(many[0]);
  // Now all have one: who says nothing goes first.
  expect(places.enter(connection('10.0.0.5', 9))).toBe(lone);
  expect(places.count).toBe(4);
});

it('leaves to one address what it had when that address floods', () => {
  const places = new ConnectionPlaces(8);
  const partner = connection('10.0.0.2');
  places.enter(partner);
  for (let i = 0; i < 1000; i++) expect(places.enter(connection('10.0.0.1'))).not.toBe(partner);
  expect(places.count).toBe(8);
});

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::7', '2001:db8:0:0::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  [undefined, 'unknown'],
])('%s counts as %s', (address, share) => {
  expect(networkOf(address ?? 'unknown')).toBe(share);
});
