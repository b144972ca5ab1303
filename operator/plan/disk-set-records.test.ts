/**
 * What must not be forgotten of a disk set is in its FilerDiskSet: a status that was dropped, by a backup tool or by `kubectl
 * apply`, takes nothing with it.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { recordedStorageType } from '../model/disk-set-record.ts';
import type { Claim, FilerDiskSetObject } from '../model/objects.ts';
import { recordsLetGo } from './disk-set-records.ts';
import { ask, messageOf, operationNamed, stateOf } from './operations.fixture.ts';
import { claimTemplate, spec, World } from './world.fixture.ts';

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
/** Somebody changes a record by hand. */
const change = (server: string, changed: Partial<FilerDiskSetObject>): void => {
  world.observed.filerDiskSets = world.observed.filerDiskSets.map((one) =>
    one.metadata.name === `home.${server}` ? { ...one, ...changed } : one,
  );
};
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

test('it says who holds the disk set', () => {
  expect(record()!.status).toMatchObject({ owner: 'a', holder: world.incarnation('a') });
  world.changeLease('a', { holderIdentity: '' });
  world.settle();
  expect(Object.keys(record()!.status!)).not.toContain('owner');
  expect(Object.keys(record()!.status!)).not.toContain('holder');
});

test('a status that has more or less than it should is written again', () => {
  const told = record()!.status!;
  const { history, ...less } = told;
  expect(history).toHaveLength(1);
  change('a', { status: less });
  world.settle();
  expect(record()!.status).toEqual(told);
  world.changeLease('a', { holderIdentity: '' });
  world.settle();
  const empty = record()!.status!;
  change('a', { status: { ...empty, holder: 'a/pod/run' } });
  world.settle();
  expect(record()!.status).toEqual(empty);
});

test('a claim that is not bound yet holds no data, and is not remembered', () => {
  const fresh = World.running();
  expect(fresh.observed.filerDiskSets.map(({ spec }) => spec.claims)).toEqual([[], []]);
});

test('a claim that somebody has put in the place of another takes its entry', () => {
  const before = uid();
  const claim = world.observed.claims[CLAIM] as Claim;
  world.withClaim(CLAIM, { ...claim, metadata: { ...claim.metadata, uid: 'uid-of-another' } });
  world.settle();
  expect(before).not.toBe('uid-of-another');
  expect(record()!.spec.claims).toEqual([{ volume: 'data', name: CLAIM, uid: 'uid-of-another' }]);
});

test('claims are in the order of their volumes, whatever the order in the spec', () => {
  const several = World.running({
    ...spec,
    volumes: ['data', 'archive', 'mail'].map((name) => ({ name, claimTemplate })),
  });
  for (const [name, claim] of Object.entries(several.observed.claims))
    if (typeof claim === 'object') several.withClaim(name, { ...claim, status: { phase: 'Bound' } });
  several.settle();
  const known = several.observed.filerDiskSets[0]!.spec.claims!;
  expect(known.map(({ volume }) => volume)).toEqual(['archive', 'data', 'mail']);
  several.withClaim('home.a.mail', 'absent');
  several.withClaim('home.a.archive', 'absent');
  several.settle();
  expect(several.observed.filerDiskSets[0]!.spec.claims).toEqual(known);
});

test('none is made for a pair that is not accepted', () => {
  const fresh = new World();
  fresh.changeClass({
    allowedNamespaces: { from: 'Labels', matchLabels: { team: 'storage' } },
  });
  expect(fresh.plan().actions.filter(({ resource }) => resource === 'filerDiskSets')).toEqual([]);
});

test('one that is lost is made anew for a pair that is not accepted any more: its disk sets are there', () => {
  world.changeClass({ limits: {}, allowedNamespaces: { from: 'Labels', matchLabels: { team: 'storage' } } });
  world.observed.filerDiskSets = [];
  world.settle();
  expect(record()!.spec.epochFloor).toBe(1);
});

describe('the storage’s promise', () => {
  test('is what any of the records says', () => {
    const [a, b] = world.observed.filerDiskSets;
    const { storageType: _, ...untold } = a!.spec;
    const known = { ...world.observed, filerDiskSets: [{ ...a!, spec: untold }, b!] };
    expect(recordedStorageType(known)).toBe('SharedCoherent');
    expect(recordedStorageType({ ...known, filerDiskSets: [{ ...a!, spec: untold }] })).toBeNull();
  });

  test('is written into a record that does not have it', () => {
    const { storageType: _, ...untold } = record()!.spec;
    change('a', { spec: untold });
    world.settle();
    expect(record()!.spec.storageType).toBe('SharedCoherent');
  });
});

describe('what somebody takes from a record', () => {
  const unheld = () =>
    change('a', { metadata: { ...record()!.metadata, finalizers: ['example.org/other'] } });
  const patches = () =>
    world
      .plan()
      .actions.flatMap((one) => (one.kind === 'patch' && one.resource === 'filerDiskSets' ? [one] : []));

  test('comes back: its finalizer, beside those of others', () => {
    unheld();
    const { resourceVersion } = record()!.metadata;
    expect(patches()).toMatchObject([{ why: 'what is known has changed' }]);
    // Nothing of the spec is in it.
    expect(patches()[0]!.patch).toEqual({
      metadata: { resourceVersion, finalizers: ['example.org/other', 'filerpair.dev/in-use'] },
    });
  });

  test('comes back: its labels', () => {
    const before = record()!.metadata.labels;
    const { labels: _, ...metadata } = record()!.metadata;
    change('a', { metadata });
    world.settle();
    expect(record()!.metadata.labels).toEqual(before);
  });

  test('comes back together with what is news', () => {
    unheld();
    world.claims('b', 'a', 7);
    expect(patches()).toMatchObject([
      {
        why: 'its disk set is at epoch 7',
        patch: { spec: { epochFloor: 7 }, metadata: { finalizers: { length: 2 } } },
      },
    ]);
  });

  test('comes back no more once it is being deleted: it takes no finalizers', () => {
    unheld();
    const deletionTimestamp = new Date(world.now).toISOString();
    change('a', { metadata: { ...record()!.metadata, deletionTimestamp } });
    world.claims('b', 'a', 7);
    const about = world
      .plan()
      .actions.filter(
        (one) => one.resource === 'filerDiskSets' && (!('name' in one) || one.name === 'home.a'),
      );
    expect(about).toEqual([]);
  });

  test('one that is being deleted while it is held still learns', () => {
    const deletionTimestamp = new Date(world.now).toISOString();
    change('a', { metadata: { ...record()!.metadata, deletionTimestamp } });
    world.claims('b', 'a', 7);
    world.settle();
    expect(record()!.spec.epochFloor).toBe(7);
    expect(record()!.metadata.finalizers).toEqual(['filerpair.dev/in-use']);
  });
});

describe('its history', () => {
  test('is in the order of epochs, also when the Lease tells an older change', () => {
    const first = world.lease('a').metadata.annotations![leaseAnnotations.lastTransition]!;
    world.claims('b', 'a', 2);
    world.settle();
    world.claims('a', 'a', 3);
    world.settle();
    world.changeLease('a', {}, { [leaseAnnotations.lastTransition]: first });
    world.settle();
    expect(record()!.status!.history!.map(({ epoch }) => epoch)).toEqual([3, 2, 1]);
  });

  test('tells the reason that somebody gave, and none where nobody did', () => {
    const told = JSON.parse(
      world.lease('a').metadata.annotations![leaseAnnotations.lastTransition]!,
    ) as object;
    const [first] = record()!.status!.history!;
    expect(Object.keys(first!)).not.toContain('reason');
    const lastTransition = JSON.stringify({ ...told, epoch: 2, reason: 'new kernel' });
    world.changeLease('a', {}, { [leaseAnnotations.lastTransition]: lastTransition });
    world.settle();
    expect(record()!.status!.history![0]).toMatchObject({ epoch: 2, reason: 'new kernel' });
  });
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

  describe('and is given up by an operation', () => {
    /** One look of the operator. */
    const look = (): void => {
      for (const action of world.plan().actions) world.carryOut(action);
    };
    let lost: string;

    beforeEach(() => {
      lost = uid();
      loseClaim();
      world.settle();
      ask(world, 'empty', recreate(lost));
    });

    test('is said to be so first, then forgotten, then made', () => {
      look();
      expect(messageOf(world, 'empty')).toContain(`${CLAIM} is given up`);
      expect(record()!.spec.claims).toHaveLength(1);
      look();
      expect(messageOf(world, 'empty')).toContain('An empty claim is made');
      expect(record()!.spec.claims).toEqual([]);
      world.withClaim(CLAIM, 'unknown');
      look();
      expect(stateOf(world, 'empty')).toBe('waits/Recreating');
      expect(messageOf(world, 'empty')).toContain(`${CLAIM} is being made`);
      loseClaim();
      world.settle();
      expect(stateOf(world, 'empty')).toBe('Complete/Recreated');
      expect(Object.keys(operationNamed(world, 'empty').status!)).toEqual([
        'conditions',
        'startTime',
        'completionTime',
      ]);
    });

    test('is not while the API does not say whether it exists', () => {
      look();
      world.withClaim(CLAIM, 'unknown');
      world.settle();
      expect(messageOf(world, 'empty')).toContain('The API did not say whether');
      expect(record()!.spec.claims).toHaveLength(1);
    });

    test('is forgotten by the record alone where the Lease knows nothing of the volume, or is gone', () => {
      look();
      const forgets = (): string[] =>
        world
          .plan()
          .actions.filter(({ part }) => part === 'recreation of a claim')
          .map(({ kind, resource }) => `${kind} ${resource}`);
      expect(forgets()).toEqual(['patch filerDiskSets']);
      world.changeLease(
        'a',
        {},
        { [leaseAnnotations.written]: JSON.stringify({ epoch: 1, volumes: { data: 'uuid-1' } }) },
      );
      expect(forgets()).toEqual(['patch leases', 'patch filerDiskSets']);
      world.remove('leases', 'home.a');
      expect(forgets()).toEqual(['patch filerDiskSets']);
    });
  });

  test.each([
    [undefined, /PersistentVolumeClaim home\.a\.data exists\.$/],
    ['2026-11-23T12:10:00Z', /exists and is being deleted; create the operation when it is gone\.$/],
  ])('one that is there yet is not lost (deleted: %s)', (deletionTimestamp, says) => {
    const claim = world.observed.claims[CLAIM] as Claim;
    const metadata = { ...claim.metadata, ...(deletionTimestamp && { deletionTimestamp }) };
    world.withClaim(CLAIM, { ...claim, metadata });
    ask(world, 'empty', recreate(uid()));
    world.settle();
    expect(messageOf(world, 'empty')).toMatch(says);
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

describe('a record is let go', () => {
  const letGo = (metadata: object) => {
    const [first] = world.observed.filerDiskSets;
    return recordsLetGo({
      ...world.observed,
      filerDiskSets: [{ ...first!, metadata: { ...first!.metadata, ...metadata } }],
    }).map((one) => (one.kind === 'patch' ? one.patch['metadata'] : one.kind));
  };

  test('with the finalizers of others left to it, and deleted', () => {
    const resourceVersion = record()!.metadata.resourceVersion;
    expect(letGo({ finalizers: ['filerpair.dev/in-use', 'example.org/other'] })).toEqual([
      { resourceVersion, finalizers: ['example.org/other'] },
      'delete',
    ]);
  });

  test('without a patch where it is not held, without a deletion where it is being deleted', () => {
    expect(letGo({ finalizers: undefined })).toEqual(['delete']);
    const deletionTimestamp = '2026-11-23T12:10:00Z';
    expect(letGo({ finalizers: [], deletionTimestamp })).toEqual([]);
    expect(letGo({ deletionTimestamp })).toMatchObject([{ finalizers: [] }]);
  });
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
