/** Disks follow the Lease, one step after the other, and it is always said what they wait for. */
import { describe, expect, test } from 'vitest';
import type { Claim } from '../model/objects.ts';
import { asksFor } from '../plan/operations.fixture.ts';
import {
  attached,
  claimOf,
  gone,
  lines,
  mounted,
  podsOf,
  ready,
  reattach,
  running,
  takenOver,
} from '../plan/reattach-world.fixture.ts';
import { settings, World } from '../plan/world.fixture.ts';
import { diskLocation } from './disk-location.ts';

const find = (world: World) => {
  const view = world.view();
  return diskLocation(view, view.servers[0])!;
};

describe('a pair whose disks move', () => {
  test('has a pod on the node of each owner that holds the claims, and is at rest', () => {
    const world = running();
    expect(world.plan()).toMatchObject({ actions: [], status: null, events: [], wakeAt: null });
    const nodes = ['a', 'b'].map((home) => podsOf(world, home).map((pod) => pod.spec?.nodeName));
    expect(nodes).toEqual([['node-1'], ['node-2']]);
    expect(settings.fileserverImage).toBe(
      (podsOf(world, 'a')[0]!.spec!['containers'] as { image: string }[])[0]!.image,
    );
  });

  test('has the objects of the golden file: attachment pod, and a server pod that sees the directory alone', async () => {
    const world = running();
    const pods = [podsOf(world, 'a')[0]!, world.pod('a')].map(({ spec: one }) => one);
    await expect(`${JSON.stringify(pods, null, 2)}\n`).toMatchFileSnapshot('golden/reattach-pods.json');
  });

  test('nothing is made for a disk set that nobody owns: its owner says where it belongs', () => {
    const world = new World(reattach).withClaim('home.a.data', claimOf('a'));
    world.settle();
    world.runs('a');
    expect(find(world)).toMatchObject({ state: 'Unowned', create: false, remove: [] });
  });
});

describe('a change of owner', () => {
  test('takes the disks from the old node first, and reads the Lease before', () => {
    const world = takenOver();
    expect(lines(world.plan().actions)).toEqual(['patch leases home.a', 'delete pods home-a-disks-*']);
    const { resourceVersion } = world.lease('a').metadata;
    expect(world.plan().actions[0]).toMatchObject({
      patch: { metadata: { resourceVersion, annotations: { 'filerpair.dev/disks': null } } },
    });
    expect(ready(world)).toMatchObject({
      reason: 'DisksMoving',
      message: expect.stringMatching(/^b owns .* waits for its disks: pod .* unmounts them on node node-1/),
    });
    expect(world.plan().actions, 'told once').toEqual([]);
  });

  test('is not acted upon when the Lease has moved on meanwhile', () => {
    const world = takenOver();
    const [confirm] = world.plan().actions;
    world.claims('a', 'a', 3);
    expect(world.carryOut(confirm!), 'the plan ends there').toBe(false);
  });

  test('waits until the storage has let go, then has them mounted on the new node', () => {
    const world = takenOver();
    world.settle();
    gone(world, 'a');
    expect(find(world)).toMatchObject({ state: 'Detaching', create: false, stuck: false });
    expect(ready(world).message).toContain(
      'volume pv-a is detached from node node-1 (VolumeAttachment csi-a-node-1)',
    );
    world.observed.volumeAttachments = [attached('b', 'node-2')];
    // The first is a compare-and-swap, and a check which server owns the disk set.
    expect(lines(world.settle())).toEqual([
      'patch leases home.a',
      'create pods home-a-disks-*',
      'patch leases home.a',
    ]);
    const { annotations } = world.lease('a').metadata;
    expect(annotations).toMatchObject({ 'filerpair.dev/disks': podsOf(world, 'a')[0]!.metadata.uid });
    expect(annotations).toMatchObject({ 'filerpair.dev/disks-node': 'node-2' });
    expect(find(world)).toMatchObject({ state: 'Attaching', node: 'node-2' });
    mounted(world, 'a');
    expect(podsOf(world, 'a')[0]?.spec?.nodeName).toBe('node-2');
    expect(find(world)).toMatchObject({ state: 'Attached', awaits: null });
  });

  test('back to the old node while its pod still ends: it ends first, and a new one is made', () => {
    const world = takenOver();
    world.settle();
    world.claims('a', 'a', 3);
    expect(find(world)).toMatchObject({ state: 'Leaving', create: false, remove: [] });
    gone(world, 'a');
    expect(find(world)).toMatchObject({ state: 'Attaching', create: true, node: 'node-1' });
  });

  test('home again is served when the disks are there, though the pod looked ready all the time', () => {
    const world = takenOver();
    world.settle();
    world.claims('a', 'a', 3);
    world.changeLease('a', {}, { 'filerpair.dev/last-transition': null });
    world.settle();
    const served = () => world.observed.pair!.status!.diskSets![0]!.conditions![0]!;
    expect(served()).toMatchObject({ type: 'Served', status: 'False' });
    gone(world, 'a');
    world.settle();
    mounted(world, 'a');
    world.settle();
    expect(served()).toMatchObject({ status: 'True', reason: 'Serving' });
  });

  test('within one node moves nothing', () => {
    const world = running();
    const pod = world.pod('b');
    world.changePod(pod, { spec: { ...pod.spec, nodeName: 'node-1' } });
    world.claims('b', 'a', 2);
    expect(find(world)).toMatchObject({ state: 'Attached', node: 'node-1' });
  });

  test('an owner whose pod the API does not know leaves everything where it is', () => {
    const world = running();
    world.changeLease('a', { holderIdentity: 'b/no-such-pod/run-9', leaseTransitions: 2 });
    expect(find(world)).toMatchObject({ state: 'Unowned', remove: [], create: false });
  });

  test('a pod of the disks that was evicted is replaced', () => {
    const world = running();
    world.changePod(podsOf(world, 'a')[0]!, { status: { phase: 'Failed' } });
    expect(lines(world.plan().actions)).toEqual(['patch leases home.a', 'delete pods home-a-disks-*']);
  });
});

describe('the mount that is left behind', () => {
  const named = (world: World) => world.lease('a').metadata.annotations?.['filerpair.dev/disks'];
  const old = (world: World) => podsOf(world, 'a')[0]!;

  test('is nobody’s disk from the moment at which its pod ends, for whatever reason', () => {
    const world = running();
    expect(named(world)).toBe(old(world).metadata.uid);
    // kubectl drain.
    world.markDeleted(old(world).metadata.uid!);
    expect(lines(world.plan().actions)).toEqual(['patch leases home.a']);
    world.settle();
    expect(named(world)).toBeUndefined();
  });

  test('is nobody’s disk either where its pod has vanished, with or without an owner', () => {
    for (const owner of [null, 'b/no-such-pod/run-9', undefined]) {
      const world = running();
      if (owner !== undefined) world.changeLease('a', { holderIdentity: owner ?? '' });
      const { uid } = old(world).metadata;
      gone(world, 'a');
      world.settle();
      expect(named(world), String(owner)).not.toBe(uid);
      expect(
        podsOf(world, 'a').map(({ metadata }) => metadata.uid ?? ''),
        String(owner),
      ).toEqual(named(world) === undefined ? [] : [named(world)]);
    }
  });

  test('is nobody’s disk while its node is lost, marked, and back again', () => {
    const world = running();
    const uid = old(world).metadata.uid;
    world.markDeleted(uid!);
    world.node('node-1', 'Unknown', world.now);
    world.claims('b', 'a', 2);
    world.settle();
    expect(named(world), 'leaving').toBeUndefined();
    world.remove('pods', old(world).metadata.name!);
    world.settle();
    expect(named(world), 'detaching').toBeUndefined();
    world.observed.volumeAttachments = [attached('b', 'node-2')];
    world.node('node-1', 'True', world.now);
    world.claims('a', 'a', 3);
    world.settle();
    expect(named(world), 'the next pod on the same node is another').not.toBe(uid);
    expect(named(world)).toBe(old(world).metadata.uid);
  });

  test('is nobody’s disk where another machine has come under the name of the node', () => {
    const world = running();
    const { uid, name } = old(world).metadata;
    const node = world.observed.nodes['node-1']!;
    const another = { ...node, metadata: { ...node.metadata, uid: 'another-machine' } };
    world.observed.nodes = { ...world.observed.nodes, 'node-1': another };
    expect(lines(world.settle()).filter((line) => !line.includes('maintenance'))).toEqual([
      'patch leases home.a',
      'delete pods home-a-disks-*',
    ]);
    expect(named(world)).toBeUndefined();
    world.remove('pods', name!);
    world.settle();
    expect(named(world)).toBe(old(world).metadata.uid);
    expect(named(world)).not.toBe(uid);
  });

  test('is not mounted on a node that has not been seen: any machine may come under its name', () => {
    const world = running();
    const { name } = old(world).metadata;
    const { 'node-1': seen, ...others } = world.observed.nodes;
    world.remove('pods', name!);
    world.observed.nodes = others;
    world.settle();
    expect(podsOf(world, 'a')).toEqual([]);
    world.observed.nodes = { ...others, 'node-1': seen! };
    world.settle();
    expect(old(world).metadata.annotations).toMatchObject({ 'filerpair.dev/node-uid': seen!.metadata.uid });
  });

  test('stays named while nobody owns the disk set and its pod lives', () => {
    const world = running();
    world.changeLease('a', { holderIdentity: '' });
    expect(lines(world.plan().actions).filter((line) => line.includes('leases'))).toEqual([]);
  });
});

describe('a pod of the disks that has lost its labels', () => {
  test.each([['filerpair.dev/pair'], ['filerpair.dev/attachment']])(
    '%s gets them back, and goes when it has to',
    (label) => {
      const world = running();
      const pod = podsOf(world, 'a')[0]!;
      const labels = { ...pod.metadata.labels };
      const { [label]: _, ...rest } = labels;
      world.changePod(pod, { metadata: { ...pod.metadata, labels: rest } });
      expect(find(world)).toMatchObject({ state: 'Attached' });
      expect(lines(world.settle())).toEqual(['patch pods home-a-disks-*']);
      expect(podsOf(world, 'a')[0]!.metadata.labels).toEqual(labels);
      world.changePod(pod, { metadata: { ...pod.metadata, labels: rest } });
      world.claims('b', 'a', 2);
      expect(find(world).remove.map((one) => one.pod.metadata.uid)).toEqual([pod.metadata.uid]);
    },
  );
});

describe('a claim that somebody has deleted', () => {
  const terminate = (world: World): void => {
    const claim = world.observed.claims['home.a.data'] as Claim;
    const metadata = { ...claim.metadata, deletionTimestamp: '2026-11-23T12:00:00Z' };
    world.withClaim('home.a.data', { ...claim, metadata });
  };
  const condition = (world: World, type: string) =>
    world.observed.pair!.status!.conditions!.find((one) => one.type === type);

  test('is told, with what keeps the volume, and nothing moves by itself', () => {
    const world = running();
    terminate(world);
    world.settle();
    expect(condition(world, 'Degraded')).toMatchObject({ status: 'True', reason: 'ClaimBeingDeleted' });
    expect(condition(world, 'Degraded')!.message).toContain('kubectl patch pv pv-a');
    expect(condition(world, 'TakeoverPossible')).toMatchObject({
      status: 'False',
      reason: 'ClaimBeingDeleted',
    });
    const maintenance = (home: string) =>
      world.lease(home).metadata.annotations?.['filerpair.dev/maintenance'];
    expect(maintenance('a')).toBe('PersistentVolumeClaim home.a.data is being deleted');
    expect(maintenance('b'), 'the other disk set moves as ever').toBeUndefined();
    world.withClaim('home.a.data', claimOf('a'));
    world.settle();
    expect(maintenance('a')).toBeUndefined();
  });

  test('keeps its pod also where a cache has not shown the deletion yet: claims are read before a pod goes', () => {
    const world = takenOver();
    const { actions } = world.plan();
    const kept = actions.find(({ kind }) => kind === 'confirmKept')!;
    const removed = actions.find(({ kind, resource }) => kind === 'delete' && resource === 'pods')!;
    expect(actions.indexOf(kept)).toBeLessThan(actions.indexOf(removed));
    expect(removed.needs, 'it is left out when the claim is being deleted').toContain(kept.part);
    expect(world.carryOut(kept)).toBe(true);
    terminate(world);
    expect(world.carryOut(kept)).toBe(false);
  });

  test('keeps its pod in spite of a change of owner, also when the pod’s node is lost', () => {
    for (const lostNodes of [{ policy: 'Wait' }, { policy: 'AfterTimeout', timeout: '10s' }] as const) {
      const world = takenOver();
      world.changeSpec({ storage: { type: 'Reattach', reattach: { lostNodes } } });
      terminate(world);
      if (lostNodes.policy === 'AfterTimeout') world.node('node-1', 'Unknown', world.now - 3_600_000);
      const done = world.settle();
      expect(lines(done).filter((line) => line.includes('-disks-'))).toEqual([]);
      expect(done.filter(({ resource }) => resource === 'nodes')).toEqual([]);
      expect(podsOf(world, 'a')).toHaveLength(1);
      expect(ready(world)).toMatchObject({
        reason: 'DisksStuck',
        message: expect.stringContaining('home.a.data is being deleted'),
      });
    }
  });

  test('gets no new pod, which nothing would start', () => {
    const world = takenOver();
    world.settle();
    terminate(world);
    gone(world, 'a');
    world.observed.volumeAttachments = [attached('b', 'node-2')];
    world.settle();
    expect(podsOf(world, 'a')).toEqual([]);
    expect(find(world)).toMatchObject({ state: 'Attaching', create: false, stuck: true });
  });

  test('is not moved for an administrator, and no server is replaced', () => {
    const world = running();
    terminate(world);
    world.settle();
    asksFor(world, 'takeover', 'a');
    world.settle();
    const [operation] = world.observed.filerPairOperations;
    expect(operation!.status!.conditions!.find(({ type }) => type === 'Failed')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('home.a.data is being deleted'),
    });
    world.changeImage('filerpair/fileserver:next');
    world.settle();
    expect(world.observed.pair!.status!.rollout).toMatchObject({
      step: 'Blocked',
      message: expect.stringContaining('home.a.data'),
    });
  });
});
