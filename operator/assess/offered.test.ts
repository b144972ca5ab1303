// Claims and Secrets of others are used only where their owner has said so.
import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/filerpair.ts';
import { parseConfig } from '../../fileserver/config/config.ts';
import type { Claim } from '../model/objects.ts';
import { spec, World } from '../plan/world.fixture.ts';

const claim = (name: string, labels: Readonly<Record<string, string>> = {}): Claim => ({
  metadata: { name, namespace: 'storage', uid: `uid-${name}`, labels },
  spec: { volumeName: 'pv-1', accessModes: ['ReadWriteMany'] },
  status: { phase: 'Bound' },
});
const [a, b] = spec.servers as [FilerPairSpecInput['servers'][0], FilerPairSpecInput['servers'][0]];
const adopting: FilerPairSpecInput = {
  ...spec,
  servers: [{ ...a, volumes: [{ name: 'data', existingClaim: 'database' }] }, b],
};
const certified: FilerPairSpecInput = {
  ...spec,
  servers: [
    { ...a, certificateSecret: 'tls-a' },
    { ...b, certificateSecret: 'tls-b' },
  ],
};
const ready = (world: World) => world.observed.pair!.status!.conditions![0]!;
const labelsOf = (world: World, name: string) => (world.observed.claims[name] as Claim).metadata.labels;

describe('a claim that the pair did not make', () => {
  test.each([
    ['that the spec adopts', adopting, 'database'],
    ['that happens to be called what its own would be', spec, 'home-filer-a-data'],
  ])('%s is not touched until it is offered', (_which, wanted, name) => {
    const world = new World(wanted).withClaim(name, claim(name, { app: 'database' }));
    world.settle();
    expect(labelsOf(world, name)).toEqual({ app: 'database' });
    expect(world.observed.pods).toEqual([]);
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'ClaimNotOffered' });
    expect(ready(world).message).toContain(
      `kubectl -n storage label pvc ${name} filerpair.dev/offered-to=home`,
    );
    world.withClaim(name, claim(name, { 'filerpair.dev/offered-to': 'other' }));
    world.settle();
    expect(world.observed.pods, 'offered to another pair').toEqual([]);
    world.withClaim(name, claim(name, { 'filerpair.dev/offered-to': 'home' }));
    world.settle();
    expect(world.observed.pods.length).toBe(2);
    expect(labelsOf(world, name)).toMatchObject({ 'filerpair.dev/pair': 'home' });
  });

  test('stays the pair’s when its labels are removed by hand: they come back', () => {
    const world = World.running(adopting, {
      database: claim('database', { 'filerpair.dev/offered-to': 'home' }),
    });
    world.withClaim('database', claim('database'));
    world.settle();
    expect(labelsOf(world, 'database')).toMatchObject({ 'filerpair.dev/pair': 'home' });
    expect(ready(world).reason).toBe('Serving');
  });
});

test('the Secret with the token for status and metrics is mounted, for the server alone, when it is offered', () => {
  const world = new World({ ...spec, metricsTokenSecret: 'metrics-token' });
  const { credentials } = world.observed;
  const found = (offer: 'offered' | 'not offered' | 'absent') => {
    world.observed.credentials = { ...credentials, offered: { 'metrics-token': offer } };
    world.settle();
  };
  found('not offered');
  expect(world.observed.pods).toEqual([]);
  expect(ready(world)).toMatchObject({ status: 'False', reason: 'SecretNotOffered' });
  expect(ready(world).message).toContain('Secret metrics-token (spec.metricsTokenSecret) is not offered');
  found('absent');
  expect(ready(world).reason).toBe('SecretMissing');
  found('offered');
  expect(world.observed.pods.length).toBe(2);
  for (const pod of world.observed.pods) {
    const { volumes, containers } = pod.spec as unknown as {
      volumes: { name: string }[];
      containers: { name: string; volumeMounts: { name: string }[] }[];
    };
    expect(volumes.find(({ name }) => name === 'metrics-token')).toEqual({
      name: 'metrics-token',
      secret: { secretName: 'metrics-token', defaultMode: 0o400, items: [{ key: 'token', path: 'token' }] },
    });
    const mounts = containers.flatMap(({ name, volumeMounts }) =>
      volumeMounts.filter((mount) => mount.name === 'metrics-token').map((mount) => ({ in: name, ...mount })),
    );
    expect(mounts).toEqual([
      { in: 'server', name: 'metrics-token', mountPath: '/etc/filerpair-metrics-token', readOnly: true },
    ]);
  }
  const configs = world.observed.configMaps.map((map) =>
    parseConfig((map as unknown as { data: Record<string, string> }).data['server.json']!, 'server.json'),
  );
  expect(configs.map(({ listen }) => listen.tokenFile)).toEqual(
    configs.map(() => '/etc/filerpair-metrics-token/token'),
  );
  expect(configs.length).toBe(2);
});

describe('a Secret that the spec names', () => {
  test.each([
    ['not offered', 'SecretNotOffered'],
    ['absent', 'SecretMissing'],
    ['unknown', 'SecretUnknown'],
  ] as const)('that is %s is not given to any pod', (found, reason) => {
    const world = new World(certified);
    const { credentials } = world.observed;
    world.observed.credentials = { ...credentials, offered: { 'tls-a': 'offered', 'tls-b': found } };
    world.settle();
    expect(world.observed.pods).toEqual([]);
    expect(ready(world).reason).toBe(reason);
    world.observed.credentials = { ...credentials, offered: { 'tls-a': 'offered', 'tls-b': 'offered' } };
    world.settle();
    expect(world.observed.pods.length).toBe(2);
  });
});
