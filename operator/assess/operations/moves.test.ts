/** Takeovers and givebacks as FilerPairOperations: each ends once, says how, and acts at most once. */

import { beforeEach, describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../../kubernetes/labels-and-annotations.ts';
import {
  answerRequest,
  ask,
  messageOf,
  operationNamed,
  requestOn,
  stateOf,
} from '../../plan/operations.fixture.ts';
import { World } from '../../plan/world.fixture.ts';

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
  world.settle();
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  // Something else was asked for and answered meanwhile.
  const other = JSON.stringify({ id: 'operation-other', result: 'done', message: 'a owns it' });
  world.claims('a', 'a', 3);
  world.changeLease('a', {}, { [leaseAnnotations.requestResult]: other });
  const ended = world.observed.filerPairOperations;
  world.observed.filerPairOperations = seen;
  const passedOn = world.plan().actions.filter(({ part }) => part === 'operation update');
  expect(passedOn.map(({ kind, resource, needs }) => [kind, resource, needs])).toEqual([
    ['confirmUnended', 'filerPairOperations', ['operation update']],
    ['patch', 'leases', ['operation update']],
  ]);
  world.observed.filerPairOperations = ended;
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

test('waits for a pair that is not there yet', () => {
  ask(world, 'it', takeover());
  world.observed.pair = null;
  for (const action of world.plan().actions) world.carryOut(action);
  expect(stateOf(world, 'it')).toBe('waits/PairNotFound');
  expect(messageOf(world, 'it')).toContain('There is no FilerPair');
});

test('an event tells how it ended', () => {
  ask(world, 'back', giveback());
  const events = world.settle().flatMap(({ event }) => event ?? []);
  expect(events).toMatchObject([
    { type: 'Normal', reason: 'OperationComplete', note: expect.stringContaining('NothingToDo') },
  ]);
});
