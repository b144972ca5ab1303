/** Takeovers and givebacks as FilerPairOperations: each ends once, says how, and acts at most once. */

import { beforeEach, describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../../kubernetes/labels-and-annotations.ts';
import type { PairEvent } from '../../model/action.ts';
import type { FilerPairOperationObject } from '../../model/objects.ts';
import { operationsDueAt } from '../../plan/operation-actions.ts';
import {
  answerRequest,
  ask,
  messageOf,
  operationNamed,
  requestOn,
  stateOf,
} from '../../plan/operations.fixture.ts';
import { running } from '../../plan/reattach-world.fixture.ts';
import { World } from '../../plan/world.fixture.ts';
import { answeredMoves, pendingMove } from './moves.ts';

let world: World;

beforeEach(() => {
  world = World.running();
});

const takeover = (more: object = {}) => ({ type: 'Takeover' as const, takeover: { server: 'a', ...more } });
const giveback = (more: object = {}) => ({ type: 'Giveback' as const, giveback: { server: 'a', ...more } });

test('becomes a request on the Lease; the answer ends it, and then the request goes', () => {
  ask(world, 'update', { ...takeover(), reason: 'new kernel' });
  world.settle();
  expect(requestOn(world, 'a')).toMatchObject({ kind: 'takeover', reason: 'new kernel' });
  expect(requestOn(world, 'b')).toBeNull();
  expect(stateOf(world, 'update')).toBe('waits/Requested');
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  expect(stateOf(world, 'update')).toBe('Complete/TakenOver');
  expect(operationNamed(world, 'update').status).toMatchObject({ epoch: 2 });
  expect(requestOn(world, 'a')).toBeNull();
});

test('asks for no force by itself', () => {
  ask(world, 'update', takeover());
  world.settle();
  const { uid } = operationNamed(world, 'update').metadata;
  expect(requestOn(world, 'a')).toEqual({
    id: `operation-${uid}`,
    kind: 'takeover',
    reason: 'FilerPairOperation update',
  });
});

test('a giveback that was done is complete when the server has its disk set', () => {
  world.claims('b', 'a', 2);
  world.settle();
  ask(world, 'back', giveback());
  world.settle();
  world.claims('a', 'a', 3);
  answerRequest(world, 'a', 'done', 'a owns it');
  world.settle();
  expect(stateOf(world, 'back')).toBe('Complete/GivenBack');
  expect(operationNamed(world, 'back').status).toMatchObject({ epoch: 3 });
});

test('a giveback that was undone since has failed', () => {
  world.claims('b', 'a', 2);
  world.settle();
  ask(world, 'back', giveback());
  world.settle();
  answerRequest(world, 'a', 'done', 'a owns it');
  world.settle();
  expect(stateOf(world, 'back')).toBe('Failed/UndoneSince');
});

test('fails where the disk set has no Lease yet', () => {
  const fresh = new World();
  ask(fresh, 'early', takeover());
  for (const action of fresh.plan().actions) fresh.carryOut(action);
  expect(stateOf(fresh, 'early')).toBe('Failed/NotStarted');
});

test('one that waits is pending, one that fails is not', () => {
  expect(pendingMove(world.view())).toBeNull();
  ask(world, 'late', takeover({ ifEpoch: 9 }));
  expect(pendingMove(world.view())).toBeNull();
  ask(world, 'other', { type: 'Takeover', takeover: { server: 'b' } });
  expect(pendingMove(world.view())?.metadata.name).toBe('other');
});

test('a request of the operator itself stays on the Lease until it is answered', () => {
  const answeredOn = (result: object | null): string[] => {
    const request = JSON.stringify({ id: 'rollout-takeover-1-1', kind: 'takeover', reason: 'new image' });
    const requestResult =
      result === null ? null : JSON.stringify({ result: 'done', message: 'b owns it', ...result });
    world.changeLease(
      'a',
      {},
      { [leaseAnnotations.request]: request, [leaseAnnotations.requestResult]: requestResult },
    );
    return answeredMoves(world.view()).map(({ name }) => name);
  };
  expect(answeredOn(null)).toEqual([]);
  expect(answeredOn({ id: 'rollout-takeover-1-0' })).toEqual([]);
  expect(answeredOn({ id: 'rollout-takeover-1-1' })).toEqual(['a']);
});

describe('disks that have to stay where they are', () => {
  const heldBy = (held: World): string => {
    ask(held, 'it', takeover());
    held.settle();
    expect(stateOf(held, 'it')).toBe('Failed/DisksHeld');
    expect(requestOn(held, 'a')).toBeNull();
    return messageOf(held, 'it');
  };

  test('because a claim is being deleted', () => {
    const held = running();
    const claim = held.observed.claims['home.a.data'];
    if (typeof claim !== 'object') throw new Error('a has no claim');
    const deletionTimestamp = new Date(held.now).toISOString();
    held.withClaim('home.a.data', { ...claim, metadata: { ...claim.metadata, deletionTimestamp } });
    const message = heldBy(held);
    expect(message).toContain(
      'home.a.data is being deleted, and would go with the pod that has to end for it.',
    );
    expect(message).toContain('See Degraded.');
  });

  test('because the class does not allow the pair any more', () => {
    const held = running();
    held.changeClass({ limits: {} });
    const message = heldBy(held);
    expect(message).toContain('the FilerPair is not accepted, so its disks stay where they are.');
    expect(message).toContain('See Ready.');
  });
});

test('the status says how it ended before the request leaves the Lease', () => {
  ask(world, 'update', takeover());
  world.settle();
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  const { actions } = world.plan();
  const about = actions.filter(({ resource }) => resource === 'filerPairOperations' || resource === 'leases');
  expect(about.map(({ kind, resource }) => `${kind} ${resource}`)).toEqual([
    'applyStatus filerPairOperations',
  ]);
});

test('is read again right before it is passed on: its end may be news that has not come yet', () => {
  ask(world, 'update', takeover());
  const seen = structuredClone(world.observed.filerPairOperations);
  const records = structuredClone(world.observed.filerDiskSets);
  world.settle();
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  // Something else was asked for and answered meanwhile.
  const other = JSON.stringify({ id: 'operation-other', result: 'done', message: 'a owns it' });
  world.claims('a', 'a', 3);
  world.changeLease('a', {}, { [leaseAnnotations.requestResult]: other });
  const ended = world.observed.filerPairOperations;
  const known = world.observed.filerDiskSets;
  world.observed.filerPairOperations = seen;
  world.observed.filerDiskSets = records;
  const passedOn = world.plan().actions.filter(({ part }) => part === 'operation update');
  expect(passedOn.map(({ kind, resource, needs }) => [kind, resource, needs])).toEqual([
    ['confirmUnended', 'filerPairOperations', ['operation update', 'record of a']],
    ['patch', 'leases', ['operation update', 'record of a']],
  ]);
  world.observed.filerPairOperations = ended;
  world.observed.filerDiskSets = known;
  expect(world.carryOut(passedOn[0]!), 'it has ended').toBe(false);
});

test('a refusal is a failure, in the server’s words', () => {
  ask(world, 'update', takeover());
  world.settle();
  answerRequest(world, 'a', 'refused', 'PartnerCannotServe: b is full');
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/Refused');
  expect(messageOf(world, 'update')).toBe('PartnerCannotServe: b is full');
  expect(requestOn(world, 'a')).toBeNull();
});

test('done is said only while it holds: its reader may be about to switch the old owner off', () => {
  ask(world, 'update', takeover());
  world.settle();
  answerRequest(world, 'a', 'done', 'b owns it');
  world.claims('a', 'a', 3);
  world.settle();
  expect(stateOf(world, 'update')).toBe('Failed/UndoneSince');
  expect(messageOf(world, 'update')).toContain('since then a owns the disk set of a (epoch 3)');
});

test('an answer to another request is no answer', () => {
  ask(world, 'update', takeover());
  world.settle();
  const old = JSON.stringify({ id: 'operation-old', result: 'done', message: 'long ago' });
  world.changeLease('a', {}, { [leaseAnnotations.requestResult]: old });
  world.settle();
  expect(stateOf(world, 'update')).toBe('waits/Requested');
});

describe('an object that is created again, by Git or from a backup', () => {
  test('fails when it names an epoch: it never acts twice', () => {
    ask(world, 'update', takeover({ ifEpoch: 1 }));
    world.settle();
    world.claims('b', 'a', 2);
    answerRequest(world, 'a', 'done', 'b owns it');
    world.settle();
    world.claims('a', 'a', 3);
    world.settle();
    ask(world, 'update', takeover({ ifEpoch: 1 }));
    world.settle();
    expect(stateOf(world, 'update')).toBe('Failed/EpochMismatch');
    expect(messageOf(world, 'update')).toContain('meant for epoch 1');
    expect(requestOn(world, 'a')).toBeNull();
  });

  test('that was passed on already waits for its answer, although the epoch has gone on', () => {
    ask(world, 'update', takeover({ ifEpoch: 1 }));
    world.settle();
    world.claims('b', 'a', 2);
    world.settle();
    expect(stateOf(world, 'update')).toBe('waits/Requested');
  });
});

test('what is the case already is complete, without a request', () => {
  ask(world, 'back', giveback());
  world.settle();
  expect(stateOf(world, 'back')).toBe('Complete/NothingToDo');
  expect(requestOn(world, 'a')).toBeNull();
});

test.each<
  [why: string, prepare: () => void, asked: () => Parameters<typeof ask>[2], state: string, says: string]
>([
  [
    'a server that is none of the pair’s',
    () => {},
    () => ({ type: 'Takeover', takeover: { server: 'c' } }),
    'Failed/ServerNotFound',
    'its servers are a and b',
  ],
  [
    'a giveback to a server that is drained',
    () => {
      world.changeSpec({ maintenance: { reason: 'new disks', drain: ['a'] } });
      world.claims('b', 'a', 2);
    },
    () => giveback(),
    'Failed/ServerDrained',
    'spec.maintenance.drain lists a',
  ],
  [
    'a takeover by a server that is drained',
    () => {
      world.changeSpec({ maintenance: { reason: 'new disks', drain: ['b'] } });
      world.claims('a', 'b', 2);
      world.settle();
    },
    () => takeover(),
    'Failed/ServerDrained',
    'spec.maintenance.drain lists b, so it takes no disk set over',
  ],
  [
    'what is asked of a pair that is being deleted',
    () => {
      const pair = world.observed.pair!;
      const deletionTimestamp = new Date(world.now).toISOString();
      world.observed.pair = { ...pair, metadata: { ...pair.metadata, deletionTimestamp } };
    },
    () => takeover(),
    'Failed/PairDeleted',
    'FilerPair home is being deleted.',
  ],
  [
    'a force that declares somebody dead who owns nothing',
    () => {},
    () => ({ ...takeover({ ifEpoch: 1, force: { deadIncarnation: 'a/old/run' } }), reason: 'burnt' }),
    'Failed/NotTheOwner',
    'It declares a/old/run dead',
  ],
  [
    'a force that says that nobody owns what somebody owns',
    () => {},
    () => takeover({ ifEpoch: 1, force: {} }),
    'Failed/NotTheOwner',
    'It declares nobody dead',
  ],
])('fails at once: %s', (_why, prepare, asked, state, says) => {
  prepare();
  ask(world, 'it', asked());
  world.settle();
  expect(stateOf(world, 'it')).toBe(state);
  expect(messageOf(world, 'it')).toContain(says);
  expect(requestOn(world, 'a')).toBeNull();
});

test('a forced one says to the servers which state of the Lease it is about', () => {
  const holder = world.incarnation('a');
  ask(world, 'it', {
    ...takeover({ ifEpoch: 1, force: { deadIncarnation: holder } }),
    reason: 'node-1 burns',
  });
  world.settle();
  const { acknowledger } = world.view().servers[0].lease!;
  expect(requestOn(world, 'a')).toMatchObject({
    force: true,
    reason: 'node-1 burns',
    about: { holder, epoch: 1, acknowledger },
  });
});

test('of two about one disk set the older is in force; about the other disk set at the same time', () => {
  ask(world, 'first', takeover());
  ask(world, 'second', giveback());
  ask(world, 'other', { type: 'Takeover', takeover: { server: 'b' } });
  world.settle();
  expect(stateOf(world, 'first')).toBe('waits/Requested');
  expect(stateOf(world, 'second')).toBe('waits/Queued');
  expect(messageOf(world, 'second')).toContain('FilerPairOperation first');
  expect(stateOf(world, 'other')).toBe('waits/Requested');
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  expect(stateOf(world, 'second')).toBe('waits/Requested');
  expect(requestOn(world, 'a')).toMatchObject({ kind: 'giveback' });
});

test('however many wait, the end of one changes the status of the next alone', () => {
  for (let index = 0; index < 50; index++)
    ask(world, `wish-${index}`, index % 2 === 0 ? takeover() : giveback());
  world.settle();
  expect(messageOf(world, 'wish-2')).toContain('FilerPairOperation wish-1');
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  const told = world
    .settle()
    .flatMap((one) =>
      one.kind === 'applyStatus' && one.resource === 'filerPairOperations' ? [one.object] : [],
    );
  expect(told.map(({ metadata }) => metadata.name)).toEqual(['wish-0', 'wish-1']);
});

test('the order in which the API lists them means nothing', () => {
  ask(world, 'first', takeover());
  ask(world, 'second', giveback());
  ask(world, 'third', giveback());
  world.observed.filerPairOperations = [2, 0, 1].map((index) => world.observed.filerPairOperations[index]!);
  world.settle();
  expect(stateOf(world, 'first')).toBe('waits/Requested');
  expect(stateOf(world, 'second')).toBe('waits/Queued');
  expect(stateOf(world, 'third')).toBe('waits/Queued');
});

test('a pending request of a rollout gives way to it', () => {
  const request = { id: 'rollout-takeover-1-1', kind: 'takeover', reason: 'the spec has changed' };
  world.changeLease('a', {}, { [leaseAnnotations.request]: JSON.stringify(request) });
  ask(world, 'it', {
    ...takeover({ ifEpoch: 1, force: { deadIncarnation: world.incarnation('a') } }),
    reason: 'burnt',
  });
  world.settle();
  expect(requestOn(world, 'a')).toMatchObject({
    id: `operation-${operationNamed(world, 'it').metadata.uid}`,
    force: true,
  });
});

test('what the control socket asked for on the Lease is left to it', () => {
  world.changeLease(
    'a',
    {},
    {
      [leaseAnnotations.request]: '{"id":"cli-1","kind":"takeover"}',
      [leaseAnnotations.requestResult]: '{"id":"cli-1","result":"done","message":"ok"}',
    },
  );
  world.settle();
  expect(requestOn(world, 'a')).toMatchObject({ id: 'cli-1' });
});

test('is deleted when its time after the end is over, and the operator wakes up for it', () => {
  ask(world, 'back', { ...giveback(), ttlSecondsAfterFinished: 60 });
  world.settle();
  expect(world.plan().wakeAt).toBe(world.now + 60_000);
  world.now += 59_999;
  world.settle();
  expect(world.observed.filerPairOperations).toHaveLength(1);
  world.now += 1;
  world.settle();
  expect(world.observed.filerPairOperations).toEqual([]);
});

describe('the time after the end', () => {
  const due = (
    change: (operation: FilerPairOperationObject) => FilerPairOperationObject,
  ): (number | null)[] => {
    world.observed.filerPairOperations = world.observed.filerPairOperations.map(change);
    return operationsDueAt(world.observed);
  };

  test('is a week where nothing is said', () => {
    ask(world, 'back', giveback());
    world.settle();
    expect(due((one) => one)).toEqual([world.now + 7 * 24 * 3_600_000]);
  });

  test('is none for one that waits, whatever else its status says', () => {
    ask(world, 'update', takeover());
    world.settle();
    expect(due((one) => one)).toEqual([null]);
    const completionTime = new Date(world.now).toISOString();
    expect(due((one) => ({ ...one, status: { ...one.status!, completionTime } }))).toEqual([null]);
  });

  test('is none for one that is being deleted, or does not say when it ended', () => {
    ask(world, 'back', giveback());
    world.settle();
    const deletionTimestamp = new Date(world.now).toISOString();
    const deleted = due((one) => ({ ...one, metadata: { ...one.metadata, deletionTimestamp } }));
    expect(deleted).toEqual([null]);
    const { deletionTimestamp: _, ...metadata } = world.observed.filerPairOperations[0]!.metadata;
    const untold = due(({ status, ...one }) => ({
      ...one,
      metadata,
      status: { conditions: status!.conditions },
    }));
    expect(untold).toEqual([null]);
  });
});

test('waits for a pair that is not there yet', () => {
  ask(world, 'it', takeover());
  world.observed.pair = null;
  for (const action of world.plan().actions) world.carryOut(action);
  expect(stateOf(world, 'it')).toBe('waits/PairNotFound');
  expect(messageOf(world, 'it')).toContain('There is no FilerPair');
});

describe('an event', () => {
  const eventsOf = (): (PairEvent | undefined)[] => world.settle().flatMap(({ event }) => event ?? []);

  test('tells that it is complete', () => {
    ask(world, 'back', giveback());
    expect(eventsOf()).toMatchObject([
      {
        type: 'Normal',
        reason: 'OperationComplete',
        note: expect.stringMatching(/^FilerPairOperation back \(Giveback\) is complete: NothingToDo: /),
      },
    ]);
  });

  test('tells that it has failed', () => {
    ask(world, 'late', takeover({ ifEpoch: 9 }));
    expect(eventsOf()).toMatchObject([
      {
        type: 'Warning',
        reason: 'OperationFailed',
        note: expect.stringMatching(/^FilerPairOperation late \(Takeover\) has failed: EpochMismatch: /),
      },
    ]);
  });

  test('does not tell of one that waits', () => {
    ask(world, 'update', takeover());
    expect(eventsOf()).toEqual([]);
  });
});

describe('the status', () => {
  const statusOf = (name: string) => operationNamed(world, name).status!;
  const put = (name: string, status: object): void => {
    world.observed.filerPairOperations = world.observed.filerPairOperations.map((one) =>
      one.metadata.name === name ? { ...one, status: status as NonNullable<typeof one.status> } : one,
    );
  };

  test('says nothing of an epoch or of snapshots where there are none', () => {
    ask(world, 'late', takeover({ ifEpoch: 9 }));
    ask(world, 'other', { type: 'Takeover', takeover: { server: 'b' } });
    world.settle();
    expect(Object.keys(statusOf('late'))).toEqual(['conditions', 'startTime', 'completionTime']);
    expect(Object.keys(statusOf('other'))).toEqual(['conditions', 'startTime']);
  });

  test('that has more or less than it should is written again', () => {
    ask(world, 'update', takeover());
    world.settle();
    const told = statusOf('update');
    put('update', { ...told, epoch: 7 });
    world.settle();
    expect(statusOf('update')).toEqual(told);
    put('update', { conditions: told.conditions });
    world.settle();
    expect(statusOf('update')).toEqual(told);
  });
});
