/** Flux, Helm's --wait and others see objects as kstatus does. A pair is current for them when both servers run as its spec wants them. */

import { describe, expect, test } from 'vitest';
import type { Condition } from '../crds/condition.ts';
import { filerShareStatus } from '../crds/filer-share.ts';
import { filerPairStatus } from '../crds/pair/status.ts';
import type { FilerPairObject } from './model/objects.ts';
import { spec, World } from './plan/world.fixture.ts';

interface Seen {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly observedGeneration?: number | undefined;
    readonly conditions?: readonly Pick<Condition, 'type' | 'status'>[] | undefined;
  };
}

/**
 * The rules of sigs.k8s.io/cli-utils/pkg/kstatus/status for a kind that it does not know, in their order: checkGenericProperties,
 * checkGeneration, checkReadyCondition, Compute.
 */
function kstatus({ metadata, status = {} }: Seen): 'Terminating' | 'InProgress' | 'Failed' | 'Current' {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { observedGeneration, conditions = [] } = status;
  if (observedGeneration !== undefined && observedGeneration !== metadata.generation) return 'InProgress';
  const holds = conditions.find(
    (one) => one.status === 'True' && (one.type === 'Reconciling' || one.type === 'Stalled'),
  );
  if (holds !== undefined) return holds.type === 'Reconciling' ? 'InProgress' : 'Failed';
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

const pairOf = (world: World): FilerPairObject => world.observed.pair!;
const seen = (world: World) => kstatus(pairOf(world) as Seen);

describe('a FilerPair', () => {
  test('is in progress before the operator has seen it, by the defaults of the schema', () => {
    const { metadata } = pairOf(new World());
    expect(kstatus({ metadata } as Seen)).toBe('Current');
    expect(kstatus({ metadata, status: filerPairStatus.parse({}) } as Seen)).toBe('InProgress');
  });

  test('is in progress while both servers start, and current when they serve', () => {
    const world = new World();
    world.settle();
    expect(seen(world)).toBe('InProgress');
    expect(seen(World.running())).toBe('Current');
  });

  test('is in progress from a change of its spec until both servers run as that wants them', () => {
    const world = World.running();
    world.changeSpec({ podTemplate: { spec: { priorityClassName: 'storage' } } });
    expect(seen(world)).toBe('InProgress');
    world.settle();
    // The operator has seen it, and clients are served: no server has changed yet.
    expect(pairOf(world).status).toMatchObject({ observedGeneration: pairOf(world).metadata.generation });
    expect(world.condition('Ready')?.status).toBe('True');
    expect(seen(world)).toBe('InProgress');
  });

  test('is current while its partner serves the disk set of a server that is drained', () => {
    const world = World.running();
    world.changeSpec({ maintenance: { reason: 'new disks', drain: ['a'] } });
    world.settle();
    world.claims('b', 'a', 2);
    world.settle();
    expect(world.condition('Ready')?.status).toBe('True');
    expect(seen(world)).toBe('Current');
  });

  test('has failed when its class does not allow it', () => {
    const world = new World({ ...spec, exposure: { type: 'LoadBalancer' } });
    world.changeClass({ limits: {} });
    world.settle();
    expect(seen(world)).toBe('Failed');
  });

  test('is terminating while it is deleted', () => {
    const world = World.running();
    const { metadata, ...pair } = pairOf(world);
    world.observed.pair = { ...pair, metadata: { ...metadata, deletionTimestamp: '2026-11-23T12:10:00Z' } };
    world.settle();
    expect(seen(world)).toBe('Terminating');
  });
});

test('a FilerShare is in progress until its server serves it', () => {
  const metadata = { generation: 1 };
  const condition = (type: string, status: Condition['status']): Condition => ({
    type,
    status,
    reason: type,
    message: `${type} is ${status}.`,
    lastTransitionTime: '2026-11-23T12:00:00Z',
    observedGeneration: 1,
  });
  const of = (...conditions: Condition[]) =>
    kstatus({ metadata, status: filerShareStatus.parse(conditions.length === 0 ? {} : { conditions }) });
  expect(of()).toBe('InProgress');
  expect(of(condition('Accepted', 'True'), condition('Ready', 'False'))).toBe('InProgress');
  expect(of(condition('Accepted', 'True'), condition('Ready', 'True'))).toBe('Current');
});
