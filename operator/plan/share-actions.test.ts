/**
 * The operator's part of FilerShares: what cannot be served is told so, and a directory that goes with its share is waited for.
 */

import { describe, expect, test } from 'vitest';
import type { Action } from '../model/action.ts';
import type { FilerShareObject } from '../model/objects.ts';
import { UNSERVED_MS } from './share-actions.ts';
import { claimTemplate, World } from './world.fixture.ts';

const share = (
  spec: Partial<FilerShareObject['spec']> = {},
  metadata: Partial<FilerShareObject['metadata']> = {},
): FilerShareObject => ({
  metadata: {
    name: 'home',
    namespace: 'storage',
    uid: 'share-1',
    generation: 1,
    resourceVersion: '1',
    ...metadata,
  },
  spec: { pairRef: { name: 'home' }, server: 'a', volume: 'data', deletionPolicy: 'Retain', ...spec },
});

const withShare = (one: FilerShareObject, world = World.running()): World => {
  world.observed.filerShares = [one];
  return world;
};
const about = (actions: readonly Action[]): Action[] =>
  actions.filter(({ resource }) => resource === 'filerShares');
const accepted = ({ observed }: World) =>
  observed.filerShares[0]!.status?.conditions?.find(({ type }) => type === 'Accepted');
const finalizers = ({ observed }: World) => observed.filerShares[0]!.metadata.finalizers;

describe('a share', () => {
  test('that a server can serve is not written at all, whatever the servers say of it', () => {
    for (const reason of ['Accepted', 'PathTaken']) {
      const one = share();
      const lastTransitionTime = '2026-11-23T12:00:00Z';
      const status = reason === 'Accepted' ? ('True' as const) : ('False' as const);
      const conditions = [{ type: 'Accepted', status, reason, lastTransitionTime }];
      expect(about(withShare({ ...one, status: { conditions } }).plan().actions)).toEqual([]);
    }
  });

  test.each([
    ['PairNotFound', 'There is no FilerPair home in namespace storage', {}],
    ['ServerNotFound', 'has no server c: it has a and b', { server: 'c' }],
    ['VolumeNotFound', 'has no volume scratch: it has data', { volume: 'scratch' }],
  ] as const)('that nobody can serve is told so, once: %s', (reason, says, spec) => {
    const world = withShare(share(spec), reason === 'PairNotFound' ? new World() : World.running());
    if (reason === 'PairNotFound') world.observed.pair = null;
    const [action, ...more] = about(world.plan().actions);
    expect(more).toEqual([]);
    expect(action).toMatchObject({
      kind: 'applyStatus',
      object: {
        metadata: { name: 'home', namespace: 'storage' },
        status: {
          conditions: ['Accepted', 'Ready'].map((type) => ({
            type,
            status: 'False',
            reason,
            message: expect.stringContaining(says),
          })),
        },
      },
    });
    world.carryOut(action!);
    expect(about(world.plan().actions), 'in peace nothing is written').toEqual([]);
  });

  test('that can be served by now is given back to the servers: the operator applies nothing any more', () => {
    const world = withShare(share({ volume: 'more' }));
    world.settle();
    expect(accepted(world)).toMatchObject({ status: 'False', reason: 'VolumeNotFound' });
    world.changeSpec({
      volumes: [
        { name: 'data', claimTemplate },
        { name: 'more', claimTemplate },
      ],
    });
    const [action] = about(world.plan().actions);
    expect(action).toMatchObject({ kind: 'applyStatus', object: { status: {} } });
    expect((action as { object: { status?: object } }).object.status).toEqual({});
    world.settle();
    expect(accepted(world)).toBeUndefined();
  });

  test('of a pair whose spec cannot be carried out is looked after all the same', () => {
    const world = withShare(share({ server: 'c' }));
    world.observed.pairClass = null;
    world.changeSpec({ storage: undefined });
    world.observed.filerDiskSets = [];
    expect(world.plan().status?.conditions?.[0]).toMatchObject({ reason: 'NoStorageType' });
    world.settle();
    expect(accepted(world)).toMatchObject({ reason: 'ServerNotFound' });
  });
});

describe('a share whose disk set is not served', () => {
  const said = { lastTransitionTime: '2026-11-23T12:00:00Z', observedGeneration: 1 };
  const byServer = [
    { type: 'Accepted', status: 'True', reason: 'Accepted', ...said },
    { type: 'Ready', status: 'True', reason: 'Served', ...said },
  ] as const;
  /** Both servers are gone, and the status says so. */
  const unserved = (one: FilerShareObject): World => {
    const world = withShare(one);
    world.changeLease('a', { holderIdentity: '' });
    world.settle();
    return world;
  };
  const conditionsOf = ({ observed }: World) =>
    Object.fromEntries(
      (observed.filerShares[0]!.status?.conditions ?? []).map(({ type, status, reason }) => [
        type,
        `${status} ${reason}`,
      ]),
    );

  test('is told so after a minute, not in a failover; the operator wakes for it', () => {
    const world = unserved({ ...share(), status: { conditions: byServer } });
    const since = world.now;
    expect(conditionsOf(world)).toEqual({ Accepted: 'True Accepted', Ready: 'True Served' });
    expect(world.plan().wakeAt).toBeLessThanOrEqual(since + UNSERVED_MS);
    world.now += UNSERVED_MS - 1000;
    expect(about(world.settle())).toEqual([]);
    world.now += 2000;
    world.settle();
    expect(conditionsOf(world)).toMatchObject({ Ready: 'Unknown NotServed' });
    const [ready] = world.observed.filerShares[0]!.status!.conditions!.filter(({ type }) => type === 'Ready');
    expect(ready!.lastTransitionTime).toBe(new Date(world.now).toISOString().replace('.000', ''));
    expect(about(world.plan().actions), 'once').toEqual([]);
  });

  test('that no server has seen yet says why of both', () => {
    const world = unserved(share());
    world.now += UNSERVED_MS + 1000;
    world.settle();
    expect(conditionsOf(world)).toEqual({ Accepted: 'Unknown NotServed', Ready: 'Unknown NotServed' });
  });

  test('is left to the servers as soon as they serve, whatever the status of the pair still says', () => {
    const world = unserved(share());
    world.now += UNSERVED_MS + 1000;
    world.claims('a', 'a', 2);
    expect(about(world.plan().actions)).toEqual([]);
  });

  test('one of thousands: a few are told in one plan, and all in the end', () => {
    const world = unserved(share());
    world.observed.filerShares = Array.from({ length: 50 }, (_, i) =>
      share({}, { name: `share-${i}`, uid: `share-${i}` }),
    );
    world.now += UNSERVED_MS + 1000;
    expect(about(world.plan().actions)).toHaveLength(20);
    world.settle();
    const told = world.observed.filerShares.filter(({ status }) => status !== undefined);
    expect(told).toHaveLength(50);
  });
});

test('a condition keeps its own time of change, whatever the other one does', () => {
  const conditions = [
    { type: 'Accepted', status: 'False', reason: 'PathTaken', lastTransitionTime: '2026-11-23T10:00:00Z' },
    { type: 'Ready', status: 'True', reason: 'Served', lastTransitionTime: '2026-11-23T11:00:00Z' },
  ] as const;
  const world = withShare({ ...share({ volume: 'scratch' }), status: { conditions } });
  world.settle();
  const times = world.observed.filerShares[0]!.status!.conditions!.map(
    ({ type, lastTransitionTime }) => `${type} ${lastTransitionTime}`,
  );
  expect(times).toEqual([
    'Accepted 2026-11-23T10:00:00Z',
    `Ready ${new Date(world.now).toISOString().replace('.000', '')}`,
  ]);
});

describe('a share whose directory is deleted with it', () => {
  const FINALIZER = 'filerpair.dev/share-directory';
  const deletionTimestamp = '2026-11-23T12:00:00Z';
  const others = 'example.org/theirs';

  test('is held, and let go when the policy becomes Retain', () => {
    const world = withShare(share({ deletionPolicy: 'Delete' }, { finalizers: [others] }));
    world.settle();
    expect(finalizers(world)).toEqual([others, FINALIZER]);
    const [one] = world.observed.filerShares;
    world.observed.filerShares = [{ ...one!, spec: { ...one!.spec, deletionPolicy: 'Retain' } }];
    world.settle();
    expect(finalizers(world)).toEqual([others]);
  });

  test('goes when a server says that the directory is deleted, not before', () => {
    const one = share({ deletionPolicy: 'Delete' }, { finalizers: [FINALIZER, others], deletionTimestamp });
    const world = withShare(one);
    expect(about(world.settle())).toEqual([]);
    const deleted = {
      type: 'DirectoryDeleted',
      status: 'True' as const,
      reason: 'Deleted',
      lastTransitionTime: deletionTimestamp,
    };
    world.observed.filerShares = [{ ...one, status: { conditions: [deleted] } }];
    world.settle();
    expect(finalizers(world)).toEqual([others]);
  });

  test('goes where nobody could delete it: the directory stays, and an event says so', () => {
    const one = share({ deletionPolicy: 'Delete' }, { finalizers: [FINALIZER], deletionTimestamp });
    const world = withShare(one, new World());
    world.observed.pair = null;
    const done = about(world.settle());
    expect(finalizers(world)).toEqual([]);
    expect(done.at(-1)?.event).toMatchObject({
      type: 'Warning',
      reason: 'DirectoryKept',
      note: expect.stringContaining('There is no FilerPair home'),
      about: { resource: 'filerShares' },
    });
  });

  test('and that nobody can serve is not held', () => {
    const world = withShare(share({ deletionPolicy: 'Delete', volume: 'scratch' }));
    world.settle();
    expect(finalizers(world)).toBeUndefined();
  });
});
