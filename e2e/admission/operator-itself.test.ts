/**
 * What the operator's own account is worth to a thief of its token: Secrets and pods of FilerPairs, as the operator makes them,
 * in the namespaces that it looks after.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isNotFound } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { attachmentPod } from '../../operator/desired/attachment-pod.ts';
import { networkPolicies } from '../../operator/desired/network-policies.ts';
import { newPod } from '../../operator/desired/pod.ts';
import { spec, World } from '../../operator/plan/world.fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { install, KNOWN_MS_MAX, makeNamespace } from './installed-chart.ts';

const labels = { 'filerpair.dev/pair': 'home' };
const moving = new World({ ...spec, storage: { type: 'Reattach' } }).view();
/** The chart names the image of the pods that are tried here. */
const image = { fileserver: 'filerpair/fileserver:0.1.0' };

let server: ApiServer;
let admin: KubernetesClient;
let operator: KubernetesClient;

const secret = (name: string, ours: boolean, namespace = 'storage') => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, ...(ours ? { labels } : {}) },
});

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client('admin');
  operator = server.client('operator');
  for (const name of ['storage', 'elsewhere']) await makeNamespace(admin, name);
  await install(server, { image });
  await admin.create(resources.secrets, secret('password', false));
  await eventually('the policy is in force', KNOWN_MS_MAX, () =>
    operator.create(resources.secrets, secret('probe', false), { dryRun: true }).then(
      () => false,
      (error: Error) => error.message.includes('of FilerPairs only'),
    ),
  );
}, 300_000);

afterAll(() => server?.stop());

test('writes Secrets of FilerPairs, and changes and deletes none of anybody else', async () => {
  await operator.create(resources.secrets, secret('home-interconnect', true));
  await operator.mergePatch(
    resources.secrets,
    { namespace: 'storage', name: 'home-interconnect' },
    { data: { a: 'YQ==' } },
  );
  await operator.delete(resources.secrets, { namespace: 'storage', name: 'home-interconnect' });
  const password = { namespace: 'storage', name: 'password' };
  // Making it its own first is no way either.
  const attempts = [
    () => operator.mergePatch(resources.secrets, password, { metadata: { labels } }),
    () => operator.mergePatch(resources.secrets, password, { data: { a: 'YQ==' } }),
    () => operator.delete(resources.secrets, password),
  ];
  for (const attempt of attempts)
    await expect(attempt()).rejects.toThrow(
      'the operator writes and deletes Secrets and pods of FilerPairs only',
    );
});

test('makes the pods of its plans', async () => {
  for (const pod of [
    newPod(moving, moving.servers[0], true, ''),
    attachmentPod(moving, moving.servers[0], 'node-1'),
  ])
    await operator.create(resources.pods, pod, { dryRun: true });
});

type Spec = {
  containers: Record<string, unknown>[];
  volumes: Record<string, unknown>[];
  [key: string]: unknown;
};
const changed = (change: (spec: Spec) => Spec): KubernetesObject => {
  const pod = attachmentPod(moving, moving.servers[0], 'node-1') as KubernetesObject & { spec: Spec };
  return { ...pod, spec: change(structuredClone(pod.spec)) } as KubernetesObject;
};
const container = (change: object) => (spec: Spec) => ({
  ...spec,
  containers: spec.containers.map((one) => ({ ...one, ...change })),
});

test.each<[string, (spec: Spec) => Spec, string]>([
  [
    'another image',
    container({ image: 'registry.example.org/other:1' }),
    'from an image that the chart names',
  ],
  ['another program', container({ command: ['sh', '-c'] }), 'from an image that the chart names'],
  [
    'a preloaded program',
    container({ env: [{ name: 'NODE_OPTIONS', value: '-r /claims/x' }] }),
    'from an image that the chart names',
  ],
  [
    'the directories of the node',
    (spec) => ({ ...spec, volumes: [...spec.volumes, { name: 'all', hostPath: { path: '/' } }] }),
    'sees /var/lib/filerpair of its node',
  ],
  ['the processes of the node', (spec) => ({ ...spec, hostPID: true }), 'not its processes'],
])('makes no privileged pod with %s', async (_what, change, sentence) => {
  await expect(operator.create(resources.pods, changed(change), { dryRun: true })).rejects.toThrow(sentence);
});

test('applies its NetworkPolicies as they are', async () => {
  for (const { object } of networkPolicies(moving)!)
    await operator.create(resources.networkPolicies, object, { dryRun: true });
});

test('bounded to a namespace, has no Secret and no pod of another one', async () => {
  const elsewhere = { namespace: 'elsewhere', name: 'password' };
  await admin.create(resources.secrets, secret('password', false, 'elsewhere'));
  const sees = () =>
    operator.get(resources.secrets, elsewhere).then(
      () => true,
      (error: unknown) => isNotFound(error),
    );
  expect(await sees(), 'without the bound').toBe(true);
  await install(server, { image, watchNamespaces: ['storage'] });
  await eventually('it has lost the right', KNOWN_MS_MAX, async () => !(await sees()));
  await expect(operator.list(resources.pods, { namespace: 'elsewhere' })).rejects.toMatchObject({
    status: 403,
  });
  await expect(operator.list(resources.pods)).rejects.toMatchObject({ status: 403 });
  await operator.get(resources.secrets, { namespace: 'storage', name: 'password' });
  await operator.list(resources.pods, { namespace: 'storage' });
  await operator.list(resources.nodes);
});
