/** Why disks have to stay where they are: only where they would have to move, each reason by itself. */

import { describe, expect, test } from 'vitest';
import type { Claim } from '../model/objects.ts';
import { running } from '../plan/reattach-world.fixture.ts';
import { World } from '../plan/world.fixture.ts';
import { disksHeld, isDisksHeld } from './disks-held.ts';

const held = (world: World) => {
  const view = world.view();
  return disksHeld(view, view.servers[0]);
};

function deletedClaim(world: World): World {
  const claim = world.observed.claims['home.a.data'] as Claim;
  const deletionTimestamp = new Date(world.now).toISOString();
  return world.withClaim('home.a.data', { ...claim, metadata: { ...claim.metadata, deletionTimestamp } });
}

describe('disks have to stay', () => {
  test('nowhere, in a pair that is well', () => {
    expect(held(running())).toBeNull();
  });

  test('while one of their claims is being deleted', () => {
    expect(held(deletedClaim(running()))).toEqual({
      reason: 'ClaimBeingDeleted',
      why: 'PersistentVolumeClaim home.a.data is being deleted',
    });
  });

  test('never where both servers have them', () => {
    expect(held(deletedClaim(World.running()))).toBeNull();
  });

  test('while the class does not allow the pair', () => {
    const world = running();
    world.changeClass({ limits: {} });
    expect(held(world)).toEqual({ reason: 'ForbiddenByClass', why: 'the FilerPair is not accepted' });
  });

  test('while nothing keeps two nodes from a volume', () => {
    const world = running();
    const claim = world.observed.claims['home.b.data'] as Claim;
    world.withClaim('home.b.data', { ...claim, spec: { ...claim.spec, accessModes: ['ReadWriteMany'] } });
    expect(held(world)?.why).toMatch(/^PersistentVolumeClaim home.b.data does not fit the storage type/);
  });
});

test('what the operator has put on a Lease because of it is known again, and nothing else', () => {
  for (const world of [deletedClaim(running()), running()]) {
    if (held(world) === null) world.changeClass({ limits: {} });
    const { why } = held(world)!;
    expect(isDisksHeld(world.view(), why)).toBe(true);
  }
  expect(isDisksHeld(running().view(), 'new switches')).toBe(false);
});
