/** Drained servers: desired state, in force as long as it stands in the spec. */

import { beforeEach, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { answerRequest, ask, requestOn } from '../plan/operations.fixture.ts';
import { World } from '../plan/world.fixture.ts';
import { drains } from './drain.ts';

let world: World;

beforeEach(() => {
  world = World.running();
});

const drain = (...servers: string[]) =>
  world.changeSpec({ maintenance: { reason: 'new switches', drain: servers } });
const noteOn = (server: string) => world.lease(server).metadata.annotations?.[leaseAnnotations.drain];
const state = () => drains(world.view()).map((one) => one.state);

test('the partner is asked to take over, and its giveback is held', () => {
  drain('a');
  world.settle();
  expect(requestOn(world, 'a')).toMatchObject({ kind: 'takeover', reason: 'a is drained: new switches' });
  expect([noteOn('a'), noteOn('b')]).toEqual(['new switches', undefined]);
  expect(state()).toEqual(['Draining']);
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  expect(state()).toEqual(['Drained']);
});

test('what is noted on the Lease says why in the log', () => {
  const told = () =>
    world
      .settle()
      .flatMap((one) => (one.resource === 'leases' && one.why.includes('drained') ? [one.why] : []));
  drain('a');
  expect(told()[0]).toBe('a is drained');
  drain();
  expect(told()).toEqual(['a is not drained any more']);
});

test('nothing is asked for of a server that owns nothing any more', () => {
  world.claims('b', 'a', 2);
  world.settle();
  drain('a');
  world.settle();
  expect(requestOn(world, 'a')).toBeNull();
  expect(state()).toEqual(['Drained']);
});

test('a refused takeover is asked for again after a while, under another id', () => {
  drain('a');
  world.settle();
  const first = requestOn(world, 'a')!.id;
  answerRequest(world, 'a', 'refused', 'PartnerNotSteady: b starts');
  world.settle();
  expect(drains(world.view())[0]?.message).toContain('PartnerNotSteady: b starts');
  const due = world.plan().wakeAt!;
  expect(due - world.now).toBeLessThanOrEqual(30_000);
  world.now = due;
  world.settle();
  expect(requestOn(world, 'a')!.id).not.toBe(first);
});

test('when the home server comes back to its disk set by itself, it is drained again', () => {
  drain('a');
  world.settle();
  world.claims('b', 'a', 2);
  answerRequest(world, 'a', 'done', 'b owns it');
  world.settle();
  world.claims('a', 'a', 3);
  world.settle();
  expect(requestOn(world, 'a')!.id).toContain('drain-a-3-');
});

test('its end lets the giveback happen', () => {
  drain('a');
  world.settle();
  drain();
  world.settle();
  expect(noteOn('a')).toBeUndefined();
  expect(state()).toEqual([]);
});

test('somebody’s operation comes first', () => {
  ask(world, 'other', { type: 'Takeover', takeover: { server: 'a' }, reason: 'mine' });
  drain('a');
  world.settle();
  expect(requestOn(world, 'a')).toMatchObject({ reason: 'mine' });
});
