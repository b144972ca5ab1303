/** Where clients find the disk sets, by kind of exposure; the same before and after a failover. */

import { expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { Service } from '../model/objects.ts';
import { addresses } from './addresses.ts';
import { spec, World } from './world.fixture.ts';

const names = { domain: 'nas.example.org' };
const lines = (world: World) =>
  addresses(world.view()).map(({ name, hostname, ip, port }) => `${name} ${hostname} ${ip ?? '-'} ${port}`);
const running = (more: Partial<FilerPairSpecInput>): World => World.running({ ...spec, ...more });
const served = (world: World, change: (service: Service) => Service): World => {
  world.observed.services = world.observed.services.map(change);
  return world;
};

test.each<[title: string, first: string, second: string, world: () => World]>([
  [
    'ClusterIP',
    'a/nfs home-a.storage.svc 10.96.0.1 2049',
    'a-failover/nfs home-a-failover.storage.svc 10.96.0.1 2050',
    () => running({}),
  ],
  [
    'ClusterIP with published names',
    'a/nfs home-a.nas.example.org 10.96.0.1 2049',
    'a-failover/nfs home-a-failover.nas.example.org 10.96.0.1 2050',
    () => running({ names }),
  ],
  [
    'a load balancer',
    'a/nfs home-a.nas.example.org 203.0.113.7 2049',
    'a-failover/nfs home-a-failover.nas.example.org 203.0.113.7 2050',
    () =>
      served(running({ names, exposure: { type: 'LoadBalancer' } }), (service) => ({
        ...service,
        status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } },
      })),
  ],
  [
    'ports of nodes, whose address changes with the node of a pod',
    'a/nfs home-a.nas.example.org - 32049',
    'a-failover/nfs home-a-failover.nas.example.org - 32050',
    () =>
      running({
        names,
        exposure: { type: 'NodePort' },
        servers: [
          { name: 'a', nodePorts: [{ listener: 'nfs', port: 32049, failoverPort: 32050 }] },
          { name: 'b' },
        ],
      }),
  ],
  [
    'the network of nodes',
    'a/nfs home-a.nas.example.org - 12049',
    'a-failover/nfs home-a-failover.nas.example.org - 12050',
    () =>
      running({
        names,
        exposure: { type: 'HostNetwork' },
        listeners: [{ name: 'nfs', port: 12049, failoverPort: 12050 }],
      }),
  ],
])('%s', (_title, first, second, make) => {
  const world = make();
  const before = lines(world);
  expect(before.slice(0, 2)).toEqual([first, second]);
  expect(before).toHaveLength(4);
  world.claims('b', 'a', 2);
  expect(lines(world)).toEqual(before);
});
