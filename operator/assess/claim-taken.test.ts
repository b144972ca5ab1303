/** Two FilerPairs that name one claim: one has it, the other one says so and writes nothing on it. */
import { describe, expect, test } from 'vitest';
import type { Claim } from '../model/objects.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { takenBy } from './claim-taken.ts';

const claimOf = (pair?: string): Claim => ({
  metadata: {
    name: 'all',
    namespace: 'storage',
    uid: 'claim-1',
    labels: {
      'filerpair.dev/offered-to': 'home',
      ...(pair === undefined ? {} : { 'filerpair.dev/pair': pair, 'filerpair.dev/epoch': '41' }),
    },
  },
  spec: { volumeName: 'pv-1', accessModes: ['ReadWriteMany'] },
  status: { phase: 'Bound' },
});

/** Pair home adopts a claim that pair other names too. */
function both(
  labelled: string | undefined,
  others = [{ name: 'other', since: '2026-11-01T00:00:00Z' }],
): World {
  const [a, b] = [{ name: 'a' }, { name: 'b' }];
  const world = new World({
    ...spec,
    servers: [{ ...a, volumes: [{ name: 'data', claimRef: { name: 'all' } }] }, b],
  });
  const pair = world.observed.pair!;
  world.observed.pair = {
    ...pair,
    metadata: { ...pair.metadata, creationTimestamp: '2026-11-02T00:00:00Z' },
  };
  world.withClaim('all', claimOf(labelled));
  world.observed.claimUsers = { all: others };
  return world;
}

const labels = (world: World) => (world.observed.claims['all'] as Claim).metadata.labels;

describe('a claim that two pairs name', () => {
  test('is the one’s that has labelled it, else the elder one’s', () => {
    expect(takenBy(both('home').view(), 'all')).toBeNull();
    expect(takenBy(both('other').view(), 'all')).toBe('other');
    expect(takenBy(both(undefined).view(), 'all')).toBe('other');
    expect(
      takenBy(both(undefined, [{ name: 'other', since: '2026-11-03T00:00:00Z' }]).view(), 'all'),
    ).toBeNull();
    const sameTime = [{ name: 'aaa', since: '2026-11-02T00:00:00Z' }];
    expect(takenBy(both(undefined, sameTime).view(), 'all')).toBe('aaa');
    expect(takenBy(both('gone').view(), 'all'), 'left by a pair that names it no more').toBe('other');
    expect(takenBy(both('gone', []).view(), 'all')).toBeNull();
  });

  test('is left alone by the other one: no write, no pod, and a reason', () => {
    const world = both('other');
    const before = labels(world);
    world.settle();
    expect(labels(world)).toEqual(before);
    expect(world.observed.pods).toEqual([]);
    expect(world.observed.pair!.status!.conditions![0]).toMatchObject({
      status: 'False',
      reason: 'ClaimTaken',
      message: expect.stringContaining('belongs to FilerPair other'),
    });
  });

  test('keeps its epoch when the other one is deleted', () => {
    const world = both('other');
    world.settle();
    const pair = world.observed.pair!;
    const deletionTimestamp = new Date(world.now).toISOString();
    world.observed.pair = { ...pair, metadata: { ...pair.metadata, deletionTimestamp } };
    const claim = world.observed.claims['all'] as Claim;
    const home = { ...claim.metadata.labels, 'filerpair.dev/disk-set': 'a' };
    world.withClaim('all', { ...claim, metadata: { ...claim.metadata, labels: home } });
    for (const action of world.plan().actions) expect('name' in action ? action.name : '').not.toBe('all');
  });

  test('goes to the one that is left', () => {
    const world = both('other');
    world.settle();
    world.observed.claimUsers = {};
    world.settle();
    expect(labels(world)).toMatchObject({ 'filerpair.dev/pair': 'home' });
    expect(world.observed.pods).toHaveLength(2);
  });
});

describe('a Lease of the name of ours', () => {
  const foreign = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'home.a', namespace: 'storage', uid: 'theirs', resourceVersion: '7' },
    spec: { holderIdentity: 'their-controller-6d4f', leaseTransitions: 12 },
  };

  test.each([
    ['of a leader election', {}],
    ['of another pair', { labels: { 'filerpair.dev/pair': 'other', 'filerpair.dev/disk-set': 'a' } }],
  ])('%s is not taken over: making ours says that the name is taken', (_, more) => {
    const world = new World();
    world.observed.leases = [{ ...foreign, metadata: { ...foreign.metadata, ...more } }];
    for (const action of world.plan().actions) world.carryOut(action);
    const actions = world.plan().actions.filter(({ resource }) => resource === 'leases');
    expect(actions.map((one) => [one.kind, 'object' in one ? one.object.metadata.name : one.name])).toEqual([
      ['create', 'home.a'],
      ['create', 'home.b'],
    ]);
  });
});
