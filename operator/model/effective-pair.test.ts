import { describe, expect, test } from 'vitest';
import { filerPairClassSpec } from '../../crds/filer-pair-class.ts';
import { filerPairSpec } from '../../crds/pair/spec.ts';
import { example } from '../../crds/testing/examples.ts';
import { effectivePair, promisedStorageType } from './effective-pair.ts';

const specOf = (file: string) => filerPairSpec.parse(example(file, 'FilerPair').spec);
const classOf = (file: string) => filerPairClassSpec.parse(example(file, 'FilerPairClass').spec);

test('of the least spec: two servers, a volume and a claim for each, the defaults', () => {
  const pair = effectivePair('nas', specOf('minimal'), null, 'Reattach');
  expect(
    pair.servers.map(({ name, serviceName, failoverName }) => [name, serviceName, failoverName]),
  ).toEqual([
    ['a', 'nas-a', 'nas-a-failover'],
    ['b', 'nas-b', 'nas-b-failover'],
  ]);
  expect(pair.servers.flatMap(({ volumes }) => volumes.map(({ claimName }) => claimName))).toEqual([
    'nas.a.data',
    'nas.b.data',
  ]);
  expect(pair).toMatchObject({
    ports: { primary: 2049, secondary: 2050, interconnect: 7420, metrics: 9090 },
    failover: { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 },
    lostNodes: { policy: 'Wait' },
    publishedNames: null,
  });
});

test('the order of lists means nothing', () => {
  const spec = specOf('everything');
  const reversed = structuredClone(spec);
  const reverse = (list: unknown[] | undefined) => list?.reverse();
  reverse(reversed.servers);
  reverse(reversed.antiAffinity);
  for (const server of reversed.servers) reverse(server.volumes);
  expect(JSON.stringify(effectivePair('nas', reversed, null, 'Reattach'))).toBe(
    JSON.stringify(effectivePair('nas', spec, null, 'Reattach')),
  );
});

test('a server’s volumes are instead of the pair’s, or besides', () => {
  const { servers } = effectivePair('nas', specOf('everything'), null, 'Reattach');
  expect(servers.map(({ volumes }) => volumes.map(({ name, claimName }) => `${name}=${claimName}`))).toEqual([
    ['data=old-home', 'scratch=nas.a.scratch'],
    ['data=nas.b.data'],
  ]);
});

test('the class is under the pair, the pair under the server', () => {
  const { servers } = effectivePair('nas', specOf('everything'), classOf('everything'), 'Reattach');
  expect(servers.map(({ podTemplate }) => podTemplate.spec?.nodeSelector)).toEqual([
    { 'kubernetes.io/os': 'linux' },
    { 'kubernetes.io/os': 'linux', 'topology.kubernetes.io/zone': 'z2' },
  ]);
  expect(servers[1].podTemplate.spec?.priorityClassName).toBe('storage');
});

describe('what the class promises', () => {
  test('of the StorageClass', () => {
    expect(promisedStorageType(specOf('typical'), classOf('typical'))).toBe('SharedCoherent');
  });
  test('of all others', () => {
    expect(promisedStorageType(specOf('minimal'), classOf('everything'))).toBe('Reattach');
  });
  test('nothing, of volumes with different promises', () => {
    const spec = specOf('typical');
    const [volume] = structuredClone(spec.volumes!);
    volume!.name = 'fast';
    volume!.claimTemplate.spec.storageClassName = 'rbd';
    spec.volumes!.push(volume!);
    expect(promisedStorageType(spec, classOf('typical'))).toBeNull();
  });
  test('nothing, without a class', () => {
    expect(promisedStorageType(specOf('typical'), null)).toBeNull();
  });
});
