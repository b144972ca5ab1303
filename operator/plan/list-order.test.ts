/** The order of lists in a spec means nothing: another order is the same pair, and no reason to touch a server. */

import { expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import { claimTemplate, spec, World } from './world.fixture.ts';

const wanted: FilerPairSpecInput = {
  ...spec,
  servers: [
    {
      name: 'a',
      volumes: [
        { name: 'logs', claimTemplate },
        { name: 'more', claimTemplate },
      ],
    },
    { name: 'b' },
  ],
  volumes: [
    { name: 'data', claimTemplate },
    { name: 'old', claimTemplate },
  ],
  antiAffinity: [
    { topologyKey: 'kubernetes.io/hostname' },
    { topologyKey: 'topology.kubernetes.io/zone', mode: 'Required' },
  ],
  podTemplate: {
    spec: {
      imagePullSecrets: [{ name: 'one' }, { name: 'two' }],
      containers: [
        { name: 'server', resources: { requests: { cpu: '1' } } },
        { name: 'sentinel', resources: { limits: { memory: '64Mi' } } },
      ],
    },
  },
};

const reversed: FilerPairSpecInput = {
  ...wanted,
  servers: wanted.servers!.map((one) => ({ ...one, volumes: one.volumes?.toReversed() })).toReversed(),
  volumes: wanted.volumes!.toReversed(),
  antiAffinity: wanted.antiAffinity!.toReversed(),
  podTemplate: {
    spec: {
      imagePullSecrets: wanted.podTemplate!.spec!.imagePullSecrets!.toReversed(),
      containers: wanted.podTemplate!.spec!.containers!.toReversed(),
    },
  },
};

test('a new pair gets the same plan', () => {
  const plans = [wanted, reversed].map((one) => {
    const world = new World(one);
    return JSON.stringify([world.settle(), world.plan()]);
  });
  expect(plans[0]).toContain('home.a.logs');
  expect(plans[1]).toBe(plans[0]);
});

test('a running pair has nothing to do, and no server is outdated', () => {
  const world = World.running(wanted);
  world.changeSpec(reversed);
  const { actions, status } = world.plan();
  expect(actions).toEqual([]);
  expect(status?.rollout).toBeUndefined();
  expect(status?.observedGeneration).toBe(2);
});
