// A node is marked as out of service only by the policy that the user chose, and only while somebody else waits for its disks.
import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/filerpair.ts';
import type { Action } from '../decide/plan.ts';
import { takenOver } from '../decide/reattach-world.fixture.ts';
import type { World } from '../decide/world.fixture.ts';
import type { Node } from '../observe/objects.ts';

type LostNodes = NonNullable<NonNullable<FilerPairSpecInput['storage']>['lostNodes']>;

/** filer-b owns the disk set of filer-a and waits; the node that has the disks has just become not ready. */
function lost(lostNodes: LostNodes): World {
  const world = takenOver();
  world.changeSpec({ storage: { transfer: 'Reattach', lostNodes } });
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
  test('is waited for by default, however long it takes', () => {
    const world = lost({});
    world.now += 24 * 3_600_000;
    expect(patches(world.settle())).toEqual([]);
    expect(world.plan().wakeAt).toBeNull();
  });

  test('Silent: is marked when its time is over, not before, by compare-and-swap', () => {
    const world = lost({ policy: 'Silent', after: '90s' });
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
      metadata: { annotations: { 'filerpair.dev/out-of-service': expect.stringContaining('filer-b waits') } },
      spec: { taints: outOfService },
    });
    expect(patches(actions)[0]).toHaveProperty('metadata.resourceVersion');
    world.settle();
    expect(taints(world)).toEqual(outOfService);
    expect(world.observed.pair!.status!.conditions![0]!.message).toContain('is marked as out of service');
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

  test('is left alone while the new owner could not use the disks either', () => {
    const world = lost({ policy: 'Silent', after: '60s' });
    world.node('node-2', 'Unknown', world.now);
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
  });

  test('is left alone while its own server is the owner: nobody else waits', () => {
    const world = lost({ policy: 'Silent', after: '60s' });
    world.claims('filer-a', 'filer-a', 3);
    world.now += 3_600_000;
    expect(patches(world.settle())).toEqual([]);
  });

  test('loses the mark, and only ours, when it is back', () => {
    const world = lost({ policy: 'Silent', after: '60s' });
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
    expect(taints(world), 'a mark that a person set stays').toEqual([...outOfService, foreign]);
  });
});
