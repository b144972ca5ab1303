/** What `kubectl get` prints of objects as the operator writes them: the state, who serves what, whether the next failure is covered. */

import { expect, test } from 'vitest';
import { kinds } from '../crds/kinds.ts';
import { ask } from './plan/operations.fixture.ts';
import { World } from './plan/world.fixture.ts';

/** The paths that our columns use, as the API server evaluates them: members, escaped dots, and an item by its type. */
function valueAt(object: unknown, path: string): string {
  let value = object;
  for (const [, name, type] of path.matchAll(/\.((?:\\.|[^.[\]\\])+)|\[\?\(@\.type=="(\w+)"\)\]/g)) {
    if (value === undefined) break;
    if (type === undefined) value = (value as Record<string, unknown>)[name!.replaceAll('\\', '')];
    else value = (value as readonly { readonly type: string }[]).find((one) => one.type === type);
  }
  return value === undefined ? '' : String(value);
}

const printed = (kind: string, object: object): Record<string, string> =>
  Object.fromEntries(
    kinds
      .find((one) => one.kind === kind)!
      .columns.filter(({ type }) => type !== 'date')
      .map(({ name, jsonPath }) => [name, valueAt(object, jsonPath)]),
  );

test('a pair: ready or why not, who serves what, whether a takeover is possible or why not', () => {
  const world = World.running();
  const row = () => printed('FilerPair', world.observed.pair!);
  expect(row()).toMatchObject({
    Ready: 'True',
    Status: 'Serving',
    Owners: 'a b',
    Failover: 'PartnersReady',
    Degraded: 'False',
  });
  world.claims('b', 'a', 2);
  const pod = world.pod('a');
  world.changePod(pod, { status: { ...pod.status, phase: 'Failed' } });
  world.settle();
  expect(row()).toMatchObject({
    Ready: 'True',
    Owners: 'a>b b',
    Failover: 'PartnerNotRunning',
    Degraded: 'True',
  });
});

test('a pair that the operator has not seen yet has no state', () => {
  const { status: _, ...pair } = new World().observed.pair!;
  expect(printed('FilerPair', pair)).toMatchObject({ Ready: '', Owners: '' });
});

test('an operation: of which pair, what, and whether it has ended', () => {
  const world = World.running();
  ask(world, 'back', { type: 'Giveback', giveback: { server: 'a' } });
  world.settle();
  expect(printed('FilerPairOperation', world.observed.filerPairOperations[0]!)).toMatchObject({
    Pair: 'home',
    Type: 'Giveback',
    Complete: 'True',
    Failed: 'False',
  });
});

test('a record: who owns the disk set, at which epoch, and whether that is its home', () => {
  const world = World.running();
  world.claims('b', 'a', 7);
  world.settle();
  expect(printed('FilerDiskSet', world.observed.filerDiskSets[0]!)).toMatchObject({
    Owner: 'b',
    Epoch: '7',
    Home: 'False',
  });
});
