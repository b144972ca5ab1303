/** What FilerPair and FilerPairClass say about pods arrives in them, and nothing of the operator's own is lost by it. */

import { describe, expect, test } from 'vitest';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { reattach, running } from '../plan/reattach-world.fixture.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { attachmentPod } from './attachment-pod.ts';
import { imageTrial } from './image-trial-pod.ts';
import { newPod } from './pod.ts';

const zone = (operator: 'In' | 'Exists', values?: string[]) => ({
  key: 'topology.kubernetes.io/zone',
  operator,
  ...(values && { values }),
});
const nodeAffinity = {
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: [{ matchExpressions: [zone('In', ['z1'])] }],
  },
  preferredDuringSchedulingIgnoredDuringExecution: [
    { weight: 5, preference: { matchExpressions: [zone('Exists')] } },
  ],
};
const podTemplate: NonNullable<FilerPairSpecInput['podTemplate']> = {
  metadata: {
    labels: { team: 'storage', 'app.kubernetes.io/name': 'mine' },
    annotations: { 'example.org/scrape': 'true' },
  },
  spec: {
    nodeSelector: { disk: 'nvme' },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    affinity: { nodeAffinity },
    priorityClassName: 'storage',
    runtimeClassName: 'runc',
    schedulerName: 'mine',
    imagePullSecrets: [{ name: 'registry' }],
    containers: [
      { name: 'server', resources: { requests: { cpu: '2' } } },
      { name: 'sentinel', resources: { limits: { memory: '64Mi' } } },
    ],
  },
};

interface PodLike extends KubernetesObject {
  readonly spec: Record<string, unknown> & {
    readonly containers: readonly { readonly name: string; readonly resources: unknown }[];
    readonly affinity: Record<string, unknown>;
  };
}

const podsOf = (world: World) => {
  const view = world.view();
  const [server] = view.servers;
  return {
    server: newPod(view, server, true, '') as PodLike,
    attachment: attachmentPod(view, server, 'node-2') as PodLike,
    trial: imageTrial(view, server) as PodLike,
  };
};

describe('a podTemplate', () => {
  test('is in the pods of servers, with the distance to the partner beside it', () => {
    const { server } = podsOf(World.running({ ...spec, podTemplate }));
    expect(server.spec).toMatchObject({
      nodeSelector: { disk: 'nvme' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      priorityClassName: 'storage',
      runtimeClassName: 'runc',
      schedulerName: 'mine',
      imagePullSecrets: [{ name: 'registry' }],
      affinity: { nodeAffinity },
    });
    expect(server.spec.affinity).toHaveProperty('podAntiAffinity');
    expect(server.spec.containers.map(({ name, resources }) => [name, resources])).toEqual([
      ['server', { requests: { cpu: '2' } }],
      ['sentinel', { limits: { memory: '64Mi' } }],
    ]);
    expect(server.metadata.annotations).toMatchObject({ 'example.org/scrape': 'true' });
    expect(server.metadata.labels).toMatchObject({ team: 'storage', 'app.kubernetes.io/name': 'filerpair' });
  });

  test('is a change of running servers, its labels and annotations too', () => {
    for (const change of [
      { metadata: { labels: { team: 'storage' } } },
      { metadata: { annotations: { note: 'new' } } },
      { spec: { imagePullSecrets: [{ name: 'registry' }] } },
    ]) {
      const world = World.running();
      world.changeSpec({ podTemplate: change });
      world.settle();
      expect(world.observed.pair!.status!.rollout?.step, JSON.stringify(change)).toBe('TakingOver');
      expect(world.condition('Reconciling')).toMatchObject({ status: 'True', reason: 'RollingOut' });
    }
  });

  test('asks for nodes where the disks can be had, and for its own, at once', () => {
    const world = running();
    world.changeSpec({ podTemplate });
    const selector = { nodeSelectorTerms: [{ matchExpressions: [zone('In', ['z1', 'z2'])] }] };
    world.observed.volumeReach = { 'pv-a': selector };
    for (const name of ['node-1', 'node-2']) {
      const node = world.observed.nodes[name]!;
      const labels = { 'topology.kubernetes.io/zone': 'z1' };
      world.observed.nodes = {
        ...world.observed.nodes,
        [name]: { ...node, metadata: { ...node.metadata, labels } },
      };
    }
    expect(podsOf(world).server.spec.affinity['nodeAffinity']).toEqual({
      ...nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [zone('In', ['z1']), zone('In', ['z1', 'z2'])] }],
      },
    });
  });

  test('of the class is under it, and a change of the class comes as a wave', () => {
    const world = World.running({ ...spec, podTemplate: { spec: { priorityClassName: 'mine' } } });
    world.changeClass({
      podTemplate: { spec: { priorityClassName: 'theirs', imagePullSecrets: [{ name: 'registry' }] } },
    });
    expect(podsOf(world).server.spec).toMatchObject({
      priorityClassName: 'mine',
      imagePullSecrets: [{ name: 'registry' }],
    });
    world.observed.others = { ...world.observed.others, count: 3, rollingOut: 1 };
    world.settle();
    expect(world.observed.pair!.status!.rollout?.step).toBe('Queued');
  });
});

test('Secrets for images reach all three kinds of pods, those of both servers the pod that holds disks', () => {
  const world = World.running({
    ...reattach,
    servers: [{ name: 'a' }, { name: 'b', podTemplate: { spec: { imagePullSecrets: [{ name: 'of-b' }] } } }],
    podTemplate,
  });
  const { server, attachment, trial } = podsOf(world);
  for (const pod of [server, trial]) expect(pod.spec['imagePullSecrets']).toEqual([{ name: 'registry' }]);
  expect(attachment.spec['imagePullSecrets']).toEqual([{ name: 'of-b' }, { name: 'registry' }]);
});

test('pods beside the servers are scheduled and labelled as those, and no more than that', () => {
  const { attachment, trial } = podsOf(World.running({ ...reattach, podTemplate }));
  for (const pod of [attachment, trial]) {
    expect(pod.metadata.labels).toMatchObject({ team: 'storage', 'app.kubernetes.io/name': 'filerpair' });
    expect(pod.spec).toMatchObject({ priorityClassName: 'storage', schedulerName: 'mine' });
  }
  // It has to be on the one node of the owner, privileged.
  expect(attachment.spec).not.toHaveProperty('nodeSelector');
  expect(attachment.spec).not.toHaveProperty('runtimeClassName');
  expect(trial.spec).toMatchObject({ nodeSelector: { disk: 'nvme' }, runtimeClassName: 'runc' });
});

test('a template of Services is in those that clients use, and in no other', () => {
  const metadata = { labels: { team: 'storage' }, annotations: { 'example.org/pool': 'files' } };
  const world = World.running({ ...spec, exposure: { serviceTemplate: { metadata } } });
  const withIt = world.observed.services.filter(
    (service) =>
      service.metadata.labels?.['team'] === 'storage' &&
      service.metadata.annotations?.['example.org/pool'] === 'files',
  );
  expect(withIt.map(({ metadata: { name } }) => name).toSorted()).toEqual([
    'home-a',
    'home-a-failover',
    'home-b',
    'home-b-failover',
  ]);
});

test('a claim is made as its template says, with what the storage type needs', () => {
  const template = {
    metadata: { labels: { team: 'storage' }, annotations: { 'example.org/backup': 'daily' } },
    spec: {
      storageClassName: 'fast',
      resources: { requests: { storage: '2Gi' } },
      selector: { matchLabels: { tier: 'gold' } },
      dataSourceRef: { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'before' },
      volumeAttributesClassName: 'iops',
    },
  };
  const made = (type: 'Reattach' | 'SharedCoherent' | 'SharedWriteThrough' | 'SameNode') => {
    const world = new World({ storage: { type }, volumes: [{ name: 'data', claimTemplate: template }] });
    world.settle();
    return world.observed.claims['home.b.data'] as KubernetesObject & {
      readonly spec: { accessModes: string[] };
    };
  };
  expect(made('Reattach')).toMatchObject({
    metadata: {
      labels: { team: 'storage', 'filerpair.dev/disk-set': 'b', 'filerpair.dev/volume': 'data' },
      annotations: { 'example.org/backup': 'daily' },
    },
    spec: { ...template.spec, accessModes: ['ReadWriteOnce'] },
  });
  expect(
    (['SharedCoherent', 'SharedWriteThrough', 'SameNode'] as const).map(
      (type) => made(type).spec.accessModes,
    ),
  ).toEqual([['ReadWriteMany'], ['ReadWriteMany'], ['ReadWriteOnce']]);
});
