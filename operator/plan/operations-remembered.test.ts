/** What is created again, by Git or from a backup, does nothing: the FilerDiskSet remembers what was carried out. */

import { beforeEach, describe, expect, test } from 'vitest';
import { filerDiskSetSpec, OPERATIONS_REMEMBERED_MAX } from '../../crds/filer-disk-set.ts';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Action } from '../model/action.ts';
import type { Claim, FilerDiskSetObject } from '../model/objects.ts';
import {
  answerRequest,
  ask,
  messageOf,
  operationNamed,
  requestOn,
  stateOf,
  withdraw,
} from './operations.fixture.ts';
import { running } from './reattach-world.fixture.ts';
import { World } from './world.fixture.ts';

let world: World;

beforeEach(() => {
  world = World.running();
});

const takeover = (more: object = {}) => ({ type: 'Takeover' as const, takeover: { server: 'a', ...more } });
const giveback = { type: 'Giveback' as const, giveback: { server: 'a' } };

const record = (server = 'a'): FilerDiskSetObject =>
  world.observed.filerDiskSets.find(({ metadata }) => metadata.name === `home.${server}`)!;

const entries = () => record().spec.operations ?? [];

/** Of what is there in the API, as the operator sees it. */
function change(changed: Partial<FilerDiskSetObject['spec']>): void {
  world.observed.filerDiskSets = world.observed.filerDiskSets.map((one) =>
    one === record() ? { ...one, spec: { ...one.spec, ...changed } } : one,
  );
}

/** The servers do what is asked. */
function done(epoch: number): void {
  world.claims(epoch % 2 === 0 ? 'b' : 'a', 'a', epoch);
  answerRequest(world, 'a', 'done', 'it is done');
  world.settle();
}

/** An operation from its creation until its time after the end is over; then the disk set fails back by itself. */
function carriedOut(name = 'update', asked: Parameters<typeof ask>[2] = takeover()): void {
  ask(world, name, asked);
  world.settle();
  done(2);
  expect(stateOf(world, name)).toBe('Complete/TakenOver');
  world.now += 8 * 24 * 3_600_000;
  world.settle();
  expect(world.observed.filerPairOperations).toEqual([]);
  world.claims('a', 'a', 3);
  world.settle();
}

/** As the operator carries a plan out: what needs something that failed is left out. Returns what was done. */
function attempt(actions: readonly Action[], dies = Number.POSITIVE_INFINITY): Action[] {
  const failed = new Set<string | undefined>();
  const carried: Action[] = [];
  for (const action of actions) {
    if (carried.length >= dies) break;
    const held = action.needs?.some((part) => failed.has(part)) === true;
    if (held || !world.carryOut(action)) failed.add(action.part);
    else carried.push(action);
  }
  return carried;
}

test('an operation that is created again after its time is over fails at once, and says when it was done and the way out', () => {
  carriedOut();
  ask(world, 'update', takeover());
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/AlreadyCarriedOut');
  expect(messageOf(world, 'update')).toBe(
    'A FilerPairOperation of this name and spec was carried out (TakenOver, 2026-11-23T12:00:00Z). Created again it does nothing. If it is to be done again, give it another name, or ifEpoch.',
  );
  expect(requestOn(world, 'a')).toBeNull();
  expect(world.plan().actions).toEqual([]);
});

test('nor does it the third time', () => {
  carriedOut();
  for (let round = 0; round < 2; round++) {
    ask(world, 'update', takeover());
    world.settle();
    world.now += 8 * 24 * 3_600_000;
    world.settle();
    expect(world.observed.filerPairOperations).toEqual([]);
  }
  ask(world, 'update', takeover());
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/AlreadyCarriedOut');
});

test.each<[what: string, name: string, asked: Parameters<typeof ask>[2]]>([
  ['of another name', 'again', takeover()],
  ['with another spec', 'update', { ...takeover(), reason: 'newer kernel' }],
  ['with the epoch for which it is meant', 'update', takeover({ ifEpoch: 3 })],
])('one %s is another one', (_what, name, asked) => {
  carriedOut();
  ask(world, name, asked);
  world.settle();
  expect(stateOf(world, name)).toBe('waits/Requested');
});

test('the order of fields in a spec means nothing', () => {
  carriedOut('update', { ...takeover(), reason: 'new kernel' });
  ask(world, 'update', { reason: 'new kernel', takeover: { server: 'a' }, type: 'Takeover' });
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/AlreadyCarriedOut');
});

test('one with an epoch is not remembered: the epoch decides', () => {
  carriedOut('update', takeover({ ifEpoch: 1 }));
  expect(entries()).toEqual([]);
  ask(world, 'update', takeover({ ifEpoch: 1 }));
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/EpochMismatch');
});

test('the record says what was done, when and how it ended, as the API takes it', () => {
  ask(world, 'update', takeover());
  const { uid } = operationNamed(world, 'update').metadata;
  world.settle();
  const about = { name: 'update', uid, type: 'Takeover', epoch: 1, startTime: '2026-11-23T12:00:00Z' };
  expect(entries()).toMatchObject([{ ...about, lastSeenTime: '2026-11-23T12:00:00Z' }]);
  expect(Object.keys(entries()[0]!)).not.toContain('reason');
  world.now += 5000;
  done(2);
  const completionTime = '2026-11-23T12:00:05Z';
  expect(entries()).toMatchObject([
    { ...about, reason: 'TakenOver', completionTime, lastSeenTime: completionTime },
  ]);
  expect(filerDiskSetSpec.safeParse(record().spec).error).toBeUndefined();
  expect(record('b').spec.operations ?? []).toEqual([]);
  expect(world.plan().actions).toEqual([]);
});

describe('an operator that dies', () => {
  test('has written it down before it asks the servers', () => {
    ask(world, 'update', takeover());
    const about = world
      .plan()
      .actions.filter(({ resource }) => resource === 'filerDiskSets' || resource === 'leases');
    expect(about.map(({ kind, resource }) => `${kind} ${resource}`)).toEqual([
      'patch filerDiskSets',
      'patch leases',
    ]);
    expect(about[1]!.needs).toContain(about[0]!.part);
  });

  test('in between leaves it to its successor, which asks the servers', () => {
    ask(world, 'update', takeover());
    attempt(world.plan().actions, 1);
    expect(entries()).toHaveLength(1);
    expect(requestOn(world, 'a')).toBeNull();
    world.settle();
    expect(requestOn(world, 'a')).toMatchObject({ kind: 'takeover' });
    done(2);
    expect(stateOf(world, 'update')).toBe('Complete/TakenOver');
    expect(entries()).toHaveLength(1);
  });

  test('in between, before the disk set changes its owner by itself: it is not carried out any more', () => {
    ask(world, 'update', takeover());
    attempt(world.plan().actions, 1);
    world.claims('b', 'a', 2);
    world.claims('a', 'a', 3);
    world.settle();
    expect(stateOf(world, 'update')).toBe('Failed/EpochMismatch');
    expect(messageOf(world, 'update')).toContain('accepted at epoch 1, and the disk set of a is at epoch 3');
    expect(requestOn(world, 'a')).toBeNull();
    ask(world, 'update', takeover());
    world.settle();
    expect(stateOf(world, 'update')).toBe('Failed/AlreadyCarriedOut');
  });

  test('after the servers did it, and their answer is lost: it is not carried out again', () => {
    ask(world, 'update', takeover());
    world.settle();
    world.claims('b', 'a', 2);
    world.claims('a', 'a', 3);
    // Somebody else has asked for something by the control socket.
    const annotations = {
      [leaseAnnotations.request]: null,
      [leaseAnnotations.requestResult]: '{"id":"cli-1","result":"done","message":"ok"}',
    };
    world.changeLease('a', {}, annotations);
    world.settle();
    expect(stateOf(world, 'update')).toBe('Failed/EpochMismatch');
    expect(requestOn(world, 'a')).toBeNull();
  });
});

test('two operators: one whose record is an old one writes nothing into it, and asks nothing', () => {
  ask(world, 'update', takeover());
  const old = world.plan().actions;
  // The other one learns something.
  world.observed.filerDiskSets = world.observed.filerDiskSets.map((one) => ({
    ...one,
    metadata: { ...one.metadata, resourceVersion: 'newer' },
  }));
  const carried = attempt(old).map(({ kind, resource }) => `${kind} ${resource}`);
  expect(carried).not.toContain('patch filerDiskSets');
  expect(carried).not.toContain('patch leases');
  expect(requestOn(world, 'a')).toBeNull();
});

describe('two operators, of which one sees that the disks have to stay', () => {
  const kept = (deletionTimestamp: string | undefined): void => {
    const claim = world.observed.claims['home.a.data'] as Claim;
    const { deletionTimestamp: _, ...metadata } = claim.metadata;
    const its = deletionTimestamp === undefined ? metadata : { ...metadata, deletionTimestamp };
    world.withClaim('home.a.data', { ...claim, metadata: its });
  };
  const plans = (): [accepts: readonly Action[], refuses: readonly Action[]] => {
    world = running();
    ask(world, 'update', takeover());
    const accepts = world.plan().actions;
    kept('2026-11-23T12:00:00Z');
    return [accepts, world.plan().actions];
  };

  test('which is the first: the other one passes nothing on', () => {
    const [accepts, refuses] = plans();
    attempt(refuses);
    expect(stateOf(world, 'update')).toBe('Failed/DisksHeld');
    attempt(accepts);
    expect(requestOn(world, 'a')).toBeNull();
    world.settle();
    expect(entries()).toEqual([]);
  });

  test('which comes second: it has not failed, waits, and is passed on when the disks may move', () => {
    const [accepts, refuses] = plans();
    attempt(accepts, 1);
    attempt(refuses);
    expect(stateOf(world, 'update')).not.toBe('Failed/DisksHeld');
    world.settle();
    expect(stateOf(world, 'update')).toBe('waits/Requested');
    expect(messageOf(world, 'update')).toContain('home.a.data is being deleted');
    expect(requestOn(world, 'a')).toBeNull();
    kept(undefined);
    world.settle();
    expect(requestOn(world, 'a')).toMatchObject({ kind: 'takeover' });
  });
});

test('one whose status was dropped ends as the record says, and Complete only while that holds', () => {
  const dropped = (): void => {
    world.changeLease('a', {}, { [leaseAnnotations.requestResult]: null });
    world.observed.filerPairOperations = world.observed.filerPairOperations.map(
      ({ status: _, ...one }) => one,
    );
    world.settle();
  };
  ask(world, 'update', takeover());
  world.settle();
  done(2);
  dropped();
  expect(stateOf(world, 'update')).toBe('Complete/TakenOver');
  expect(messageOf(world, 'update')).toBe(
    'It has ended so at 2026-11-23T12:00:00Z, as the FilerDiskSet says.',
  );
  world.claims('a', 'a', 3);
  dropped();
  expect(stateOf(world, 'update')).toBe('Failed/UndoneSince');
  expect(requestOn(world, 'a')).toBeNull();
});

test('one of the same name and spec that is under way: the new object fails, and how the other ended is not known', () => {
  ask(world, 'update', takeover());
  world.settle();
  ask(world, 'update', takeover());
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/AlreadyCarriedOut');
  expect(messageOf(world, 'update')).toContain(
    'was passed on at 2026-11-23T12:00:00Z, and how it ended is not known',
  );
  expect(requestOn(world, 'a')).toBeNull();
});

test('what the servers have refused may be asked for again under the same name', () => {
  ask(world, 'update', takeover());
  world.settle();
  answerRequest(world, 'a', 'refused', 'PartnerCannotServe: b is full');
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/Refused');
  expect(entries()).toEqual([]);
  ask(world, 'update', takeover());
  world.settle();
  expect(stateOf(world, 'update')).toBe('waits/Requested');
});

test('what failed before anybody was asked may be asked for again under the same name', () => {
  world.changeSpec({ maintenance: { reason: 'new disks', drain: ['a'] } });
  world.claims('b', 'a', 2);
  world.settle();
  ask(world, 'back', giveback);
  world.settle();
  expect(stateOf(world, 'back')).toBe('Failed/ServerDrained');
  expect(entries()).toEqual([]);
});

test('what was the case already is remembered too: created again it would move the disk set', () => {
  ask(world, 'back', { ...giveback, ttlSecondsAfterFinished: 0 });
  world.settle();
  expect(world.observed.filerPairOperations).toEqual([]);
  expect(entries()).toMatchObject([{ name: 'back', reason: 'NothingToDo' }]);
  world.claims('b', 'a', 2);
  world.settle();
  ask(world, 'back', { ...giveback, ttlSecondsAfterFinished: 0 });
  const actions = world.plan().actions.filter(({ resource }) => resource === 'leases');
  expect(actions).toEqual([]);
});

test('one that was carried out before there was a memory is learned while its object is there', () => {
  ask(world, 'update', takeover());
  world.settle();
  done(2);
  change({ operations: undefined });
  world.settle();
  expect(entries()).toMatchObject([{ name: 'update', reason: 'TakenOver' }]);
  expect(world.plan().actions).toEqual([]);
});

test('a record that is made anew begins with what is there', () => {
  ask(world, 'update', takeover());
  world.settle();
  done(2);
  world.observed.filerDiskSets = [];
  world.settle();
  expect(entries()).toMatchObject([{ name: 'update', reason: 'TakenOver' }]);
});

test('without a record nothing is asked of the servers', () => {
  world.observed.filerDiskSets = [];
  ask(world, 'update', takeover());
  attempt(world.plan().actions);
  expect(stateOf(world, 'update')).toBe('waits/NoRecord');
  expect(requestOn(world, 'a')).toBeNull();
  world.settle();
  expect(stateOf(world, 'update')).toBe('waits/Requested');
});

test('nor with one that is going, which nobody can write to', () => {
  const { finalizers: _, ...metadata } = record().metadata;
  const going = { ...record(), metadata: { ...metadata, deletionTimestamp: '2026-11-23T12:00:00Z' } };
  world.observed.filerDiskSets = world.observed.filerDiskSets.map((one) => (one === record() ? going : one));
  ask(world, 'update', takeover());
  attempt(world.plan().actions);
  expect(stateOf(world, 'update')).toBe('waits/NoRecord');
});

describe('there is room for so many', () => {
  const full = (present: boolean): void => {
    const at = (minute: number): string => new Date(world.now - minute * 60_000).toISOString();
    for (let index = 0; index < OPERATIONS_REMEMBERED_MAX; index++)
      ask(world, `old-${index}`, { ...takeover(), reason: String(index) });
    world.observed.filerPairOperations = world.observed.filerPairOperations.map((one, index) => ({
      ...one,
      status: {
        startTime: at(1000 - index),
        completionTime: at(1000 - index),
        conditions: [
          {
            type: 'Complete' as const,
            status: 'True' as const,
            reason: 'TakenOver',
            message: 'b owns it',
            lastTransitionTime: at(1000 - index),
          },
        ],
      },
    }));
    world.settle();
    expect(entries()).toHaveLength(OPERATIONS_REMEMBERED_MAX);
    if (!present) world.observed.filerPairOperations = [];
  };
  const names = () => entries().map(({ name }) => name);

  test('the one that was seen last the longest ago is forgotten for the next', () => {
    full(false);
    ask(world, 'update', takeover());
    world.settle();
    expect(stateOf(world, 'update')).toBe('waits/Requested');
    expect(names()).toHaveLength(OPERATIONS_REMEMBERED_MAX);
    expect(names()).not.toContain('old-0');
    expect(names()).toContain('old-1');
    expect(names()).toContain('update');
  });

  test('what Git keeps creating is not forgotten', () => {
    full(false);
    ask(world, 'old-0', { ...takeover(), reason: '0' });
    world.settle();
    expect(stateOf(world, 'old-0')).toBe('Failed/AlreadyCarriedOut');
    withdraw(world, 'old-0');
    ask(world, 'update', takeover());
    world.settle();
    expect(names()).toContain('old-0');
    expect(names()).not.toContain('old-1');
  });

  test('nor what is still there: one more fails, and says what to do', () => {
    full(true);
    ask(world, 'update', takeover());
    world.settle();
    expect(stateOf(world, 'update')).toBe('Failed/TooManyOperations');
    expect(messageOf(world, 'update')).toContain('Delete some of them, or give this one ifEpoch');
    expect(requestOn(world, 'a')).toBeNull();
    withdraw(world, 'old-7');
    ask(world, 'update-2', takeover());
    world.settle();
    expect(stateOf(world, 'update-2')).toBe('waits/Requested');
    expect(names()).not.toContain('old-7');
  });
});
