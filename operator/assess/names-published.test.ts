/** NamesPublished: what the DNS answers counts, and "could not find out" is not "no". */

import { expect, test } from 'vitest';
import type { Service } from '../model/objects.ts';
import { answerKey } from '../model/observed.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { nameLookups, namesDueAt, namesPublished } from './names-published.ts';

const DOMAIN = 'nas.example.org';
const dns = { domain: DOMAIN, recordTTLSeconds: 5 };
const addresses = {
  'home-a': '10.96.0.1',
  'home-a-failover': '10.96.0.2',
  'home-b': '10.96.0.3',
  'home-b-failover': '10.96.0.4',
};
type Name = keyof typeof addresses;
const names = Object.keys(addresses) as Name[];

const service = (name: string, fields: Pick<Service, 'spec' | 'status'>): Service => ({
  metadata: { name, namespace: 'storage', labels: { 'filerpair.dev/pair': 'home' } },
  ...fields,
});

/** Every name has its Service, and the DNS answers as it should. */
function published(more: object = {}): World {
  const world = World.running({ ...spec, names: { ...dns, ...more } });
  world.observed.dnsEndpointsServed = true;
  world.observed.services = names.map((name) => service(name, { spec: { clusterIP: addresses[name] } }));
  world.observed.dnsAnswers = Object.fromEntries(
    names.map((name) => [answerKey(`${name}.${DOMAIN}`, 'A'), [addresses[name]]]),
  );
  return world;
}

function answers(world: World, name: Name, answer: readonly string[] | 'unknown'): World {
  const key = answerKey(`${name}.${DOMAIN}`, 'A');
  world.observed.dnsAnswers = { ...world.observed.dnsAnswers, [key]: answer };
  return world;
}

const byAnnotations = () => published({ publisher: 'ServiceAnnotations' });

const withoutExternalDns = (world: World): World => {
  world.observed.dnsEndpointsServed = false;
  return world;
};

test.each<[status: string, reason: string, says: string, make: () => World]>([
  ['True', 'Answered', 'home-b-failover.nas.example.org A 10.96.0.4', () => published()],
  // Somebody else has published them: that is as good.
  ['True', 'Answered', 'home-a.nas.example.org', () => withoutExternalDns(published())],
  [
    'False',
    'NotAnswered',
    'does not know home-a-failover.nas.example.org yet. It is in DNSEndpoint home',
    () => answers(published(), 'home-a-failover', []),
  ],
  [
    'False',
    'NotAnswered',
    'it is for you to publish: home-a.nas.example.org A 10.96.0.1.',
    () => answers(published({ publisher: 'None' }), 'home-a', []),
  ],
  // Nobody can tell whether an ExternalDNS looks at Services.
  [
    'False',
    'NotAnswered',
    'It is in the annotations of Service home-a-failover',
    () => withoutExternalDns(answers(byAnnotations(), 'home-a-failover', [])),
  ],
  [
    'False',
    'NoExternalDns',
    'Install ExternalDNS',
    () => withoutExternalDns(answers(published(), 'home-a', [])),
  ],
  [
    'False',
    'OtherAnswer',
    'answers home-b.nas.example.org A 192.0.2.7, and should answer home-b.nas.example.org A 10.96.0.3',
    () => answers(published(), 'home-b', ['192.0.2.7']),
  ],
  ['Unknown', 'DnsUnreachable', 'could not be found out', () => answers(published(), 'home-b', 'unknown')],
  // A wrong answer is worse than a missing one.
  [
    'False',
    'OtherAnswer',
    '192.0.2.7',
    () => answers(answers(published(), 'home-a', 'unknown'), 'home-b', ['192.0.2.7']),
  ],
  [
    'False',
    'OtherAnswer',
    '192.0.2.7',
    () => answers(answers(published(), 'home-a', []), 'home-b', ['192.0.2.7']),
  ],
  [
    'False',
    'NoAddress',
    'Service home-b has no address yet',
    () => {
      const world = published();
      world.observed.services = world.observed.services.map((one) =>
        one.metadata.name === 'home-b' ? service('home-b', { spec: { type: 'LoadBalancer' } }) : one,
      );
      return world;
    },
  ],
])('%s %s: %s', (status, reason, says, make) => {
  expect(namesPublished(make().view())).toMatchObject({
    status,
    reason,
    message: expect.stringContaining(says),
  });
});

test('nothing to say where nobody asked for names outside the cluster', () => {
  const view = World.running().view();
  expect([namesPublished(view), namesDueAt(view), nameLookups(view)]).toEqual([null, null, []]);
});

test('a load balancer with a name is an alias, whatever dots and capitals the DNS adds', () => {
  const world = published();
  const status = { loadBalancer: { ingress: [{ hostname: 'lb-1.cloud.example' }] } };
  world.observed.services = world.observed.services.map((one) =>
    one.metadata.name === 'home-a' ? service('home-a', { spec: { type: 'LoadBalancer' }, status }) : one,
  );
  expect(nameLookups(world.view())).toContainEqual({ name: `home-a.${DOMAIN}`, type: 'CNAME' });
  world.observed.dnsAnswers = {
    ...world.observed.dnsAnswers,
    [answerKey(`home-a.${DOMAIN}`, 'CNAME')]: ['LB-1.cloud.example.'],
  };
  expect(namesPublished(world.view())?.status).toBe('True');
});

test('is looked at again soon while it is wrong, and rarely afterwards', () => {
  const inMs = (world: World) => namesDueAt(world.view())! - world.now;
  expect(inMs(published())).toBeGreaterThan(60_000);
  expect(inMs(answers(published(), 'home-a', []))).toBeLessThanOrEqual(10_000);
});

test('the condition stands in the status', () => {
  expect(
    published()
      .plan()
      .status?.conditions?.map(({ type }) => type),
  ).toContain('NamesPublished');
});
