/**
 * The default FilerPairClass in the life of a release: it is there after the first installation, although helm installs its
 * definition at the same time; values change it, and it outlives the release. What it allows by itself is nothing.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEFAULT_CLASS_ANNOTATION } from '../../crds/filer-pair-class.ts';
import { apiVersion } from '../../crds/group.ts';
import { requestsForLimits } from '../../crds/testing/requests-for-limits.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { helmOn, install, KNOWN_MS_MAX, makeNamespace, RELEASE, refusal } from './installed-chart.ts';

let server: ApiServer;
let client: KubernetesClient;

interface Class extends KubernetesObject {
  readonly spec: { readonly limits: object; readonly allowedNamespaces: object };
}

const theClass = (): Promise<Class> => client.get<Class>(resources.filerPairClasses, { name: 'default' });
const said = (pair: object): Promise<string | null> =>
  refusal(client.create(resources.filerPairs, pair as KubernetesObject, { dryRun: true }));
const minimal = {
  apiVersion,
  kind: 'FilerPair',
  metadata: { name: 'nas', namespace: 'storage' },
  spec: {
    storage: { type: 'Reattach' },
    volumes: [{ name: 'data', claimTemplate: { spec: { resources: { requests: { storage: '1Gi' } } } } }],
  },
};

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client('admin');
  await makeNamespace(client, 'storage');
  await install(server, {});
}, 400_000);

afterAll(() => server?.stop());

test('is the default, for every namespace, and allows nothing beyond them', async () => {
  const { metadata, spec } = await theClass();
  expect(metadata.annotations).toMatchObject({ [DEFAULT_CLASS_ANNOTATION]: 'true' });
  expect(spec).toMatchObject({ allowedNamespaces: { from: 'All' }, limits: {} });
  await eventually('the policy is in force', KNOWN_MS_MAX, async () => (await said(minimal)) !== null);
  for (const { title, pair, field, short } of requestsForLimits)
    if (field === null || !short.some((limits) => Object.keys(limits!).length === 0))
      expect(await said(pair), title).toBeNull();
    else expect(await said(pair), title).toContain(`spec.${field}`);
});

test('allows what the values say, also after the release has gone and come again', {
  timeout: 300_000,
}, async () => {
  expect(await said(minimal)).toContain('The administrator allows it with spec.limits.storageTypes');
  const values = { defaultClass: { limits: { storageTypes: ['Reattach'] } } };
  const { uid } = (await theClass()).metadata;
  await install(server, values);
  await eventually('it is allowed', KNOWN_MS_MAX, async () => (await said(minimal)) === null);
  await client.create(resources.filerPairs, minimal as KubernetesObject);
  await helmOn(server, 'uninstall', RELEASE);
  await client.get(resources.filerPairs, { namespace: 'storage', name: 'nas' });
  await install(server, values);
  // The same object all the time: its FilerPairs have never been without it.
  expect((await theClass()).metadata.uid).toBe(uid);
});
