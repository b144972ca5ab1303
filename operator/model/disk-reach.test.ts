/** Storage of one zone: a pair that could not fail over says so, and new pods go where both disk sets can follow. */

import { describe, expect, test } from 'vitest';
import { takeoverPossible } from '../assess/takeover-possible.ts';
import { newPod, serverPod } from '../desired/pod.ts';
import { running } from '../plan/reattach-world.fixture.ts';
import type { World } from '../plan/world.fixture.ts';
import { nodesWithinReach, selects } from './disk-reach.ts';
import type { Node, NodeSelector, NodeSelectorRequirement } from './objects.ts';

const KEY = 'topology.kubernetes.io/zone';
const inZones = (...values: string[]): NodeSelector => ({
  nodeSelectorTerms: [{ matchExpressions: [{ key: KEY, operator: 'In', values }] }],
});

/** node-1 is in the first zone, node-2 in the second; each disk set can be attached where `reach` says. */
function zoned(zones: readonly [string, string], reach: Record<string, NodeSelector | 'every node'>): World {
  const world = running();
  const nodes = Object.entries(world.observed.nodes).map(([name, node], index): [string, Node] => [
    name,
    { ...node, metadata: { ...node.metadata, labels: { [KEY]: zones[index]! } } },
  ]);
  world.observed.nodes = Object.fromEntries(nodes);
  world.observed.volumeReach = reach;
  return world;
}

const affinityOf = (pod: object) =>
  (
    pod as {
      spec: { affinity: { nodeAffinity?: { requiredDuringSchedulingIgnoredDuringExecution: unknown } } };
    }
  ).spec.affinity.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;

describe('a takeover', () => {
  test('is possible where both nodes can have both disk sets', () => {
    const world = zoned(['a', 'a'], { 'pv-a': inZones('a'), 'pv-b': inZones('a', 'b') });
    expect(takeoverPossible(world.view()).reason).toBe('PartnersReady');
  });

  test('is not where the partner runs in a zone that the disk does not reach; the sentence says how out', () => {
    const world = zoned(['a', 'b'], { 'pv-a': inZones('a'), 'pv-b': 'every node' });
    const verdict = takeoverPossible(world.view());
    expect([verdict.status, verdict.reason]).toEqual(['False', 'DisksOutOfReach']);
    expect(verdict.message).toContain('volume pv-a cannot be attached to node node-2');
    expect(verdict.message).toContain('delete its pod; the new one is put onto such a node');
  });

  test('disks of two zones have no node in common: they can only be made anew', () => {
    const world = zoned(['a', 'b'], { 'pv-a': inZones('a'), 'pv-b': inZones('b') });
    expect(takeoverPossible(world.view()).message).toContain('before their disks are made');
  });

  test('what could not be found out is no reason to say no', () => {
    const world = zoned(['a', 'b'], {});
    world.observed.volumeReach = { 'pv-a': 'unknown' };
    expect(takeoverPossible(world.view()).status).toBe('True');
  });
});

describe('a new pod', () => {
  test('goes where both disk sets can be attached, and is no other pod for it', () => {
    const without = zoned(['a', 'b'], {});
    const world = zoned(['a', 'b'], { 'pv-a': inZones('a'), 'pv-b': inZones('a', 'b') });
    const [view, before] = [world.view(), without.view()];
    const pod = newPod(view, view.servers[1], false, '');
    const [term] = (affinityOf(pod) as NodeSelector).nodeSelectorTerms;
    expect(term!.matchExpressions!.map(({ values }) => values)).toEqual([['a'], ['a', 'b']]);
    expect(serverPod(view, view.servers[1]).template).toBe(serverPod(before, before.servers[1]).template);
  });

  test('goes anywhere where no node is such a place: one server is better than none', () => {
    const world = zoned(['a', 'b'], { 'pv-a': inZones('a'), 'pv-b': inZones('b') });
    const view = world.view();
    expect(affinityOf(newPod(view, view.servers[1], false, ''))).toBeUndefined();
  });

  test('begins in the zone of its partner, unless the spec parts them by zone', () => {
    const world = zoned(['a', 'b'], {});
    const preferred = () =>
      (serverPod(world.view(), world.view().servers[0]).spec['affinity'] as { podAffinity?: object })
        .podAffinity;
    expect(JSON.stringify(preferred())).toContain(KEY);
    world.changeSpec({ antiAffinity: [{ topologyKey: KEY, mode: 'Preferred' }] });
    expect(preferred()).toBeUndefined();
  });
});

test('alternatives of several volumes are combined', () => {
  const either: NodeSelector = {
    nodeSelectorTerms: ['a', 'b'].map((zone) => ({ ...inZones(zone).nodeSelectorTerms[0]! })),
  };
  const world = zoned(['a', 'b'], { 'pv-a': either, 'pv-b': inZones('b') });
  const selector = nodesWithinReach(world.view())!;
  expect(selector.nodeSelectorTerms).toHaveLength(2);
  const nodes = Object.values(world.observed.nodes).filter((node) => selects(selector, node));
  expect(nodes.map(({ metadata }) => metadata.name)).toEqual(['node-2']);
});

test.each<[NodeSelectorRequirement['operator'], string[], boolean]>([
  ['In', ['a', 'b'], true],
  ['In', ['b'], false],
  ['NotIn', ['b'], true],
  ['NotIn', ['a'], false],
  ['Exists', [], true],
  ['DoesNotExist', [], false],
  ['Gt', ['4'], false],
])('zone a %s %j: %s', (operator, values, selected) => {
  const node: Node = { metadata: { name: 'node-1', labels: { [KEY]: 'a', size: '5' } } };
  expect(selects({ nodeSelectorTerms: [{ matchExpressions: [{ key: KEY, operator, values }] }] }, node)).toBe(
    selected,
  );
});

test('numbers, fields, and a term that asks for nothing', () => {
  const node: Node = { metadata: { name: 'node-1', labels: { size: '5' } } };
  const expression = (operator: 'Gt' | 'Lt', value: string) => ({
    nodeSelectorTerms: [{ matchExpressions: [{ key: 'size', operator, values: [value] }] }],
  });
  const field = {
    nodeSelectorTerms: [
      { matchFields: [{ key: 'metadata.name', operator: 'In' as const, values: ['node-1'] }] },
    ],
  };
  expect(
    [expression('Gt', '4'), expression('Lt', '4'), field, { nodeSelectorTerms: [{}] }].map((one) =>
      selects(one, node),
    ),
  ).toEqual([true, false, true, false]);
});
