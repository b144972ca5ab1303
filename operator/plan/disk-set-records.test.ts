/**
 * What must not be forgotten of a disk set is in its FilerDiskSet: a status that was dropped, by a backup tool or by `kubectl
 * apply`, takes nothing with it.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Claim } from '../model/objects.ts';
import { ask, messageOf, stateOf } from './operations.fixture.ts';
import { World } from './world.fixture.ts';

const CLAIM = 'home.a.data';
let world: World;

/** The volumes are bound, as a provisioner does it. */
function bound(): void {
  for (const [name, claim] of Object.entries(world.observed.claims))
    if (typeof claim === 'object') world.withClaim(name, { ...claim, status: { phase: 'Bound' } });
  world.settle();
}

beforeEach(() => {
  world = World.running();
  bound();
});

const record = (server = 'a') =>
  world.observed.filerDiskSets.find(({ metadata }) => metadata.name === `home.${server}`);
const uid = () => (world.observed.claims[CLAIM] as Claim).metadata.uid!;
const loseClaim = () => world.withClaim(CLAIM, 'absent');
const ready = () => world.observed.pair!.status!.conditions!.find(({ type }) => type === 'Ready')!;

test('it knows the claims that were bound, the storage’s promise, and how far epochs have come', () => {
  expect(record()!.spec).toEqual({
    pairRef: { name: 'home' },
    server: 'a',
    storageType: 'SharedCoherent',
    epochFloor: 1,
    claims: [{ volume: 'data', name: CLAIM, uid: uid() }],
  });
  world.claims('b', 'a', 7);
  world.settle();
  expect(record()!.spec.epochFloor).toBe(7);
  expect(record()!.status).toMatchObject({ owner: 'b', epoch: 7 });
});

test('it remembers the last changes of the owner, the latest first', () => {
  world.claims('b', 'a', 2);
  world.settle();
  world.claims('a', 'a', 3);
  world.settle();
  expect(record()!.status!.history!.map(({ epoch, to }) => [epoch, to])).toEqual([
    [3, 'a'],
    [2, 'b'],
    [1, 'a'],
  ]);
});

test('claims and Leases are made only when the record has been seen: it may know what has vanished', () => {
  const fresh = new World();
  const kinds = fresh.plan().actions.map(({ kind, resource }) => `${kind} ${resource}`);
  expect(kinds).toContain('create filerDiskSets');
  expect(kinds).not.toContain('apply persistentVolumeClaims');
  expect(kinds).not.toContain('create leases');
});

describe('a claim that has vanished', () => {
  test('is not made anew although the status was dropped', () => {
    loseClaim();
    const { status: _, ...pair } = world.observed.pair!;
    world.observed.pair = pair;
    world.settle();
    expect(world.observed.claims[CLAIM]).toBe('absent');
    expect(ready()).toMatchObject({ status: 'False', reason: 'ClaimDeleted' });
  });

  test('nor although the record was dropped too: the Lease knows what servers have served', () => {
    world.changeLease(
      'a',
      {},
      {
        [leaseAnnotations.written]: JSON.stringify({ epoch: 1, volumes: { data: 'uuid-1' } }),
      },
    );
    loseClaim();
    const { status: _, ...pair } = world.observed.pair!;
    world.observed.pair = pair;
    world.observed.filerDiskSets = [];
    world.settle();
    expect(world.observed.claims[CLAIM]).toBe('absent');
    expect(ready()).toMatchObject({ reason: 'ClaimDeleted' });
  });

  const recreate = (lostClaimUID: string) => ({
    type: 'RecreateClaim' as const,
    recreateClaim: { server: 'a', volume: 'data', lostClaimUID },
  });

  test('an operation that names its UID has an empty one made, once', () => {
    world.changeLease(
      'a',
      {},
      {
        [leaseAnnotations.written]: JSON.stringify({ epoch: 1, volumes: { data: 'uuid-1' } }),
      },
    );
    const lost = uid();
    loseClaim();
    world.settle();
    ask(world, 'empty', recreate(lost));
    world.settle();
    expect(stateOf(world, 'empty')).toBe('Complete/Recreated');
    expect(uid()).not.toBe(lost);
    // A server would refuse the empty volume by what the Lease knows of the old one.
    expect(world.lease('a').metadata.annotations![leaseAnnotations.written]).toBe('{"epoch":1,"volumes":{}}');
    bound();
    expect(record()!.spec.claims).toEqual([{ volume: 'data', name: CLAIM, uid: uid() }]);
    // The next loss is another one.
    loseClaim();
    world.settle();
    expect(ready()).toMatchObject({ reason: 'ClaimDeleted' });
    ask(world, 'again', recreate(lost));
    world.settle();
    expect(stateOf(world, 'again')).toBe('Failed/NotTheClaim');
    expect(world.observed.claims[CLAIM]).toBe('absent');
  });

  test('an operation that is carried out while the claim is there changes nothing', () => {
    const claim = uid();
    ask(world, 'empty', recreate(claim));
    world.settle();
    expect(stateOf(world, 'empty')).toBe('Failed/NotLost');
    expect(uid()).toBe(claim);
    expect(record()!.spec.claims).toHaveLength(1);
  });

  test('a volume that the pair does not have is said', () => {
    ask(world, 'empty', {
      type: 'RecreateClaim',
      recreateClaim: { server: 'a', volume: 'x', lostClaimUID: '1' },
    });
    world.settle();
    expect(stateOf(world, 'empty')).toBe('Failed/VolumeNotFound');
    expect(messageOf(world, 'empty')).toContain('no volume x of a server a');
  });
});

test('a Lease that is made again begins above the record’s epoch, although nothing else knows it', () => {
  world.claims('b', 'a', 9);
  world.settle();
  for (const [name, claim] of Object.entries(world.observed.claims)) {
    if (typeof claim !== 'object') continue;
    const { [labels.epoch]: _, ...others } = claim.metadata.labels ?? {};
    world.withClaim(name, { ...claim, metadata: { ...claim.metadata, labels: others } });
  }
  const { status: __, ...pair } = world.observed.pair!;
  world.observed.pair = pair;
  world.observed.pods = [];
  world.observed.leases = [];
  world.settle();
  expect(world.lease('a').spec!.leaseTransitions).toBe(9);
});

test('it stays as long as the pair is there, and goes with it when its claims know the epoch', () => {
  expect(record()!.metadata.finalizers).toEqual(['filerpair.dev/in-use']);
  // The garbage collector would take it from a pair that a backup has brought back under another UID.
  expect(record()!.metadata.ownerReferences).toBeUndefined();
  const pair = world.observed.pair!;
  const deletionTimestamp = '2026-11-23T12:10:00Z';
  world.observed.pair = { ...pair, metadata: { ...pair.metadata, deletionTimestamp } };
  world.settle();
  expect(record()).toBeDefined();
  world.observed.pods = [];
  world.settle();
  const claim = world.observed.claims[CLAIM] as Claim;
  expect(claim.metadata.labels).toMatchObject({ [labels.epoch]: '1', [labels.owner]: '' });
  expect(world.observed.filerDiskSets).toEqual([]);
});

test('what is known of claims is never taken out of a record that was not seen', () => {
  // The reflector lags: the record is there, and this look does not have it.
  const known = world.observed.filerDiskSets;
  world.observed.filerDiskSets = [];
  const made = world.plan().actions.filter(({ resource }) => resource === 'filerDiskSets');
  expect(made.map(({ kind }) => kind)).toEqual(['create', 'create']);
  world.observed.filerDiskSets = known;
});

test('in peace nothing is written', () => {
  expect(world.plan().actions).toEqual([]);
  expect(world.plan().status).toBeNull();
});
