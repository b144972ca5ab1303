/** A snapshot, step by step, as Leases and VolumeSnapshots tell it; and everything that makes it none. */

import { beforeEach, describe, expect, test } from 'vitest';
import type { FreezeAnswerAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Action } from '../model/action.ts';
import type { VolumeSnapshot } from '../model/objects.ts';
import * as operations from '../plan/operations.fixture.ts';
import { World } from '../plan/world.fixture.ts';
import { FREEZE_MS_MAX, snapshotStep } from './snapshot.ts';

const homes = ['a', 'b'] as const;
type Home = (typeof homes)[number];
const NAME = 'before-upgrade';

let world: World;

beforeEach(() => {
  world = World.running();
  world.observed.snapshotsServed = true;
});

const ask = (name = NAME) => operations.ask(world, name, { type: 'Snapshot' });
const state = (name = NAME) => operations.stateOf(world, name);
const message = (name = NAME) => operations.messageOf(world, name);
const step = () => snapshotStep(world.view());
const asked = (home: Home) => world.view().servers[homes.indexOf(home)]!.lease!.freeze;

/** What the owner of a disk set writes onto its Lease. */
function answer(home: Home, state: FreezeAnswerAnnotation['state'], message = ''): void {
  const { id } = asked(home)!;
  world.changeLease(home, {}, { [leaseAnnotations.freezeAnswer]: JSON.stringify({ id, state, message }) });
}

/** What the snapshot controller and the storage do. */
function storage(change: VolumeSnapshot['status']): void {
  world.observed.volumeSnapshots = world.observed.volumeSnapshots.map((one) => ({
    ...one,
    status: { ...one.status, ...change },
  }));
}

const kinds = (actions: readonly Action[]): string[] =>
  actions.map((action) => `${action.kind} ${action.resource}`);

/** Up to the moment where the storage has cut all of them. */
function cut(): void {
  ask();
  world.settle();
  for (const home of homes) answer(home, 'Standing');
  world.settle();
  storage({ creationTime: '2026-11-23T12:00:05Z' });
}

test('both stand, then all are cut, then both are told, then both say that it was whole', () => {
  ask();
  expect(kinds(world.settle())).toEqual(['patch leases', 'patch leases', 'applyStatus filerPairOperations']);
  expect(asked('a')).toMatchObject({ epoch: 1, msMax: FREEZE_MS_MAX });
  expect(state()).toBe('waits/Quiescing');
  expect(step()?.kind).toBe('wait');

  answer('a', 'Standing');
  expect(world.settle(), 'while one of them still changes').toEqual([]);
  answer('b', 'Standing');
  const made = world.settle();
  expect(made.map((action) => action.kind === 'create' && action.object.metadata.name)).toEqual([
    'before-upgrade-home.a.data',
    'before-upgrade-home.b.data',
  ]);
  expect(made[0]).toMatchObject({
    object: {
      metadata: { labels: { 'filerpair.dev/snapshot': NAME, 'filerpair.dev/epoch': '1' } },
      spec: { source: { persistentVolumeClaimName: 'home.a.data' } },
    },
  });
  expect(made[0]).not.toHaveProperty('object.metadata.ownerReferences');

  expect(world.settle(), 'before they are cut').toEqual([]);
  storage({ creationTime: '2026-11-23T12:00:05Z' });
  world.settle();
  expect([asked('a')?.over, asked('b')?.over]).toEqual([true, true]);

  answer('a', 'Whole');
  expect(world.settle(), 'on the word of one').toEqual([]);
  answer('b', 'Whole');
  world.settle();
  expect(state()).toBe('Complete/SnapshotTaken');
  expect(operations.operationNamed(world, NAME).status!.snapshots).toEqual([
    { name: 'before-upgrade-home.a.data', server: 'a', volume: 'data' },
    { name: 'before-upgrade-home.b.data', server: 'b', volume: 'data' },
  ]);
  expect(world.observed.volumeSnapshots).toHaveLength(2);
  expect([asked('a'), asked('b')]).toEqual([null, null]);
});

describe('there is no snapshot', () => {
  const failed = (why: string) => {
    world.settle();
    expect(state()).toBe('Failed/SnapshotFailed');
    expect(message()).toContain(why);
    expect(world.observed.volumeSnapshots).toEqual([]);
    expect([asked('a'), asked('b')]).toEqual([null, null]);
  };

  test('if an owner could not keep still until it was told', () => {
    cut();
    world.settle();
    answer('a', 'Whole');
    answer('b', 'Broken', 'it has lasted 10000 ms, as long as it may');
    failed('b could not keep the disk set of b still: it has lasted 10000 ms');
  });

  test('if a disk set changes its owner meanwhile', () => {
    cut();
    world.claims('b', 'a', 2);
    failed('the disk set of a has changed its owner meanwhile');
  });

  test('if the storage cannot', () => {
    ask();
    world.settle();
    for (const home of homes) answer(home, 'Standing');
    world.settle();
    storage({ error: { message: 'quota exceeded' } });
    failed('quota exceeded');
  });

  test('if somebody never answers: a server that knows no snapshots', () => {
    ask();
    world.settle();
    answer('a', 'Standing');
    const { until } = step() as { until: number };
    world.now = until;
    expect(world.settle()).toEqual([]);
    world.now = until + 1;
    failed('servers of a version that knows no snapshots never do');
  });

  test('if it was ended before all were cut', () => {
    ask();
    world.settle();
    for (const home of homes) answer(home, 'Standing');
    world.settle();
    for (const home of homes) answer(home, 'Whole');
    failed('before all were cut');
  });
});

test.each<[why: string, prepare: () => void, value?: string]>([
  ['the cluster has no VolumeSnapshot', () => void (world.observed.snapshotsServed = false)],
  ['has more than 63 characters', () => {}, 'x'.repeat(64)],
  ['is not served at the moment', () => world.changeLease('b', { holderIdentity: '' })],
])('is refused: %s', (why, prepare, value) => {
  prepare();
  ask(value);
  world.settle();
  expect(state(value)).toBe('Failed/SnapshotRefused');
  expect(message(value)).toContain(why);
  expect(asked('a')).toBeNull();
});

test('a name is taken once', () => {
  cut();
  world.settle();
  for (const home of homes) answer(home, 'Whole');
  world.settle();
  operations.ask(world, NAME, { type: 'Snapshot', reason: 'once more' });
  world.settle();
  expect(state()).toBe('Failed/SnapshotRefused');
  expect(message()).toContain('there is a snapshot');
  expect(world.observed.volumeSnapshots).toHaveLength(2);
});

test('created again by Git it is not taken again, although its VolumeSnapshots have been deleted since', () => {
  cut();
  world.settle();
  for (const home of homes) answer(home, 'Whole');
  world.settle();
  world.observed.volumeSnapshots = [];
  ask();
  world.settle();
  expect(state()).toBe('Failed/AlreadyCarriedOut');
  expect(message()).toMatch(/was carried out \(SnapshotTaken, 2026-.*Z\)\. .* give it another name\.$/);
  expect([asked('a'), asked('b')]).toEqual([null, null]);
});

test('the same name can be asked for again after a failure: what was answered then counts for nothing', () => {
  ask();
  world.settle();
  const first = asked('a')!.id;
  answer('a', 'Broken', 'it is opening');
  world.settle();
  world.now += 60_000;
  ask();
  world.settle();
  expect(asked('a')!.id).not.toBe(first);
  expect(step()?.kind).toBe('wait');
});

test('an older snapshot of the name that the cache lacked is neither taken for the new one nor removed', () => {
  cut();
  world.settle();
  for (const home of homes) answer(home, 'Whole');
  world.settle();
  const old = world.observed.volumeSnapshots;
  world.observed.volumeSnapshots = [];
  world.now += 60_000;
  operations.ask(world, NAME, { type: 'Snapshot', reason: 'once more' });
  world.settle();
  for (const home of homes) answer(home, 'Standing');
  world.observed.volumeSnapshots = old;
  world.settle();
  expect(state()).toBe('Failed/SnapshotFailed');
  expect(message()).toContain('there was a snapshot');
  expect(world.observed.volumeSnapshots).toEqual(old);
});

test('withdrawing the question ends the freeze', () => {
  ask();
  world.settle();
  operations.withdraw(world, NAME);
  world.settle();
  expect([asked('a'), asked('b')]).toEqual([null, null]);
});

test('of two the older is made first', () => {
  ask('first');
  ask('second');
  world.settle();
  expect([state('first'), state('second')]).toEqual(['waits/Quiescing', 'waits/Queued']);
});
