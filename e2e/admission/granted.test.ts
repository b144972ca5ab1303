// The rules of crds/grants.ts as the API server has them, in CEL: what a FilerPair asks for is refused unless it is granted to
// its namespace, in the same words as the operator's.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filerPairSpec } from '../../crds/filerpair.ts';
import { grants, notGranted } from '../../crds/grants.ts';
import { requests } from '../../crds/testing/requests-for-grants.ts';
import { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { install, makeNamespace, rendered, resourceOf } from './installed-chart.ts';

/** Policies reach the admission of an API server some time after they are written. */
const KNOWN_MS_MAX = 60_000;

const cases = Object.entries(requests).map(([name, request], index) => ({
  name,
  ...request,
  enough: `enough-${index}`,
  short: request.short.map((given, one) => ({ given, namespace: `short-${index}-${one}` })),
}));
const allowed = cases.flatMap(({ enough, granted, short }) => [
  { namespaces: [enough], ...inValues(granted) },
  ...short.map(({ namespace, given }) => ({ namespaces: [namespace], ...inValues(given) })),
]);

let server: ApiServer;
let client: KubernetesClient;

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client('admin');
  await install(client, { allowed });
  for (const namespace of ['nothing', 'changes', ...allowed.flatMap(({ namespaces }) => namespaces)])
    await makeNamespace(client, namespace);
  const hostNetwork = requests['the network of nodes'].spec;
  await eventually('the policy is in force', KNOWN_MS_MAX, async () =>
    (await refusal('nothing', hostNetwork))?.includes('spec.hostNetwork'),
  );
}, 300_000);

afterAll(() => server?.stop());

test.each(cases)('$name: only where it is granted', async ({ spec, field, enough, short }) => {
  expect(await refusal(enough, spec)).toBeNull();
  for (const namespace of ['nothing', ...short.map((one) => one.namespace)]) {
    const said = await refusal(namespace, spec);
    const sentences = notGranted(
      filerPairSpec.parse(spec),
      namespace,
      grants.parse(allowed.map((one) => ({ ...one, lostNodesSilentMin: [minimumOf(one)] }))),
    );
    // A CEL policy tells its first refusal only.
    if (field === null) expect(said, namespace).toBeNull();
    else expect(said, namespace).toContain(sentences[0]);
  }
});

test('a FilerPair names the Secret with the token for its metrics, which the API server keeps, and checks as a name', async () => {
  const { spec } = requests.nothing;
  const object = {
    apiVersion: 'filerpair.dev/v1alpha1',
    kind: 'FilerPair',
    metadata: { name: 'asking', namespace: 'nothing' },
    spec: { ...spec, metricsTokenSecret: 'metrics-token' },
  };
  const kept = (await client.create(resources.filerPairs, object, { dryRun: true })) as {
    spec?: { metricsTokenSecret?: string };
  };
  expect(kept.spec?.metricsTokenSecret).toBe('metrics-token');
  for (const metricsTokenSecret of ['', 'x'.repeat(254), 7]) {
    const wrong = { ...object, spec: { ...spec, metricsTokenSecret } };
    await expect(client.create(resources.filerPairs, wrong, { dryRun: true })).rejects.toMatchObject({
      status: 422,
      message: expect.stringContaining('spec.metricsTokenSecret'),
    });
  }
});

test('a FilerPair whose grant is withdrawn keeps its spec, and nothing else of it is held up', async () => {
  const { spec } = requests['the network of nodes'];
  await install(client, { allowed: [{ namespaces: ['changes'], features: ['HostNetwork'] }] });
  const at = { namespace: 'changes', name: 'home' };
  const object = { apiVersion: 'filerpair.dev/v1alpha1', kind: 'FilerPair', metadata: at, spec };
  await eventually('it is granted', KNOWN_MS_MAX, async () => (await refusal('changes', spec)) === null);
  await client.create(resources.filerPairs, object);
  await install(client, { allowed: [] });
  await eventually(
    'it is granted no more',
    KNOWN_MS_MAX,
    async () => (await refusal('changes', spec)) !== null,
  );
  const annotated = { metadata: { annotations: { 'example.org/a': 'b' }, finalizers: ['example.org/held'] } };
  await client.mergePatch(resources.filerPairs, at, annotated);
  await client.mergePatch(resources.filerPairs, at, { metadata: { finalizers: null } });
  await expect(
    client.mergePatch(resources.filerPairs, at, { spec: { rollout: { paused: true } } }),
  ).rejects.toThrow('spec.hostNetwork: the network of nodes is not granted');
  await client.mergePatch(resources.filerPairs, at, { spec: { hostNetwork: false } });
});

test('who may edit a namespace may not make FilerPairs there: the chart gives nobody that right', async () => {
  const roles = (await rendered({})).filter(({ kind }) => kind === 'ClusterRole');
  const aggregated = roles.flatMap(({ metadata }) =>
    Object.keys(metadata.labels ?? {}).filter((label) => label.startsWith('rbac.authorization.k8s.io/')),
  );
  expect(aggregated).toEqual([]);
  // A controller, of which there is none here, gathers edit and admin from these.
  const apiGroup = 'rbac.authorization.k8s.io';
  for (const role of ['system:aggregate-to-edit', 'system:aggregate-to-admin']) {
    const binding = {
      apiVersion: `${apiGroup}/v1`,
      kind: 'RoleBinding',
      metadata: { name: role, namespace: 'nothing' },
      subjects: [{ kind: 'User', name: 'tenant', apiGroup }],
      roleRef: { kind: 'ClusterRole', name: role, apiGroup },
    };
    await client.apply(resourceOf(binding), binding, 'test');
  }
  const tenant = server.client('tenant');
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'nothing' } };
  await eventually('the tenant may edit', KNOWN_MS_MAX, () =>
    tenant.create(resources.configMaps, config, { dryRun: true }).then(
      () => true,
      () => false,
    ),
  );
  const pair = {
    apiVersion: 'filerpair.dev/v1alpha1',
    kind: 'FilerPair',
    metadata: { name: 'home', namespace: 'nothing' },
    spec: requests.nothing.spec,
  };
  await expect(tenant.create(resources.filerPairs, pair, { dryRun: true })).rejects.toMatchObject({
    status: 403,
  });
});

/** What the API server says against such a FilerPair; null: nothing. */
async function refusal(namespace: string, spec: object): Promise<string | null> {
  const object = {
    apiVersion: 'filerpair.dev/v1alpha1',
    kind: 'FilerPair',
    metadata: { name: 'asking', namespace },
    spec,
  };
  try {
    await client.create(resources.filerPairs, object, { dryRun: true });
    return null;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return error.message;
    throw error;
  }
}

/** In values the minimum is one text. */
function inValues(given: object): object {
  const { lostNodesSilentMin, ...others } = given as { lostNodesSilentMin?: readonly string[] };
  return lostNodesSilentMin === undefined ? others : { ...others, lostNodesSilentMin: lostNodesSilentMin[0] };
}

const minimumOf = (one: object): string =>
  (one as { lostNodesSilentMin?: string }).lostNodesSilentMin ?? '60s';
