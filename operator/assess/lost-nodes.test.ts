/**
 * A node is marked as out of service only by the policy that the user chose, and only while somebody else waits for its disks.
 */
import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { Action } from '../model/action.ts';
import type { Claim, Node } from '../model/objects.ts';
import { nodesUnmarked } from '../plan/node-marks.ts';
import { gone, inUseAs, podsOf, running, takenOver } from '../plan/reattach-world.fixture.ts';
import type { World } from '../plan/world.fixture.ts';
import { lostNodesDueAt, nodesToMark } from './lost-nodes.ts';
import { refutedPowerOffsDueAt } from './refuted-power-off.ts';

type LostNodes = NonNullable<
  NonNullable<NonNullable<FilerPairSpecInput['storage']>['reattach']>['lostNodes']
>;

/** b owns the disk set of a and waits; the node that has the disks has just become not ready. */
function lost(lostNodes: LostNodes): World {
  const world = takenOver();
  world.changeSpec({ storage: { type: 'Reattach', reattach: { lostNodes } } });
  world.node('node-1', 'Unknown', world.now);
  change(world, { status: { nodeInfo: { bootID: 'boot-1' } } });
  world.settle();
  return world;
}

function change(world: World, node: { status?: Node['status']; annotations?: Record<string, string> }): void {
  const old = world.observed.nodes['node-1']!;
  const status = { ...old.status, ...node.status };
  const metadata = { ...old.metadata, annotations: { ...old.metadata.annotations, ...node.annotations } };
  world.observed.nodes = { ...world.observed.nodes, 'node-1': { ...old, metadata, status } };
}

const patches = (actions: readonly Action[]) =>
  actions.filter(({ resource }) => resource === 'nodes').map((one) => ('patch' in one ? one.patch : null));
const taints = (world: World) => world.observed.nodes['node-1']?.spec?.taints ?? [];
const outOfService = [
  { key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoExecute' },
];

describe('a lost node with disks of another owner', () => {
  test('is not marked while the other disk set has a pod there whose claim is being deleted', () => {
    const dueFor = (deleted: boolean) => {
      const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
      const [pod] = podsOf(world, 'b');
      world.changePod(pod!, { spec: { ...pod!.spec, nodeName: 'node-1' } });
      const claim = world.observed.claims['home.b.data'] as Claim;
      const deletionTimestamp = '2026-11-23T12:00:00Z';
      if (deleted)
        world.withClaim('home.b.data', {
          ...claim,
          metadata: { ...claim.metadata, deletionTimestamp },
        });
      world.now += 61_000;
      return world.plan().actions;
    };
    expect(patches(dueFor(true))).toEqual([]);
    const actions = dueFor(false);
    expect(patches(actions)).toHaveLength(1);
    const { part } = actions.find(({ resource }) => resource === 'nodes')!;
    const kept = actions.filter((one) => one.kind === 'confirmKept' && one.part === part);
    expect(kept.map((one) => ('name' in one ? one.name : ''))).toEqual(['home.a.data', 'home.b.data']);
  });

  test('is waited for by default, however long it takes', () => {
    const world = lost({ policy: 'Wait' });
    world.now += 24 * 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    expect(world.plan().wakeAt).toBeNull();
  });

  test('AfterTimeout: is marked when its time is over, not before, by compare-and-swap', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '90s' });
    const dueAt = world.now + 90_000;
    // Its pod counts as lost before that, and is replaced.
    world.now += 31_000;
    world.settle();
    expect(world.plan().wakeAt).toBe(dueAt);
    world.now = dueAt - 1;
    expect(patches(world.settle())).toEqual([]);
    world.now = dueAt;
    const { actions } = world.plan();
    expect(patches(actions)[0]).toMatchObject({
      metadata: { annotations: { 'filerpair.dev/out-of-service': expect.stringContaining('b waits') } },
      spec: { taints: outOfService },
    });
    expect(patches(actions)[0]).toHaveProperty('metadata.resourceVersion');
    const mark = actions.find(({ resource }) => resource === 'nodes')!;
    const kept = actions.find(({ kind, part }) => kind === 'confirmKept' && part === mark.part);
    expect(kept, 'the mark would take the last pod from a claim that is being deleted').toMatchObject({
      name: 'home.a.data',
    });
    // Disks of the other disk set are elsewhere.
    const confirmed = actions.filter(({ kind, part }) => kind === 'confirmKept' && part === mark.part);
    expect(confirmed).toHaveLength(1);
    expect(mark.needs).toContain(mark.part);
    world.settle();
    expect(taints(world)).toEqual(outOfService);
    expect(world.observed.pair!.status!.conditions![0]!.message).toContain('is marked as out of service');
  });

  test('is not marked for a pair whose class does not allow that', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '10s' });
    world.changeClass({ limits: { storageTypes: ['Reattach'], lostNodes: { policies: ['AfterTimeout'] } } });
    world.now += 24 * 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    expect(world.observed.pair!.status!.conditions![0]).toMatchObject({ reason: 'ForbiddenByClass' });
  });

  test('Confirmed: is marked when somebody says that this very boot has been switched off', () => {
    const world = lost({ policy: 'Confirmed' });
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    change(world, { annotations: { 'filerpair.dev/powered-off': 'boot-0' } });
    expect(patches(world.settle()), 'a word about an earlier boot').toEqual([]);
    change(world, { annotations: { 'filerpair.dev/powered-off': 'boot-1' } });
    world.settle();
    expect(taints(world)).toEqual(outOfService);
  });

  test('the next mark is due when its time is over, and never where time does not matter', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '90s' });
    const dueAt = world.now + 90_000;
    expect(lostNodesDueAt(world.view())).toBe(dueAt);
    world.now = dueAt;
    expect(lostNodesDueAt(world.view())).toBeNull();
    world.now = dueAt + 1;
    expect(lostNodesDueAt(world.view())).toBeNull();
    expect(lostNodesDueAt(lost({ policy: 'Wait' }).view())).toBeNull();
    expect(lostNodesDueAt(lost({ policy: 'Confirmed' }).view())).toBeNull();
  });

  test('Confirmed: a boot without a name is confirmed by nothing', () => {
    const world = lost({ policy: 'Confirmed' });
    const node = world.observed.nodes['node-1']!;
    const { nodeInfo: _, ...unknown } = node.status!;
    world.observed.nodes = { ...world.observed.nodes, 'node-1': { ...node, status: unknown } };
    expect(nodesToMark(world.view())).toEqual([]);
    change(world, { status: { nodeInfo: { bootID: '' } }, annotations: { 'filerpair.dev/powered-off': '' } });
    expect(nodesToMark(world.view())).toEqual([]);
  });

  test('Confirmed: a node that the API does not have is not marked', () => {
    const world = lost({ policy: 'Confirmed' });
    world.nodeGone('node-1');
    expect(nodesToMark(world.view())).toEqual([]);
  });

  test.each<[state: string, marked: boolean, change: (world: World) => void]>([
    ['starts', true, (world) => world.runs('b', false)],
    [
      'has ended and is started again',
      false,
      (world) => world.container('b', { terminated: { exitCode: 1 } }),
    ],
    ['is on a node that is not ready', false, (world) => world.node('node-2', 'False', world.now)],
  ])('whose new owner %s: is marked: %s', (_state, marked, change) => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.now += 60_000;
    change(world);
    expect(nodesToMark(world.view())).toHaveLength(marked ? 1 : 0);
  });

  test('is left alone while the new owner could not use the disks either', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.node('node-2', 'Unknown', world.now);
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
  });

  test('is left alone while its own server is the owner: nobody else waits', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.claims('a', 'a', 3);
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
  });

  test('is left alone while a server is known to serve from it, and in the same look nobody says otherwise', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    // It owns the other disk set, with an acknowledger that runs and would have taken over.
    world.claims('a', 'b', 2);
    world.changeLease('b', {}, { 'filerpair.dev/acknowledger': world.incarnation('b') });
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    const degraded = world.observed.pair!.status!.conditions!.find(({ type }) => type === 'Degraded')!;
    expect(degraded.message).toContain('so it is alive and is left alone');
    // Its partner would not have noticed: nothing is known.
    world.changeSpec({ maintenance: { reason: 'new switches', automaticMoves: 'Paused' } });
    world.settle();
    expect(taints(world)).toEqual(outOfService);
  });

  test('AfterTimeout: is not marked while its kubelet reports that it is not ready', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.node('node-1', 'False', world.now);
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    expect(world.plan().wakeAt).toBeNull();
    expect(world.observed.pair!.status!.conditions![0]!.message).toContain(
      'Its kubelet reports, so it is not lost',
    );
  });

  test('AfterTimeout: silence is counted by what was seen here, whatever the clock of the control plane says', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.node('node-1', 'Unknown', world.now - 3_600_000);
    world.observed.readinessSince = { 'node-1': world.now };
    expect(patches(world.settle())).toEqual([]);
    world.now += 60_000;
    expect(patches(world.plan().actions)).toHaveLength(1);
  });

  test('is marked as well when its pod is gone and only the storage still holds on to it', () => {
    const world = lost({ policy: 'Confirmed' });
    gone(world, 'a');
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    const { reason, message } = world.observed.pair!.status!.conditions![0]!;
    expect([reason, message]).toEqual(['DisksStuck', expect.stringContaining('when somebody confirms')]);
    change(world, { annotations: { 'filerpair.dev/powered-off': 'boot-1' } });
    world.settle();
    expect(taints(world)).toEqual(outOfService);
  });

  test('Wait: the status says what Kubernetes does by itself when no pod is left there', () => {
    const world = lost({ policy: 'Wait' });
    gone(world, 'a');
    world.settle();
    expect(world.observed.pair!.status!.conditions![0]!.message).toContain('after about 6 minutes');
  });

  describe('from which Kubernetes has detached the disks by force', () => {
    /** No pod was left there, and six minutes of silence have passed. */
    function detachedByForce(lostNodes: LostNodes): World {
      const world = lost(lostNodes);
      gone(world, 'a');
      world.settle();
      world.now += 7 * 60_000;
      world.observed.volumeAttachments = world.observed.volumeAttachments.filter(
        ({ metadata }) => !metadata.name?.includes('a'),
      );
      return world;
    }
    const attachedTo = (world: World) =>
      podsOf(world, 'a').map(({ metadata }) => metadata.annotations?.['filerpair.dev/node']);

    test('they are not mounted elsewhere as long as it may write to them, and that is told', () => {
      const world = detachedByForce({ policy: 'Wait' });
      world.settle();
      expect(attachedTo(world)).toEqual([]);
      const { reason, message } = world.observed.pair!.status!.conditions![0]!;
      expect([reason, message]).toEqual(['DisksStuck', expect.stringContaining('which is no proof')]);
    });

    test('they are mounted elsewhere when it is back, marked by an administrator, or deleted', () => {
      const ends: readonly ((world: World) => void)[] = [
        (world) => world.node('node-1', 'True', world.now),
        (world) => {
          const node = world.observed.nodes['node-1']!;
          const marked = { ...node, spec: { taints: outOfService } };
          world.observed.nodes = { ...world.observed.nodes, 'node-1': marked };
        },
        (world) => {
          const { 'node-1': _, ...nodes } = world.observed.nodes;
          world.observed.nodes = nodes;
        },
      ];
      for (const end of ends) {
        const world = detachedByForce({ policy: 'Wait' });
        world.settle();
        end(world);
        world.settle();
        expect(attachedTo(world)).toEqual(['node-2']);
        const { annotations } = world.lease('a').metadata;
        expect(annotations).toMatchObject({ 'filerpair.dev/disks-node': 'node-2' });
      }
    });

    test('nor when it is back, until its kubelet has unmounted them', () => {
      const world = detachedByForce({ policy: 'Wait' });
      world.settle();
      world.node('node-1', 'True', world.now);
      const inUse = (volumes: readonly string[]): void => {
        const node = world.observed.nodes['node-1']!;
        const status = { ...node.status, volumesInUse: volumes };
        world.observed.nodes = { ...world.observed.nodes, 'node-1': { ...node, status } };
      };
      inUse(['kubernetes.io/csi/disks.csi.example.org^other', inUseAs('pv-a')]);
      world.settle();
      expect(attachedTo(world)).toEqual([]);
      expect(world.observed.pair!.status!.conditions![0]!.message).toContain('has not unmounted');
      inUse(['kubernetes.io/csi/disks.csi.example.org^other']);
      // Past the caches, before the Lease forgets it.
      const { actions } = world.plan();
      const lease = actions.findIndex(({ resource }) => resource === 'leases');
      const asked = actions.findIndex(({ kind }) => kind === 'confirmReleased');
      expect(actions[asked]).toMatchObject({ name: 'node-1', volumes: [inUseAs('pv-a')] });
      expect(asked).toBeLessThan(lease);
      world.settle();
      expect(attachedTo(world)).toEqual(['node-2']);
    });

    test('Confirmed and AfterTimeout: by their own rules, the node is marked first', () => {
      const confirmed = detachedByForce({ policy: 'Confirmed' });
      confirmed.settle();
      expect(attachedTo(confirmed)).toEqual([]);
      change(confirmed, { annotations: { 'filerpair.dev/powered-off': 'boot-1' } });
      const silent = detachedByForce({ policy: 'AfterTimeout', timeout: '60s' });
      for (const world of [confirmed, silent]) {
        world.settle();
        expect(taints(world)).toEqual(outOfService);
        expect(attachedTo(world)).toEqual(['node-2']);
      }
    });

    test('the owner that has come back to it has them mounted there', () => {
      const world = detachedByForce({ policy: 'Wait' });
      world.claims('a', 'a', 3);
      const made = world.plan().actions.filter((one) => one.kind === 'create' && one.urgent === true);
      expect(made).toMatchObject([
        { object: { metadata: { annotations: { 'filerpair.dev/node': 'node-1' } } } },
      ]);
      // Its owner may change before that is done.
      const [told] = world.plan().actions.filter(({ resource }) => resource === 'leases');
      expect(JSON.stringify(told)).not.toContain('disks-node');
    });
  });

  test('loses the mark also when no pair is left', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.now += 60_000;
    world.settle();
    const marked = world.observed.nodes['node-1']!;
    expect(nodesUnmarked({ 'node-1': marked })).toEqual([]);
    const status = { conditions: [{ type: 'Ready', status: 'True' as const }] };
    expect(patches(nodesUnmarked({ 'node-1': { ...marked, status } }))).toMatchObject([
      { metadata: { annotations: { 'filerpair.dev/out-of-service': null } }, spec: { taints: [] } },
    ]);
  });

  test('loses the mark, and only ours, when it is back', () => {
    const world = lost({ policy: 'AfterTimeout', timeout: '60s' });
    world.now += 60_000;
    world.settle();
    const { metadata, spec } = world.observed.nodes['node-1']!;
    world.node('node-1', 'True', world.now);
    const foreign = { key: 'example.org/mine', effect: 'NoSchedule' };
    const back = {
      ...world.observed.nodes['node-1']!,
      metadata,
      spec: { taints: [...spec!.taints!, foreign] },
    };
    world.observed.nodes = { ...world.observed.nodes, 'node-1': back };
    world.settle();
    expect(taints(world)).toEqual([foreign]);
    const byHand = { ...back, metadata: { ...metadata, annotations: {} } };
    world.observed.nodes = { ...world.observed.nodes, 'node-1': byHand };
    world.settle();
    expect(taints(world), 'a mark that an administrator set stays').toEqual([...outOfService, foreign]);
  });
});

describe('the word that a node is switched off', () => {
  /** node-1 is ready, and said to be off since some time, ms ago. */
  function said(bootID: string, ago: number | null, policy: 'Confirmed' | 'Wait' = 'Confirmed'): World {
    const world = running();
    world.changeSpec({ storage: { type: 'Reattach', reattach: { lostNodes: { policy } } } });
    world.settle();
    change(world, {
      status: { nodeInfo: { bootID: 'boot-1' } },
      annotations: { 'filerpair.dev/powered-off': bootID },
    });
    const node = world.observed.nodes['node-1']!;
    const at = ago === null ? {} : { poweredOffSaidAt: new Date(world.now - ago).toISOString() };
    world.observed.nodes = { ...world.observed.nodes, 'node-1': { ...node, ...at } };
    return world;
  }
  const word = (world: World) =>
    world.observed.nodes['node-1']!.metadata.annotations?.['filerpair.dev/powered-off'];

  test('is taken off when the node is ready in that very boot, minutes later: it was wrong', () => {
    for (const ago of [5 * 60_000, null]) {
      const world = said('boot-1', ago);
      const [action] = world.settle();
      expect(action).toMatchObject({ event: { type: 'Warning', reason: 'NodeIsNotOff' } });
      expect(word(world), String(ago)).toBeUndefined();
    }
  });

  test('stands while Kubernetes may just not have missed the node yet, and is looked at again in time', () => {
    const world = said('boot-1', 10_000);
    expect(world.settle()).toEqual([]);
    expect(word(world)).toBe('boot-1');
    expect(world.plan().wakeAt).toBe(world.now + 290_000);
    expect(refutedPowerOffsDueAt(world.view())).toBe(world.now + 290_000);
    world.now += 290_000;
    // Due now, and not later.
    expect(refutedPowerOffsDueAt(world.view())).toBeNull();
    world.settle();
    expect(word(world)).toBeUndefined();
  });

  test('is left alone where it is of another boot, and where it counts for nothing', () => {
    for (const world of [said('boot-0', 3_600_000), said('boot-1', 3_600_000, 'Wait')]) {
      expect(world.settle()).toEqual([]);
      expect(word(world)).toBeDefined();
    }
  });
});
