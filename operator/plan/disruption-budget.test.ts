/** How many servers a drain has to leave. */

import { expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { World } from './world.fixture.ts';

const minAvailable = (world: World): unknown =>
  (disruptionBudget(world.view()).object as unknown as { spec: { minAvailable: number } }).spec.minAvailable;

test('one, while the other could take over', () => {
  expect(minAvailable(World.running())).toBe(1);
});

test('both, while both run and a takeover would not work', () => {
  const world = World.running();
  world.changeLease('b', {}, { [leaseAnnotations.acknowledger]: null });
  expect(minAvailable(world)).toBe(2);
});

test('one, while the other is down: its node can be drained, the last server stays', () => {
  const world = World.running();
  world.runs('b', false);
  expect(minAvailable(world)).toBe(1);
});

test('one, while takeovers wait for an administrator: a server that is told to end hands over all the same', () => {
  const world = World.running();
  world.changeSpec({ maintenance: { reason: 'new disks', automaticMoves: 'Paused' } });
  world.settle();
  expect(minAvailable(world)).toBe(1);
});
