import { expect, test } from 'vitest';
import { ClientNetworks } from './client-networks.ts';

test.each([
  [['*'], '203.0.113.9', true],
  [['*'], '2001:db8::1', true],
  [[], '10.0.0.1', false],
  [['10.0.0.0/8'], '10.255.0.1', true],
  [['10.0.0.0/8'], '11.0.0.1', false],
  [['10.0.0.0/8'], '::ffff:10.1.2.3', true],
  [['192.0.2.7'], '192.0.2.7', true],
  [['192.0.2.7'], '192.0.2.8', false],
  [['0.0.0.0/0'], '8.8.8.8', true],
  [['0.0.0.0/0'], '2001:db8::1', false],
  [['fd00::/8'], 'fd12:3456::1', true],
  [['fd00::/8'], 'fe80::1', false],
  [['fe80::/10'], 'fe80::1%eth0', true],
  [['10.0.0.0/8', 'fd00::/8'], '10.0.0.1', true],
  [['10.0.0.0/8'], 'not an address', false],
  // IPv6 networks are not for IPv4 clients, by whichever socket they come.
  [['::/0'], '10.0.0.1', false],
  [['::/0'], '::ffff:10.0.0.1', false],
  [['::/0'], '2001:db8::1', true],
  [['::/64'], '10.0.0.1', false],
  [['::ffff:0:0/90'], '10.0.0.1', false],
  [['0.0.0.0/0', '::/0'], '10.0.0.1', true],
  // An IPv4 network in IPv6's notation is one, and an IPv4 address in it too.
  [['::ffff:10.0.0.0/104'], '10.1.2.3', true],
  [['::ffff:10.0.0.0/104'], '11.1.2.3', false],
  [['::ffff:192.0.2.7'], '192.0.2.7', true],
  [['10.0.0.0/8'], '::ffff:a01:203', true],
  [['10.0.0.0/8'], '0:0:0:0:0:ffff:a01:203', true],
  [['10.0.0.0/8'], '::FFFF:10.1.2.3', true],
  [['10.0.0.0/8'], '::10.1.2.3', false],
])('%j includes %s: %s', (entries, address, expected) => {
  expect(new ClientNetworks(entries).includes(address)).toBe(expected);
});

test.each(['10.0.0.0/33', 'fd00::/129', '10.0.0/8', 'example.org', '10.0.0.0/8/8', '10.0.0.0/', ''])(
  '"%s" is refused by name',
  (entry) => {
    expect(() => new ClientNetworks([entry])).toThrow(`"${entry}" is no network`);
  },
);
