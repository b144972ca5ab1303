/** What the class of a FilerPair does not allow is not made, also where the API server has let it through. */
import { describe, expect, test } from 'vitest';
import { requestsForLimits } from '../../crds/testing/requests-for-limits.ts';
import { attachmentPod } from '../desired/attachment-pod.ts';
import { serverPod } from '../desired/pod.ts';
import { running } from '../plan/reattach-world.fixture.ts';
import { spec, World } from '../plan/world.fixture.ts';

const from = { from: 'All' } as const;
const kindsMade = (world: World) => world.settle().map(({ kind, resource }) => `${kind} ${resource}`);

describe('a FilerPair', () => {
  test.each(requestsForLimits.filter(({ field }) => field !== null))(
    'that asks for more than its class allows gets nothing at all: $title',
    ({ pair, field, enough, short }) => {
      const world = new World(pair.spec);
      world.changeClass({ allowedNamespaces: from, limits: short[0]! });
      expect(kindsMade(world)).toEqual(['patch filerPairs']);
      const { status, reason, message } = world.condition('Accepted')!;
      expect([status, reason]).toEqual(['False', 'ForbiddenByClass']);
      expect(message).toContain(`spec.${field}`);
      expect(message).toContain('The administrator allows it with');
      expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'ForbiddenByClass' });
      expect(world.condition('Stalled')).toMatchObject({ status: 'True', reason: 'ForbiddenByClass' });
      world.changeClass({ allowedNamespaces: from, limits: enough });
      expect(world.settle().length, 'once the class allows it').toBeGreaterThan(5);
      expect(world.condition('Accepted')?.status).toBe('True');
    },
  );

  test('that has become forbidden goes on as it is, Ready, and is told of deaths; nothing new is made for it', () => {
    const world = World.running({ ...spec, exposure: { type: 'NodePort' } });
    world.changeClass({ limits: {} });
    expect(kindsMade(world)).toEqual([]);
    expect(world.condition('Accepted')).toMatchObject({ status: 'False', reason: 'ForbiddenByClass' });
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'Serving' });
    expect(world.condition('Stalled')?.status).toBe('True');
    const terminated = { exitCode: 137, containerID: 'containerd://c0', message: world.incarnation('a') };
    world.container('a', { terminated });
    expect(kindsMade(world).filter((line) => !line.endsWith('filerDiskSets'))).toEqual(['patch leases']);
    expect(world.condition('Ready')?.status).toBe('False');
  });

  test('whose class does not exist is told so', () => {
    const world = new World({ ...spec, className: 'gold' });
    world.observed.pairClass = 'absent';
    expect(kindsMade(world)).toEqual(['patch filerPairs']);
    expect(world.condition('Accepted')).toMatchObject({
      status: 'False',
      reason: 'ClassNotFound',
      message: expect.stringContaining('FilerPairClass gold does not exist'),
    });
  });

  test('without a class may have what stays in its namespace', () => {
    const world = new World();
    world.observed.pairClass = null;
    world.settle();
    expect(world.condition('Accepted')).toMatchObject({ status: 'True' });
    expect(world.observed.pods).toHaveLength(2);
  });
});

describe('what holds for the volumes', () => {
  const { storage: _, ...silent } = spec;

  test('nobody says it: nothing is made, and the way out is told', () => {
    const world = new World(silent);
    expect(world.settle()).toEqual([]);
    for (const type of ['Accepted', 'Ready'])
      expect(world.condition(type)).toMatchObject({
        status: 'False',
        reason: 'NoStorageType',
        message: expect.stringContaining('set spec.storage.type'),
      });
    expect(world.condition('Stalled')).toMatchObject({ status: 'True', reason: 'NoStorageType' });
    expect(world.condition('Reconciling')?.status).toBe('False');
  });

  test('the class promises it, and what was recorded stays when the promise changes', () => {
    const world = new World(silent);
    world.changeClass({ storage: [{ storageClassName: '*', type: 'SharedCoherent' }] });
    world.settle();
    expect(world.observed.pods).toHaveLength(2);
    expect(world.observed.pair!.status!.effective).toMatchObject({ storageType: 'SharedCoherent' });
    world.changeClass({ storage: [{ storageClassName: '*', type: 'SharedWriteThrough' }] });
    expect(world.view().effective.storageType).toBe('SharedCoherent');
    world.changeClass({ storage: undefined });
    expect(world.view().effective.storageType).toBe('SharedCoherent');
  });
});

test('disks that may not move any more keep their owner: the servers are told to leave it', () => {
  const world = running();
  world.changeClass({ limits: {} });
  expect(kindsMade(world)).toEqual(['patch leases', 'patch leases']);
  expect(world.lease('a').metadata.annotations?.['filerpair.dev/maintenance']).toContain('not accepted');
});

test('an attachment pod, which is privileged, has the operator’s image, whatever the class says', () => {
  const world = running();
  world.changeImage('registry.example.org/other:1');
  const view = world.view();
  const imageOf = ({ spec: made }: { readonly spec?: unknown }) =>
    (made as { containers: { image: string; securityContext: object }[] }).containers[0]!;
  expect(imageOf(serverPod(view, view.servers[0]))).toMatchObject({ image: 'registry.example.org/other:1' });
  expect(imageOf(attachmentPod(view, view.servers[0], 'node-1') as { spec?: unknown })).toMatchObject({
    image: world.settings.fileserverImage,
    securityContext: { privileged: true },
  });
});
