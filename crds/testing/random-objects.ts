/**
 * Objects of every kind with random changes, of which some are good and most are not: what the schema and the API server must
 * agree on.
 */

import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { AnyObject } from './examples.ts';

type Node = Record<string, unknown> | unknown[];

/** Values that are right somewhere, or nearly. */
const values: readonly unknown[] = [
  '',
  'a',
  'b',
  'A',
  'nfs',
  'data',
  'x'.repeat(64),
  'a.b',
  'a-b',
  '-a',
  'a_b',
  ' ',
  'é',
  '0',
  '0s',
  '1s',
  '20ms',
  '300ms',
  '2s',
  '90s',
  '1h',
  '1m30s',
  '1.5s',
  '100000s',
  '-1s',
  '1Gi',
  '0.5Gi',
  '500m',
  '1e3',
  '0.0',
  '10',
  '1Ei',
  '1Zi',
  '-1Gi',
  '10.0.0.1',
  '10.0.0.0/8',
  '10.0.0.1/8',
  '010.0.0.1',
  '::1',
  'fe80::1%eth0',
  '::ffff:1.2.3.4',
  '2001:DB8::/32',
  '1.2.3.4/33',
  '1::2::3',
  '/',
  '/a',
  '/a/',
  '//a',
  '/.',
  '/..',
  '/a/..',
  '/...',
  '.',
  '..',
  '...',
  'a/b',
  'a/../b',
  'a//b',
  '.a',
  '..a',
  'Reattach',
  'SharedCoherent',
  'SharedWriteThrough',
  'SameNode',
  'ReadWriteOnce',
  'ReadWriteMany',
  'ReadWriteOncePod',
  'Automatic',
  'Manual',
  'NodePort',
  'LoadBalancer',
  'HostNetwork',
  'ClusterIP',
  'Required',
  'Preferred',
  'Secrets',
  'Operator',
  'Delete',
  'Retain',
  'None',
  'All',
  'Root',
  'Names',
  'Labels',
  'Takeover',
  'Giveback',
  'Snapshot',
  'Wait',
  'AfterTimeout',
  -1,
  0,
  1,
  7,
  1023,
  1024,
  2049,
  2050,
  7420,
  9090,
  32049,
  65535,
  65536,
  4294967294,
  4294967295,
  1.5,
  true,
  false,
  [],
  {},
  ['a'],
  ['a', 'a'],
  [{ name: 'a' }],
  { name: 'a' },
  { 'filerpair.dev/x': 'y' },
];

export function randomObject(random: SeededRandom, from: AnyObject): AnyObject {
  const object = structuredClone(from);
  do mutate(random, object.spec);
  while (random.chance(0.4));
  return object;
}

function mutate(random: SeededRandom, root: Node): void {
  const places = [...placesIn(root)];
  if (places.length === 0) return;
  const { at, key } = random.pick(places);
  const node = at as Record<string, unknown>;
  const value = node[key];
  const kind = random.next();
  if (kind < 0.2) {
    if (Array.isArray(at)) at.splice(Number(key), 1);
    else delete node[key];
  } else if (kind < 0.3 && Array.isArray(value)) value.reverse();
  else if (kind < 0.4 && Array.isArray(value) && value.length > 0)
    value.push(structuredClone(random.pick(value)));
  else if (kind < 0.6) {
    const other = random.pick(places);
    node[key] = structuredClone((other.at as Record<string, unknown>)[other.key]);
  } else node[key] = structuredClone(random.pick(values));
}

function* placesIn(node: Node): Generator<{ readonly at: Node; readonly key: string }> {
  for (const [key, value] of Object.entries(node)) {
    yield { at: node, key };
    if (typeof value === 'object' && value !== null) yield* placesIn(value as Node);
  }
}
