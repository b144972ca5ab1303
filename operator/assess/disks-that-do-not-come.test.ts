/** Disks that do not come, storage that cannot promise to hold them, and nodes without room: what is said of each, and what is not begun. */
import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { attachmentPod } from '../desired/attachment-pod.ts';
import { serverPod } from '../desired/pod.ts';
import { TEMPLATE_ANNOTATION } from '../model/names.ts';
import type { VolumeAttachment } from '../model/objects.ts';
import type { VolumeFence } from '../model/observed.ts';
import { asksFor } from '../plan/operations.fixture.ts';
import {
  attached,
  claimOf,
  fenced,
  gone,
  lines,
  podsOf,
  ready,
  reattach,
  running,
  takenOver,
} from '../plan/reattach-world.fixture.ts';
import { claimTemplate, spec, World } from '../plan/world.fixture.ts';
import { diskLocation } from './disk-location.ts';
import { takeoverPossible } from './takeover-possible.ts';

const find = (world: World) => {
  const view = world.view();
  return diskLocation(view, view.servers[0])!;
};

describe('disks that do not come', () => {
  /** They have left the old node; this is what the storage says of them now. */
  function onTheWay(...attachments: readonly VolumeAttachment[]): World {
    const world = takenOver();
    world.settle();
    gone(world, 'a');
    world.observed.volumeAttachments = attachments;
    world.settle();
    return world;
  }

  test('because their node is away: nothing is forced, and the ways out are named', () => {
    const world = takenOver();
    world.node('node-1', 'Unknown', world.now);
    world.settle();
    expect(find(world)).toMatchObject({ state: 'Leaving', stuck: true, create: false });
    const { reason, message } = ready(world);
    expect(reason).toBe('DisksStuck');
    expect(message).toContain('node.kubernetes.io/out-of-service=nodeshutdown:NoExecute');
    world.now += 3_600_000;
    expect(lines(world.settle()).filter((line) => line.includes('-disks-'))).toEqual([]);
  });

  test('because they cannot be detached', () => {
    const world = takenOver();
    world.settle();
    gone(world, 'a');
    world.observed.volumeAttachments = [
      attached('a', 'node-1', { detachError: { message: 'the array says no' } }),
    ];
    expect(ready(world)).toMatchObject({
      reason: 'DisksStuck',
      message: expect.stringContaining('does not succeed: the array says no'),
    });
  });

  test('because a pod of somebody else has them on a third node: nobody mounts them, and that is told', () => {
    const world = onTheWay(attached('a', 'node-3'));
    expect(find(world)).toMatchObject({ state: 'Detaching', create: false });
    expect(podsOf(world, 'a')).toEqual([]);
    expect(ready(world)).toMatchObject({
      reason: 'DisksMoving',
      message: expect.stringMatching(
        /detached from node node-3.*as long as a pod that is not the operator’s/,
      ),
    });
  });

  test('because they cannot be attached', () => {
    const world = onTheWay(
      attached('a', 'node-2', { attached: false, attachError: { message: 'node is full' } }),
    );
    expect(ready(world)).toMatchObject({
      reason: 'DisksStuck',
      message: expect.stringContaining('cannot be attached to node node-2: node is full'),
    });
  });

  test('because they are attached and cannot be mounted', () => {
    const world = onTheWay(attached('a', 'node-2'));
    expect(ready(world)).toMatchObject({ reason: 'DisksMoving' });
    // Nobody has to tell the operator that nothing has happened.
    const from = Date.parse(podsOf(world, 'a')[0]!.metadata.creationTimestamp!);
    const reminders = [2_000, 4_000, 8_000].map((age) => {
      expect(world.plan()).toMatchObject({ actions: [], wakeAt: from + age });
      world.now = from + age;
      const { actions } = world.plan();
      world.settle();
      return lines(actions);
    });
    const reminder = ['patch pods home-a-disks-*'];
    expect(reminders).toEqual([reminder, reminder, reminder]);
    expect(podsOf(world, 'a')[0]!.metadata.annotations).toMatchObject({
      'filerpair.dev/reminders': '3',
    });
    world.now = world.plan().wakeAt!;
    world.settle();
    const pod = podsOf(world, 'a')[0]!.metadata.name;
    expect(ready(world)).toMatchObject({
      reason: 'DisksStuck',
      message: expect.stringContaining(`pod ${pod} has not mounted them within 15 s`),
    });
  });

  test('because the scheduler has no place for their pod', () => {
    const world = onTheWay();
    const conditions = [
      { type: 'PodScheduled', status: 'False' as const, message: '0/2 nodes: too many volumes' },
    ];
    world.changePod(podsOf(world, 'a')[0]!, { status: { phase: 'Pending', conditions } });
    expect(ready(world).message).toContain('too many volumes');
  });
});

describe('what the storage cannot promise', () => {
  test('a driver that attaches nothing fences nothing, and that is said', () => {
    const world = running();
    world.observed.volumeAttachments = [];
    world.settle();
    expect(world.condition('Degraded')).toMatchObject({
      type: 'Degraded',
      status: 'True',
      reason: 'NotFenced',
      message: expect.stringContaining('pv-a, pv-b'),
    });
  });

  test.each([
    [['ReadWriteOnce', 'ReadOnlyMany'], true, 'disks.csi.example.org', 'VolumeNotExclusive'],
    [['ReadWriteOnce', 'ReadWriteMany'], true, 'disks.csi.example.org', 'VolumeNotExclusive'],
    [[], true, 'disks.csi.example.org', 'VolumeNotExclusive'],
    [['ReadWriteOnce'], false, 'disks.csi.example.org', 'NotFenced'],
    [['ReadWriteOnce'], true, null, 'NotFenced'],
  ] as const)(
    'a volume with access modes %j, attachRequired %s and driver %s under a good claim is refused, and not moved',
    (...row) => {
      const [accessModes, attachRequired, driver, reason] = row;
      const world = takenOver();
      world.observed.volumeFences = { ...fenced, 'pv-a': { accessModes, attachRequired, driver } };
      expect(lines(world.settle()).filter((line) => line.includes('-disks-'))).toEqual([]);
      expect(ready(world)).toMatchObject({ reason, message: expect.stringContaining('pv-a') });
      gone(world, 'a');
      world.observed.volumeAttachments = [attached('b', 'node-2')];
      world.settle();
      expect(podsOf(world, 'a'), 'no second mount').toEqual([]);
    },
  );

  test('where nothing fences any more, a pair that serves stays as it is: no takeover, no new pods', () => {
    const world = running();
    const lost = { ...(fenced['pv-a'] as VolumeFence), attachRequired: false };
    world.observed.volumeFences = { ...fenced, 'pv-a': lost };
    world.settle();
    const condition = (type: string) =>
      world.observed.pair!.status!.conditions!.find((one) => one.type === type);
    expect(ready(world).reason).toBe('NotFenced');
    expect(condition('TakeoverPossible')).toMatchObject({ status: 'False', reason: 'NotFenced' });
    const maintenance = () =>
      ['a', 'b'].map((home) => world.lease(home).metadata.annotations?.['filerpair.dev/maintenance']);
    // Nor by itself: the claimer would have no disks.
    const why = 'PersistentVolumeClaim home.a.data does not fit the storage type (NotFenced)';
    expect(maintenance()).toEqual([why, why]);
    asksFor(world, 'takeover', 'a');
    world.settle();
    const [operation] = world.observed.filerPairOperations;
    expect(operation!.status!.conditions!.find(({ type }) => type === 'Failed')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('NotFenced'),
    });
    const servers = () => world.observed.pods.map(({ metadata }) => metadata.uid);
    const before = servers();
    world.changeImage('filerpair/fileserver:next');
    world.settle();
    expect(world.observed.pair!.status!.rollout).toMatchObject({ step: 'Blocked' });
    expect(servers()).toEqual(before);
    world.observed.volumeFences = fenced;
    world.changeImage(undefined);
    world.settle();
    expect(maintenance()).toEqual([undefined, undefined]);
    expect(condition('TakeoverPossible')).toMatchObject({ status: 'True' });
  });

  test('what is not known of a claim or its volume is waited for before a mount', () => {
    for (const unknown of ['claim', 'volume', 'volume not seen'] as const) {
      const world = takenOver();
      world.settle();
      gone(world, 'a');
      world.observed.volumeAttachments = [attached('b', 'node-2')];
      if (unknown === 'claim') world.withClaim('home.a.data', 'unknown');
      else if (unknown === 'volume') world.observed.volumeFences = { ...fenced, 'pv-a': 'unknown' };
      else world.observed.volumeFences = { 'pv-b': fenced['pv-b']! };
      world.settle();
      expect(podsOf(world, 'a'), unknown).toEqual([]);
      expect(find(world), unknown).toMatchObject({ state: 'Attaching', create: false });
      world.observed.volumeFences = fenced;
      world.withClaim('home.a.data', claimOf('a'));
      world.settle();
      expect(podsOf(world, 'a'), unknown).toHaveLength(1);
    }
  });

  test('pods and attachments are asked for past the cache before a mount, with claims and volumes by name', () => {
    const world = takenOver();
    world.settle();
    gone(world, 'a');
    world.observed.volumeAttachments = [attached('b', 'node-2')];
    const { actions } = world.plan();
    const index = actions.findIndex(({ kind, resource }) => kind === 'create' && resource === 'pods');
    expect(actions[index - 1]).toMatchObject({
      kind: 'confirmDetached',
      claims: ['home.a.data'],
      volumes: ['pv-a'],
      node: 'node-2',
    });
    // The cache has not shown the attachment that there is.
    world.observed.volumeAttachments = [attached('a', 'node-1')];
    expect(world.carryOut(actions[index - 1]!), 'the plan ends there').toBe(false);
  });

  test.each([
    ['Reattach', ['ReadWriteMany'], 'ClaimNotExclusive', 'Use a ReadWriteOnce claim'],
    ['SharedCoherent', ['ReadWriteOnce'], 'ClaimNotShared', 'storage type Reattach'],
    ['SharedWriteThrough', ['ReadWriteOnce'], 'ClaimNotShared', 'storage type Reattach'],
    ['SameNode', ['ReadWriteOncePod'], 'ClaimNotShared', 'storage type Reattach'],
  ] as const)('%s: an adopted claim with %j is refused with what to choose', (...row) => {
    const [type, accessModes, reason, way] = row;
    const adopting = spec.servers.map((server) => ({
      ...server,
      volumes: [{ name: 'data', claimRef: { name: `home.${server.name}.data` } }],
    }));
    const world = new World({ ...spec, servers: adopting, storage: { type } });
    for (const home of ['a', 'b'])
      world.withClaim(`home.${home}.data`, {
        ...claimOf(home),
        spec: { ...claimOf(home).spec, accessModes },
      });
    world.settle();
    expect(world.observed.pods).toEqual([]);
    expect(ready(world)).toMatchObject({ reason, message: expect.stringContaining(way) });
  });
});

describe('a volume that is added while both servers share a node', () => {
  const claimsOf = (world: World): string[] =>
    podsOf(world, 'a').flatMap(({ spec: podSpec }) =>
      ((podSpec?.['volumes'] ?? []) as { persistentVolumeClaim?: { claimName: string } }[]).flatMap(
        ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [],
      ),
    );
  /** Both are on node-1, and the spec has one volume more; nothing has been opened with it yet. */
  const added = (): World => {
    const world = running();
    world.runs('b');
    world.changePod(world.pod('b'), { spec: { ...world.pod('b').spec, nodeName: 'node-1' } });
    world.settle();
    world.changeSpec({ volumes: [...reattach.volumes, { name: 'more', claimTemplate }] });
    world.settle();
    return world;
  };
  /** a claims anew, and waits for its disks; its pod was made from the spec of now, or from that of before. */
  const claimsAnew = (world: World, current: boolean): void => {
    const [server] = world.view().servers;
    const pod = world.pod('a');
    const annotations = {
      ...pod.metadata.annotations,
      ...(current ? { [TEMPLATE_ANNOTATION]: serverPod(world.view(), server).template } : {}),
    };
    world.changePod(pod, { metadata: { ...pod.metadata, annotations } });
    world.runs('a', false);
    world.claims('a', 'a', 3);
    world.changeLease('a', {}, { [leaseAnnotations.lastTransition]: null });
  };

  test('is mounted when a server that needs it waits: the pod that lacks it loses its name, goes, and comes with all', () => {
    const world = added();
    expect(claimsOf(world)).toEqual(['home.a.data']);
    claimsAnew(world, true);
    expect(lines(world.settle()).slice(0, 2)).toEqual(['patch leases home.a', 'delete pods home-a-disks-*']);
    expect(world.lease('a').metadata.annotations).not.toHaveProperty([leaseAnnotations.disks]);
    gone(world, 'a');
    world.settle();
    expect(claimsOf(world)).toEqual(['home.a.data', 'home.a.more']);
  });

  test('interrupts nobody who serves without it, nor a server that was made before it', () => {
    const world = added();
    expect(podsOf(world, 'a')[0]!.metadata.deletionTimestamp).toBeUndefined();
    claimsAnew(world, false);
    world.settle();
    expect(podsOf(world, 'a')[0]!.metadata.deletionTimestamp).toBeUndefined();
  });
});

test('disks have the priority of the servers, wherever they are mounted', () => {
  const priorityOf = (own: string | undefined, partners: string | undefined): unknown => {
    const world = running();
    const placed = (server: (typeof reattach.servers)[number], priorityClassName: string | undefined) => ({
      ...server,
      ...(priorityClassName === undefined ? {} : { podTemplate: { spec: { priorityClassName } } }),
    });
    world.changeSpec({
      servers: [placed(reattach.servers[0]!, own), placed(reattach.servers[1]!, partners)],
    });
    const view = world.view();
    return (attachmentPod(view, view.servers[0], 'node-2') as { spec?: { priorityClassName?: string } }).spec
      ?.priorityClassName;
  };
  expect(priorityOf('high', undefined)).toBe('high');
  expect(priorityOf(undefined, 'high')).toBe('high');
  expect(priorityOf(undefined, undefined)).toBeUndefined();
});

test('a volume that a ready node does not let go is told as stuck, with the way out', () => {
  const world = takenOver();
  world.settle();
  gone(world, 'a');
  expect(ready(world).reason).toBe('DisksMoving');
  const { wakeAt } = world.plan();
  expect(wakeAt).toBe(world.now + 120_000);
  world.now = wakeAt!;
  const { reason, message } = ready(world);
  expect(reason).toBe('DisksStuck');
  expect(message).toContain('On node node-1, findmnt -R /var/lib/filerpair/pair-1/a shows the mount');
});

test('a takeover is not possible where the driver cannot attach so many volumes to the survivor’s node', () => {
  const world = running();
  world.observed.volumeAttachments = world.observed.volumeAttachments.map((one) => ({
    ...one,
    spec: { ...one.spec, attacher: 'csi.example.org' },
  }));
  const verdict = (free: number) => {
    world.observed.volumeSlots = {
      'node-1': { 'csi.example.org': 9 },
      'node-2': { 'csi.example.org': free },
    };
    return takeoverPossible(world.view());
  };
  expect(verdict(1)).toMatchObject({ status: 'True' });
  expect(verdict(0)).toMatchObject({
    status: 'False',
    reason: 'NoVolumeSlots',
    message: expect.stringContaining(
      'can attach 0 more volumes to node node-2, where it runs, and 1 are needed',
    ),
  });
  world.observed.volumeSlots = { 'node-2': { 'another.example.org': 0 } };
  expect(takeoverPossible(world.view())).toMatchObject({ status: 'True' });
});

test('a takeover is not possible where the survivor’s node has no room for the pod that mounts the disks', () => {
  const world = running();
  const much = { cpu: 1, memory: 2 ** 30, pods: 10 };
  const verdict = (room: Partial<typeof much>) => {
    world.observed.nodeRoom = { 'node-1': much, 'node-2': { ...much, ...room } };
    return takeoverPossible(world.view());
  };
  expect(verdict({})).toMatchObject({ status: 'True' });
  expect(verdict({ cpu: 0.005, memory: 48 * 2 ** 20, pods: 1 })).toMatchObject({ status: 'True' });
  for (const [room, lacks] of [
    [{ cpu: 0.004 }, 'all but 4m of its CPU, and 5m are needed'],
    [{ memory: 47 * 2 ** 20 }, 'all but 47Mi of its memory, and 48Mi are needed'],
    [{ pods: 0 }, 'as many pods as it may have'],
  ] as const)
    expect(verdict(room)).toMatchObject({
      status: 'False',
      reason: 'NoRoom',
      message: expect.stringContaining(lacks),
    });
  world.changeSpec({ podTemplate: { spec: { priorityClassName: 'disks' } } });
  expect(verdict({ pods: 0 }).reason, 'others make room').not.toBe('NoRoom');
});
