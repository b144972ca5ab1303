/** How clients outside the cluster get in: what the Services, the pods and the DNS say for each kind of way. */

import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { Service } from '../model/objects.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { dnsEndpoint } from './dns-endpoint.ts';
import { dnsRecords } from './dns-records.ts';
import { serverPod } from './pod.ts';

const names = { domain: 'nas.example.org', recordTTLSeconds: 5 };
const numbers = [
  { port: 32049, failoverPort: 32050 },
  { port: 32051, failoverPort: 32052 },
];
const withNodePorts = spec.servers.map((server, index) => ({
  ...server,
  nodePorts: [{ listener: 'nfs', ...numbers[index]! }],
}));
const exposure = { type: 'NodePort' } as const;
const nodePort: FilerPairSpecInput = { ...spec, servers: withNodePorts, exposure, names };

const running = (wanted: FilerPairSpecInput): World => World.running(wanted);
const serviceOf = (world: World, name: string) =>
  world.observed.services.find(({ metadata }) => metadata.name === name)!;
const annotationsOf = (world: World, name: string) =>
  Object.fromEntries(
    Object.entries(serviceOf(world, name).metadata.annotations ?? {}).filter(([key]) =>
      key.startsWith('external-dns.'),
    ),
  );
const records = (world: World) =>
  dnsRecords(world.view()).map(
    ({ dnsName, recordType, targets }) => `${dnsName.split('.')[0]} ${recordType} ${targets.join(' ')}`,
  );

/** The pod waits for a node, as after its node was lost and nobody else can take it. */
function withoutNode(world: World, server: string): World {
  const pod = world.pod(server);
  const { nodeName: _, ...rest } = pod.spec!;
  world.changePod(pod, { spec: rest, status: { phase: 'Pending' } });
  return world;
}

/** As the API server serves ExternalDNS's resource. */
function publishing(world: World): World {
  world.observed.dnsEndpointsServed = true;
  world.settle();
  return world;
}

describe('NodePort', () => {
  test('each Service has the number that the spec gives it, on the port that the spec names', () => {
    const world = running(nodePort);
    const ports = ['home-a', 'home-a-failover', 'home-b', 'home-b-failover'].map((name) => {
      const found = serviceOf(world, name).spec as { ports: { port: number; nodePort: number }[] };
      return found.ports.map((one) => `${name} ${one.port} ${one.nodePort}`);
    });
    expect(ports.flat()).toEqual([
      'home-a 2049 32049',
      'home-a-failover 2050 32050',
      'home-b 2049 32051',
      'home-b-failover 2050 32052',
    ]);
  });

  test('names lead to the node of the server, failover names to the node of its partner, always', () => {
    const world = running(nodePort);
    const steady = [
      'home-a A 172.18.0.1',
      'home-a-failover A 172.18.0.2',
      'home-b A 172.18.0.2',
      'home-b-failover A 172.18.0.1',
    ];
    expect(records(world)).toEqual(steady);
    world.claims('b', 'a', 2);
    expect(records(world)).toEqual(steady);
  });

  test('an external address of the node comes first', () => {
    const world = running(nodePort);
    const node = world.observed.nodes['node-1']!;
    const addresses = [...node.status!.addresses!, { type: 'ExternalIP', address: '203.0.113.7' }];
    world.observed.nodes = {
      ...world.observed.nodes,
      'node-1': { ...node, status: { ...node.status, addresses } },
    };
    expect(records(world)[0]).toBe('home-a A 203.0.113.7');
  });

  test('while a pod has no node its names stay where they led', () => {
    const world = withoutNode(publishing(running(nodePort)), 'a');
    expect(records(world)).toContain('home-a A 172.18.0.1');
    expect(records(world)).toContain('home-b-failover A 172.18.0.1');
  });
});

describe('annotations for ExternalDNS', () => {
  const annotated = { ...names, publisher: 'ServiceAnnotations' } as const;

  test('name, time to live, and the address of the cluster, which it would not publish by itself', () => {
    const world = running({ ...spec, names: annotated });
    world.settle();
    expect(annotationsOf(world, 'home-a-failover')).toEqual({
      'external-dns.alpha.kubernetes.io/hostname': 'home-a-failover.nas.example.org',
      'external-dns.alpha.kubernetes.io/ttl': '5',
      'external-dns.alpha.kubernetes.io/target': '10.96.0.1',
    });
    expect(annotationsOf(world, 'home-a-interconnect')).toEqual({});
  });

  test('of a load balancer it knows the address by itself', () => {
    const world = running({ ...spec, exposure: { type: 'LoadBalancer' }, names: annotated });
    expect(Object.keys(annotationsOf(world, 'home-a'))).toEqual([
      'external-dns.alpha.kubernetes.io/hostname',
      'external-dns.alpha.kubernetes.io/ttl',
    ]);
  });

  test('while a pod has no node the target stays', () => {
    const world = running({ ...nodePort, names: annotated });
    world.settle();
    withoutNode(world, 'a').settle();
    expect(annotationsOf(world, 'home-a')['external-dns.alpha.kubernetes.io/target']).toBe('172.18.0.1');
  });

  test('the DNSEndpoint goes when annotations publish the names', () => {
    const world = publishing(running({ ...spec, names }));
    expect(world.observed.dnsEndpoints).toHaveLength(1);
    world.changeSpec({ names: annotated });
    expect(dnsEndpoint(world.view())).toBeNull();
    world.settle();
    expect(world.observed.dnsEndpoints).toHaveLength(0);
    expect(annotationsOf(world, 'home-b')).toHaveProperty(['external-dns.alpha.kubernetes.io/hostname']);
  });

  test('somebody else publishes: no annotations', () => {
    const world = running({ ...spec, names: { ...annotated, publisher: 'None' } });
    world.settle();
    expect(annotationsOf(world, 'home-a')).toEqual({});
  });
});

test.each([
  ['ClusterIP', undefined],
  ['NodePort', 'Local'],
  ['LoadBalancer', 'Local'],
] as const)('%s: only the node of the pod accepts connections, if any node does', (type, policy) => {
  const world = running({ ...spec, exposure: { type } });
  const policies = ['home-a', 'home-a-failover', 'home-a-interconnect'].map(
    (name) => (serviceOf(world, name) as Service).spec?.['externalTrafficPolicy'],
  );
  expect(policies).toEqual([policy, policy, undefined]);
});

test('host network: the pods use it, still resolve names of the cluster, and names lead to their nodes', () => {
  const world = running({ ...spec, exposure: { type: 'HostNetwork' }, names });
  expect(serverPod(world.view(), world.view().servers[0]).spec).toMatchObject({
    hostNetwork: true,
    dnsPolicy: 'ClusterFirstWithHostNet',
  });
  expect(records(world)).toEqual([
    'home-a A 172.18.0.1',
    'home-a-failover A 172.18.0.2',
    'home-b A 172.18.0.2',
    'home-b-failover A 172.18.0.1',
  ]);
});
