/** A planned hand-over leaves Ready as it is while it takes no longer than the wait for a silent server would. */

import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { asksFor, requestOn } from '../plan/operations.fixture.ts';
import { World } from '../plan/world.fixture.ts';

/** lease + guard; a second more, since a status has whole seconds. */
const ALLOWED_MS = 2_500 + 1_000;

const ready = (world: World) => {
  world.settle();
  const { status, reason } = world.condition('Ready')!;
  return `${status} ${reason}`;
};
const served = (world: World) =>
  world.observed.pair!.status!.diskSets![0]!.conditions!.find(({ type }) => type === 'Served');

/** a has let go of its disk set, for b. */
function released(): World {
  const world = World.running();
  asksFor(world, 'takeover', 'a');
  world.settle();
  world.changeLease('a', { holderIdentity: '' }, { [leaseAnnotations.releasedTo]: 'b' });
  return world;
}

/** b has claimed, and not opened yet. */
function claimed(world: World): World {
  world.changeLease(
    'a',
    { holderIdentity: world.incarnation('b'), leaseTransitions: 2 },
    { [leaseAnnotations.releasedTo]: null },
  );
  world.runs('b', false);
  return world;
}

describe('a planned hand-over', () => {
  test('is told of the disk set at once, and of the pair only when it takes too long', () => {
    const world = released();
    expect(ready(world)).toBe('True HandingOver');
    expect(served(world)).toMatchObject({ status: 'False', reason: 'HandingOver' });
    expect(world.plan().wakeAt).toBe(world.now + ALLOWED_MS);
    world.now += 2_000;
    claimed(world);
    expect(ready(world), 'the new owner opens').toBe('True HandingOver');
    world.now += ALLOWED_MS - 2_000;
    expect(ready(world)).toBe('False Opening');
    world.now += 60_000;
    expect(ready(world), 'and does not become an allowed one again').toBe('False Opening');
  });

  test('that ends in time leaves no trace in Ready, and tells the transition', () => {
    const world = released();
    world.settle();
    const before = world.condition('Ready')!.lastTransitionTime;
    world.now += 1_000;
    world.claims('b', 'a', 2);
    expect(ready(world)).toBe('True Serving');
    expect(world.condition('Ready')!.lastTransitionTime).toBe(before);
    expect(world.observed.pair!.status!.lastTransition).toMatchObject({ diskSet: 'a', kind: 'Takeover' });
    expect(world.condition('AtHome')).toMatchObject({ status: 'False', reason: 'AwayFromHome' });
  });

  test('is seen by what was asked for, where the release itself was not', () => {
    const world = World.running();
    asksFor(world, 'takeover', 'a');
    world.settle();
    expect(requestOn(world, 'a')).not.toBeNull();
    expect(ready(claimed(world))).toBe('True HandingOver');
  });
});

describe('no hand-over', () => {
  test('is a claim that nobody asked for', () => {
    expect(ready(claimed(World.running()))).toBe('False Opening');
  });

  test('is a release to a server that does not run', () => {
    const world = released();
    world.container('b', { waiting: { reason: 'CrashLoopBackOff' } }, { terminated: { exitCode: 1 } });
    expect(ready(world)).toBe('False NobodyServes');
  });

  test('is a release of a pair that was not Ready before', () => {
    const world = released();
    world.observed.problems = [{ reason: 'Forbidden', message: 'no' }];
    expect(ready(world)).toBe('False Forbidden');
    world.observed.problems = [];
    expect(ready(world)).toBe('False HandingOver');
  });
});
