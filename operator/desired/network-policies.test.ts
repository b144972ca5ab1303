import { expect, test } from 'vitest';
import { World } from '../plan/world.fixture.ts';
import { networkPolicies } from './network-policies.ts';

interface Rule {
  readonly from?: readonly object[];
  readonly ports: readonly { readonly port: string }[];
}
const rules = (world: World): readonly Rule[] => {
  const [servers] = networkPolicies(world.view())!;
  return (servers!.object as unknown as { spec: { ingress: readonly Rule[] } }).spec.ingress;
};
const whoMay = (world: World, port: string) =>
  rules(world)
    .filter(({ ports }) => ports.some((one) => one.port === port))
    .map(({ from }) => from ?? 'everybody');

test('clients reach the NFS ports, the two servers each other, and nobody the metrics', () => {
  const world = new World();
  expect(whoMay(world, 'nfs')).toEqual(['everybody']);
  expect(whoMay(world, 'nfs-secondary')).toEqual(['everybody']);
  expect(whoMay(world, 'interconnect')).toEqual([
    [
      {
        podSelector: {
          matchLabels: { 'filerpair.dev/pair': 'home' },
          matchExpressions: [{ key: 'filerpair.dev/server', operator: 'Exists' }],
        },
      },
    ],
  ]);
  expect(whoMay(world, 'metrics')).toEqual([]);
});

test('namespaces that are named may read metrics, and nothing else', () => {
  const world = new World();
  world.settings = { ...world.settings, metricsFrom: ['monitoring'] };
  const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];
  expect(whoMay(world, 'metrics')).toEqual([from]);
  expect(rules(world).filter(({ from: some }) => JSON.stringify(some) === JSON.stringify(from))).toHaveLength(
    1,
  );
});

test('a rule names every port of the server’s container, or refuses it on purpose', () => {
  const world = World.running();
  const [server] = world.pod('a').spec!['containers'] as { ports: { name: string }[] }[];
  const named = new Set(rules(world).flatMap(({ ports }) => ports.map(({ port }) => port)));
  expect(server!.ports.map(({ name }) => name).filter((name) => !named.has(name))).toEqual(['metrics']);
});

test('they are made with the pair, come back when they are deleted, and go when they are not wanted', () => {
  const world = World.running();
  const names = () => world.observed.networkPolicies.map(({ metadata }) => metadata.name).toSorted();
  expect(names()).toEqual(['home-others', 'home-servers']);
  world.observed.networkPolicies = [];
  world.settle();
  expect(names()).toEqual(['home-others', 'home-servers']);
  world.settings = { ...world.settings, metricsFrom: null };
  world.settle();
  expect(names()).toEqual([]);
});
