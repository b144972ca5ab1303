import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { serverNamed } from '../model/view.ts';
import { World } from '../plan/world.fixture.ts';
import { requestFindings } from './requests.ts';

const asking = (annotations: Record<string, string>): World => {
  const world = World.running();
  world.annotatePair(annotations);
  return world;
};
const kinds = (world: World) => requestFindings(world.view()).map(({ kind }) => kind);

describe('is refused with a sentence', () => {
  test.each([
    [
      { 'filerpair.dev/takeover': 'filer-c' },
      'names "filer-c", which is no server of this pair; the value must be filer-a or filer-b',
    ],
    [
      { 'filerpair.dev/giveback': 'filer-a' },
      'Nothing to do: filer-a owns the disk set of filer-a already (epoch 1).',
    ],
  ])('%j', (annotations, message) => {
    const [found] = requestFindings(asking(annotations).view());
    expect(found).toMatchObject({ kind: 'refuse' });
    expect((found as { message: string }).message).toContain(message);
  });
});

test('is passed on with the reason that was given, and waits until the servers answer', () => {
  const world = asking({ 'filerpair.dev/takeover': 'filer-a', 'filerpair.dev/reason': 'kernel update' });
  const [found] = requestFindings(world.view());
  expect(found).toMatchObject({ kind: 'pass on', request: { kind: 'takeover', reason: 'kernel update' } });
  world.settle();
  expect(kinds(world)).toEqual(['wait']);
});

test('a forced one needs a reason, and takes its word and its overrides along', () => {
  const force = { 'filerpair.dev/takeover': 'filer-a', 'filerpair.dev/force': 'true' };
  const [refused] = requestFindings(asking(force).view());
  expect(refused).toMatchObject({ kind: 'refuse' });
  expect((refused as { message: string }).message).toContain('needs a reason, for the record');
  const world = asking({
    ...force,
    'filerpair.dev/reason': 'node-1 has burnt',
    'filerpair.dev/override': 'PartnerCannotServe, PingPong',
  });
  expect(requestFindings(world.view())[0]).toMatchObject({
    request: { reason: 'node-1 has burnt', force: true, override: ['PartnerCannotServe', 'PingPong'] },
  });
});

test('a forced one says which state of the Lease it is about', () => {
  const world = asking({
    'filerpair.dev/takeover': 'filer-a',
    'filerpair.dev/force': 'true',
    'filerpair.dev/reason': 'node-1 has burnt',
  });
  const { holder, epoch, acknowledger } = serverNamed(world.view(), 'filer-a')!.lease!;
  expect(holder).not.toBeNull();
  expect(requestFindings(world.view())[0]).toMatchObject({
    request: { about: { holder, epoch, acknowledger } },
  });
});

test('takes everything that belonged to it off the FilerPair when it is answered', () => {
  const world = asking({
    'filerpair.dev/takeover': 'nobody',
    'filerpair.dev/reason': 'a',
    'filerpair.dev/force': 'true',
    'filerpair.dev/override': 'PingPong',
    'filerpair.dev/maintenance': 'new disks',
  });
  world.settle();
  expect(world.observed.pair!.metadata.annotations).toEqual({ 'filerpair.dev/maintenance': 'new disks' });
});

test('an answer to another request is no answer', () => {
  const world = asking({ 'filerpair.dev/takeover': 'filer-a' });
  world.settle();
  const old = JSON.stringify({ id: 'annotation-old', result: 'done', message: 'long ago' });
  world.changeLease('filer-a', {}, { [leaseAnnotations.requestResult]: old });
  expect(kinds(world)).toEqual(['wait']);
});

test('what the command line asked for on the Lease is left to it', () => {
  const world = World.running();
  world.changeLease(
    'filer-a',
    {},
    {
      [leaseAnnotations.request]: '{"id":"cli-1","kind":"takeover"}',
      [leaseAnnotations.requestResult]: '{"id":"cli-1","result":"done","message":"ok"}',
    },
  );
  expect(kinds(world)).toEqual([]);
});

test('is answered although the operator died after it took the annotation away', () => {
  const world = asking({ 'filerpair.dev/takeover': 'filer-a' });
  world.settle();
  const { id } = JSON.parse(world.lease('filer-a').metadata.annotations![leaseAnnotations.request]!) as {
    id: string;
  };
  world.annotatePair({ 'filerpair.dev/takeover': null });
  world.changeLease(
    'filer-a',
    {},
    {
      [leaseAnnotations.requestResult]: JSON.stringify({ id, result: 'refused', message: 'filer-b is full' }),
    },
  );
  expect(kinds(world)).toEqual(['clean up']);
  world.settle();
  expect(world.observed.pair?.status?.lastRequest).toMatchObject({
    id,
    result: 'Refused',
    message: 'filer-b is full',
  });
  expect(world.lease('filer-a').metadata.annotations).not.toHaveProperty(leaseAnnotations.request);
});

describe('the same asked for again while the old request is still on the Lease', () => {
  const onLease = (world: World) =>
    JSON.parse(world.lease('filer-a').metadata.annotations![leaseAnnotations.request]!) as {
      id: string;
      reason?: string;
      force?: boolean;
    };
  const answer = (world: World, result: 'done' | 'refused', message: string): void =>
    world.changeLease(
      'filer-a',
      {},
      { [leaseAnnotations.requestResult]: JSON.stringify({ id: onLease(world).id, result, message }) },
    );

  /** The first one is done and recorded, and the operator is killed right after it has taken the annotation off. */
  function doneOnce(): World {
    const world = asking({ 'filerpair.dev/takeover': 'filer-a', 'filerpair.dev/reason': 'new disks' });
    world.settle();
    world.claims('filer-b', 'filer-a', 2);
    answer(world, 'done', 'filer-b owns filer-a');
    while (world.observed.pair!.metadata.annotations?.['filerpair.dev/takeover'] !== undefined) {
      const { actions, status } = world.plan();
      for (const action of actions) {
        world.carryOut(action);
        if (action.resource === 'filerPairs') break;
      }
      if (status !== null) world.writeStatus(status);
    }
    expect(world.observed.pair!.status!.lastRequest).toMatchObject({ result: 'Done' });
    return world;
  }

  test('is another request: the old answer is not its own', () => {
    const world = doneOnce();
    const first = onLease(world);
    world.claims('filer-a', 'filer-a', 3);
    world.annotatePair({ 'filerpair.dev/takeover': 'filer-a', 'filerpair.dev/reason': 'new disks' });
    expect(kinds(world)).toEqual(['pass on']);
    world.settle();
    expect(onLease(world).id).not.toBe(first.id);
    expect(kinds(world)).toEqual(['wait']);
    world.claims('filer-b', 'filer-a', 4);
    answer(world, 'done', 'filer-b owns filer-a again');
    world.settle();
    expect(world.observed.pair!.status!.lastRequest).toMatchObject({
      result: 'Done',
      message: 'filer-b owns filer-a again',
    });
    expect(world.lease('filer-a').metadata.annotations).not.toHaveProperty(leaseAnnotations.request);
  });

  test('Done is said only while it holds', () => {
    const world = asking({ 'filerpair.dev/takeover': 'filer-a' });
    world.settle();
    answer(world, 'done', 'filer-b owns filer-a');
    // It has failed back again before anybody looked.
    world.claims('filer-a', 'filer-a', 3);
    world.settle();
    expect(world.observed.pair!.status!.lastRequest).toMatchObject({
      result: 'Refused',
      message: expect.stringContaining('since then filer-a owns the disk set of filer-a (epoch 3)'),
    });
  });

  test('a rollout’s answer from before answers nobody else', () => {
    const world = World.running();
    const request = { id: 'rollout-takeover-1-1', kind: 'takeover', reason: 'the spec has changed' };
    const result = { id: request.id, result: 'refused', message: 'not now' };
    world.changeLease(
      'filer-a',
      {},
      {
        [leaseAnnotations.request]: JSON.stringify(request),
        [leaseAnnotations.requestResult]: JSON.stringify(result),
      },
    );
    world.annotatePair({ 'filerpair.dev/takeover': 'filer-a' });
    expect(kinds(world)).toEqual(['pass on']);
  });

  test('nor behind one that was asked for with the same words', () => {
    const world = World.running();
    const words = { 'filerpair.dev/takeover': 'filer-a', 'filerpair.dev/reason': 'filer-b has burnt' };
    world.annotatePair(words);
    world.settle();
    const first = onLease(world);
    expect(first.force).toBeUndefined();
    world.annotatePair({ ...words, 'filerpair.dev/force': 'true' });
    world.settle();
    expect(onLease(world)).toMatchObject({ force: true, reason: 'filer-b has burnt' });
    expect(onLease(world).id).not.toBe(first.id);
  });

  test('an administrator’s force is not lost behind a takeover that is pending already', () => {
    for (const pending of ['rollout-takeover-1-1', 'annotation-00000000', 'cli-1']) {
      const world = World.running();
      const request = { id: pending, kind: 'takeover', reason: 'the spec has changed' };
      world.changeLease('filer-a', {}, { [leaseAnnotations.request]: JSON.stringify(request) });
      world.annotatePair({ 'filerpair.dev/takeover': 'filer-a' });
      expect(kinds(world), 'without a confirmation of its own it waits with the others').toEqual(['wait']);
      world.annotatePair({ 'filerpair.dev/force': 'true', 'filerpair.dev/reason': 'node-1 burns' });
      world.settle();
      expect(onLease(world), pending).toMatchObject({ force: true, reason: 'node-1 burns' });
      expect(kinds(world), 'passed on once').toEqual(['wait']);
    }
  });
});
