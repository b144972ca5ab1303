// What a FilerPair asks for without a grant is not made, also where the API server has let it through.
import { describe, expect, test } from 'vitest';
import { grants } from '../../crds/grants.ts';
import { requests } from '../../crds/testing/requests-for-grants.ts';
import { attachmentPod } from '../desired/attachment-pod.ts';
import { serverPod } from '../desired/pod.ts';
import { running } from '../plan/reattach-world.fixture.ts';
import { spec, World } from '../plan/world.fixture.ts';

const ready = (world: World) => world.observed.pair!.status!.conditions![0];
const { nothing, 'names that somebody else publishes': ownNames, ...asking } = requests;

describe('a FilerPair', () => {
  test.each(Object.entries(asking))('that asks for %s without a grant gets nothing at all', (_name, one) => {
    const world = new World(one.spec);
    world.settings = { ...world.settings, grants: [] };
    const made = world.settle().filter(({ resource }) => resource !== 'filerPairs');
    expect(made).toEqual([]);
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'NotGranted' });
    expect(ready(world)!.message).toContain(`spec.${one.field}: `);
    world.settings = {
      ...world.settings,
      grants: grants.parse([{ namespaces: ['storage'], ...one.granted }]),
    };
    expect(world.settle().length, 'once it is granted').toBeGreaterThan(5);
  });

  test.each(Object.entries({ nothing, ownNames }))('that asks for %s needs no grant', (_name, one) => {
    const world = new World(one.spec);
    world.settings = { ...world.settings, grants: [] };
    expect(world.settle().some(({ resource }) => resource === 'pods')).toBe(true);
  });

  test('whose grant is withdrawn goes on as it is, and is told of deaths; nothing new is made for it', () => {
    const world = World.running({ ...spec, image: 'registry.example.org/other:1' });
    world.settings = { ...world.settings, grants: [] };
    expect(world.settle()).toEqual([]);
    expect(ready(world)).toMatchObject({ reason: 'NotGranted' });
    const terminated = {
      exitCode: 137,
      containerID: 'containerd://c0',
      message: world.incarnation('filer-a'),
    };
    world.container('filer-a', { terminated });
    const done = world.settle();
    expect(done.map(({ kind, resource }) => `${kind} ${resource}`)).toEqual(['patch leases']);
  });
});

test('disks that may not move any more keep their owner: the servers are told to leave it', () => {
  const world = running();
  world.settings = { ...world.settings, grants: [] };
  const done = world.settle();
  expect(done.map(({ kind, resource }) => `${kind} ${resource}`)).toEqual(['patch leases', 'patch leases']);
  expect(world.lease('filer-a').metadata.annotations?.['filerpair.dev/maintenance']).toContain('not granted');
});

test('an attachment pod, which is privileged, has the operator’s image, whatever the spec says', () => {
  const world = running();
  world.changeSpec({ image: 'registry.example.org/other:1' });
  const view = world.view();
  const imageOf = ({ spec: made }: { readonly spec?: unknown }) =>
    (made as { containers: { image: string; securityContext: object }[] }).containers[0]!;
  expect(imageOf(serverPod(view, view.servers[0]))).toMatchObject({ image: 'registry.example.org/other:1' });
  expect(imageOf(attachmentPod(view, view.servers[0], 'node-1') as { spec?: unknown })).toMatchObject({
    image: world.settings.fileserverImage,
    securityContext: { privileged: true },
  });
});
