import { describe, expect, test } from 'vitest';
import { startedAt, World } from '../plan/world.fixture.ts';
import { podReplacement } from './pod-replacement.ts';

const longAgo = startedAt - 3_600_000;
const replacementOf = (world: World, server: 'a' | 'b') => {
  const view = world.view();
  return podReplacement(view, view.servers.find(({ name }) => name === server)!);
};
/** a's node is lost, and b has taken over. */
const nodeLost = (): World => {
  const world = World.running();
  world.claims('b', 'a', 2);
  world.node('node-1', 'Unknown', longAgo);
  return world;
};

test('before a server goes whose node is gone its Node is asked for, in the same piece of work', () => {
  const world = World.running();
  world.claims('b', 'a', 2);
  const { 'node-1': _, ...nodes } = world.observed.nodes;
  world.observed.nodes = nodes;
  world.observed.nodesGone = { 'node-1': longAgo };
  const { name } = world.pod('a').metadata;
  const actions = world.plan().actions.filter(({ part }) => part === `removal of ${name}`);
  expect(actions.map(({ kind, needs }) => [kind, needs])).toEqual([
    ['confirmNodeGone', [`removal of ${name}`]],
    ['delete', [`removal of ${name}`]],
  ]);
});

describe('a pod on a lost node', () => {
  test('is replaced after its partner has taken over', () => {
    const world = nodeLost();
    const { finding, remove, create } = replacementOf(world, 'a');
    expect(finding).toBe('noUsablePod');
    expect(remove.map(({ pod }) => pod.pod.metadata.name)).toEqual([world.pod('a').metadata.name]);
    expect(create).toContain('its node node-1 has not been ready since');
  });

  test('is left alone while it owns a disk set and its partner runs: it must be alive', () => {
    const world = World.running();
    world.node('node-1', 'Unknown', longAgo);
    expect(replacementOf(world, 'a')).toEqual({
      finding: 'holderUnreachable',
      remove: [],
      create: null,
    });
  });

  test('is replaced although it owns a disk set when the partner does not run either', () => {
    const world = World.running();
    world.node('node-1', 'Unknown', longAgo);
    world.container('b', { waiting: { reason: 'CrashLoopBackOff' } }, { terminated: { exitCode: 1 } });
    expect(replacementOf(world, 'a').finding).toBe('noUsablePod');
  });

  test('is left alone when the partner’s node is lost too: it is rather the control plane that is cut off', () => {
    const world = nodeLost();
    world.node('node-2', 'Unknown', longAgo);
    expect(replacementOf(world, 'a')).toEqual({ finding: 'everythingLost', remove: [], create: null });
  });

  test('comes back beside its replacement: the one that owns nothing goes', () => {
    const world = nodeLost();
    const old = world.pod('a');
    world.settle();
    const young = world.pod('a');
    expect(young.metadata.name).not.toBe(old.metadata.name);
    // The node is back; somebody has made the deletion undone by a force-created namesake, or it never arrived.
    world.node('node-1', 'True', startedAt);
    world.changePod(old, { metadata: { ...old.metadata, creationTimestamp: '2026-11-23T11:00:00Z' } });
    world.runs('a');
    const { finding, remove } = replacementOf(world, 'a');
    expect(finding).toBe('superfluous');
    expect(remove.map(({ pod }) => pod.pod.metadata.name)).toEqual([old.metadata.name]);
  });
});

test('an evicted pod is deleted and replaced', () => {
  const world = World.running();
  const pod = world.pod('a');
  world.changePod(pod, { status: { ...pod.status, phase: 'Failed', reason: 'Evicted' } });
  expect(replacementOf(world, 'a')).toMatchObject({
    finding: 'noUsablePod',
    remove: [{ why: `pod ${pod.metadata.name} is replaced: it has ended: Evicted` }],
    create: `pod ${pod.metadata.name}: it has ended: Evicted`,
  });
});

test('without Leases of this very pair nothing is made', () => {
  const world = World.running();
  world.observed.pods = [];
  const [lease] = world.observed.leases;
  world.observed.leases = world.observed.leases.map((one) =>
    one === lease ? { ...one, metadata: { ...one.metadata, ownerReferences: [] } } : one,
  );
  expect(replacementOf(world, 'a').finding).toBe('leasesMissing');
});

test('order: no Leases before a lost node, a holder in use before everything lost, both before replacing', () => {
  const world = World.running();
  world.node('node-1', 'Unknown', longAgo);
  world.node('node-2', 'Unknown', longAgo);
  expect(replacementOf(world, 'a').finding).toBe('everythingLost');
  world.node('node-2', 'True', startedAt);
  expect(replacementOf(world, 'a').finding).toBe('holderUnreachable');
  world.observed.leases = [];
  expect(replacementOf(world, 'a').finding).toBe('leasesMissing');
});
