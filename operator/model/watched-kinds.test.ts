/**
 * The table of watched kinds: what it keeps is enough to see that what was applied is there, and nothing that only costs
 * memory.
 */

import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { matches } from './matches.ts';
import { type WatchedKindName, watchedKinds } from './watched-kinds.ts';

const keep = (name: WatchedKindName, object: KubernetesObject): KubernetesObject =>
  (watchedKinds[name].keep as (object: KubernetesObject) => KubernetesObject)(object);

describe('what is kept', () => {
  test('has everything that the operator applies: an object would be written forever otherwise', () => {
    const world = new World({
      ...spec,
      names: { domain: 'nas.example.org' },
      interconnect: { tls: { source: 'CertManager', issuerRef: { name: 'storage' } } },
    });
    world.observed.dnsEndpointsServed = true;
    world.observed.certificatesServed = true;
    const actions = [...world.settle(), ...world.settle()];
    const applied = actions.flatMap((action) => (action.kind === 'apply' ? [action] : []));
    const kinds = new Set(applied.map(({ resource }) => resource));
    expect([...kinds].toSorted()).toEqual(
      Object.entries(watchedKinds)
        .filter(([, kind]) => 'asText' in kind)
        .map(([name]) => name)
        .concat('persistentVolumeClaims')
        .toSorted(),
    );
    for (const { resource, object } of applied) {
      if (resource === 'persistentVolumeClaims') continue;
      expect(matches(object, keep(resource as WatchedKindName, object)), resource).toBe(true);
    }
  });

  test('has neither managedFields nor the text of kubectl’s last apply', () => {
    const metadata = {
      name: 'a',
      managedFields: [{ manager: 'kubectl' }],
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', 'example.org/a': 'b' },
    };
    for (const name of Object.keys(watchedKinds) as WatchedKindName[]) {
      const kept = keep(name, { metadata } as KubernetesObject);
      expect(kept.metadata).not.toHaveProperty('managedFields');
      expect(Object.keys(kept.metadata.annotations ?? {})).not.toContain(
        'kubectl.kubernetes.io/last-applied-configuration',
      );
    }
  });

  test('of a pod has no probes, mounts and tolerations, which nobody reads', () => {
    const world = World.running();
    const pod = world.pod('a');
    const kept = keep('pods', pod);
    expect(JSON.stringify(kept).length).toBeLessThan(JSON.stringify(pod).length / 2);
    expect(kept).toMatchObject({ metadata: { uid: pod.metadata.uid }, spec: { nodeName: 'node-1' } });
  });
});
