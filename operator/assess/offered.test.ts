/** Claims and Secrets of others are used only where their owner has said so. */
import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import { parseConfig } from '../../fileserver/config/config.ts';
import type { Claim } from '../model/objects.ts';
import { spec, World } from '../plan/world.fixture.ts';

const claim = (name: string, labels: Readonly<Record<string, string>> = {}): Claim => ({
  metadata: { name, namespace: 'storage', uid: `uid-${name}`, labels },
  spec: { volumeName: 'pv-1', accessModes: ['ReadWriteMany'] },
  status: { phase: 'Bound' },
});
const [a, b] = [{ name: 'a' }, { name: 'b' }];
const adopting: FilerPairSpecInput = {
  ...spec,
  servers: [{ ...a, volumes: [{ name: 'data', claimRef: { name: 'database' } }] }, b],
};
const certified: FilerPairSpecInput = {
  ...spec,
  servers: [
    { ...a, interconnectCertificateRef: { name: 'tls-a' } },
    { ...b, interconnectCertificateRef: { name: 'tls-b' } },
  ],
  interconnect: { tls: { source: 'Secrets' } },
};
const ready = (world: World) => world.observed.pair!.status!.conditions![0]!;
const labelsOf = (world: World, name: string) => (world.observed.claims[name] as Claim).metadata.labels;

describe('a claim that the pair did not make', () => {
  test.each([
    ['that the spec adopts', adopting, 'database'],
    ['that happens to be called what its own would be', spec, 'home.a.data'],
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
  const world = new World({ ...spec, monitoring: { tokenSecretRef: { name: 'metrics-token' } } });
  const { credentials } = world.observed;
  const found = (offer: 'offered' | 'not offered' | 'absent') => {
    world.observed.credentials = { ...credentials, offered: { 'metrics-token': offer } };
    world.settle();
  };
  found('not offered');
  expect(world.observed.pods).toEqual([]);
  expect(ready(world)).toMatchObject({ status: 'False', reason: 'SecretNotOffered' });
  expect(ready(world).message).toContain(
    'Secret metrics-token (spec.monitoring.tokenSecretRef) is not offered',
  );
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

describe('certificates of cert-manager', () => {
  const issuerRef = { kind: 'ClusterIssuer', name: 'storage' } as const;
  const wanted: FilerPairSpecInput = { ...spec, interconnect: { tls: { source: 'CertManager', issuerRef } } };
  const found = (world: World, offer: 'offered' | 'absent') => {
    const { credentials } = world.observed;
    const offered = { 'home.a.interconnect': offer, 'home.b.interconnect': offer };
    world.observed.credentials = { ...credentials, offered };
    world.settle();
  };

  test('are asked for, one for each server, and waited for', () => {
    const world = new World(wanted);
    world.observed.certificatesServed = true;
    found(world, 'absent');
    expect(world.observed.certificates.map((one) => (one as { spec?: unknown }).spec)).toEqual(
      ['a', 'b'].map((server) => ({
        secretName: `home.${server}.interconnect`,
        secretTemplate: { labels: { 'filerpair.dev/offered-to': 'home' } },
        dnsNames: [`home-${server}-interconnect.storage.svc`],
        usages: ['digital signature', 'server auth', 'client auth'],
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        issuerRef: { group: 'cert-manager.io', ...issuerRef },
      })),
    );
    expect(ready(world)).toMatchObject({
      reason: 'SecretMissing',
      message: expect.stringContaining('See the status of Certificate home.a.interconnect'),
    });
    expect(world.observed.pods).toEqual([]);
    found(world, 'offered');
    expect(world.observed.pods).toHaveLength(2);
    world.changeSpec({ interconnect: { tls: { source: 'Operator' } } });
    world.settle();
    expect(world.observed.certificates).toEqual([]);
  });

  test('without cert-manager there are none, and that is said', () => {
    const world = new World(wanted);
    found(world, 'absent');
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'CertManagerMissing' });
    expect(world.condition('Stalled')).toMatchObject({ status: 'True', reason: 'CertManagerMissing' });
  });
});
