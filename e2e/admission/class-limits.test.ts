/**
 * The rules of crds/class-limits.ts as the API server has them, in CEL, by the chart's policy: what a FilerPair asks for is
 * refused unless its class allows it, in the same words as the operator's.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { notAllowed } from '../../crds/class-limits.ts';
import { DEFAULT_CLASS_ANNOTATION, filerPairClassSpec } from '../../crds/filer-pair-class.ts';
import { apiVersion } from '../../crds/group.ts';
import { filerPairSpec } from '../../crds/pair/spec.ts';
import { requestsForLimits } from '../../crds/testing/requests-for-limits.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { install, KNOWN_MS_MAX, makeNamespace, refusal } from './installed-chart.ts';

const NAMESPACE = 'storage';
const LABELS = { tier: 'gold' };

let server: ApiServer;
let client: KubernetesClient;

const ofClass = (pair: KubernetesObject, className?: string): KubernetesObject => {
  const { spec } = pair as unknown as { readonly spec: object };
  return {
    ...pair,
    spec: { ...spec, ...(className === undefined ? {} : { className }) },
  } as KubernetesObject;
};

/** What is said to a pair of that class; null: it is taken. */
const said = (pair: KubernetesObject, className?: string): Promise<string | null> =>
  refusal(client.create(resources.filerPairs, ofClass(pair, className), { dryRun: true }));

const makeClass = (name: string, spec: object, annotations = {}): Promise<unknown> =>
  client.create(resources.filerPairClasses, {
    apiVersion,
    kind: 'FilerPairClass',
    metadata: { name, annotations },
    spec,
  } as KubernetesObject);

const all = { from: 'All' } as const;
const cases = requestsForLimits.map((request, index) => ({
  ...request,
  object: request.pair as unknown as KubernetesObject,
  enoughClass: `enough-${index}`,
  shortClasses: request.short.map((limits, one) => ({ limits, name: `short-${index}-${one}` })),
}));
const titled = (title: string) => cases.find((one) => one.title === title)!;

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client('admin');
  await makeNamespace(client, NAMESPACE, LABELS);
  await install(server, { defaultClass: { enabled: false } });
  for (const { enoughClass, enough, shortClasses } of cases) {
    await makeClass(enoughClass, { allowedNamespaces: all, limits: enough });
    for (const { name, limits } of shortClasses) await makeClass(name, { allowedNamespaces: all, limits });
  }
  const { object, shortClasses } = titled('the network of nodes');
  await eventually('the policy is in force', KNOWN_MS_MAX, async () =>
    (await said(object, shortClasses[0]!.name))?.includes('spec.exposure.type'),
  );
}, 400_000);

afterAll(() => server?.stop());

describe('only what the class allows', () => {
  test.each(cases)('$title', async ({ pair, object, field, enoughClass, shortClasses }) => {
    expect(await said(object, enoughClass)).toBeNull();
    for (const { name, limits } of shortClasses) {
      const sentences = notAllowed(
        filerPairSpec.parse(pair.spec),
        { name: NAMESPACE, labels: LABELS },
        filerPairClassSpec.parse({ allowedNamespaces: all, limits }),
      );
      if (field === null) expect(await said(object, name), name).toBeNull();
      else expect(await said(object, name), name).toContain(sentences[0]);
    }
  });
});

test('a FilerPair whose class has become stricter keeps what it has; it can be drained, paused and deleted', async () => {
  const { object } = titled('the network of nodes');
  const at = { namespace: NAMESPACE, name: 'host' };
  await makeClass('changing', { allowedNamespaces: all, limits: { exposureTypes: ['HostNetwork'] } });
  await eventually('it is allowed', KNOWN_MS_MAX, async () => (await said(object, 'changing')) === null);
  const held = { ...at, finalizers: ['example.org/held'] };
  await client.create(resources.filerPairs, { ...ofClass(object, 'changing'), metadata: held });
  await client.mergePatch(resources.filerPairClasses, { name: 'changing' }, { spec: { limits: null } });
  await eventually(
    'it is allowed no more',
    KNOWN_MS_MAX,
    async () => (await said(object, 'changing')) !== null,
  );
  const change = (patch: object) => refusal(client.mergePatch(resources.filerPairs, at, { ...patch }));
  expect(await change({ spec: { maintenance: { reason: 'new disk', drain: ['a'] } } })).toBeNull();
  expect(await change({ spec: { rollout: { paused: true } } })).toBeNull();
  expect(await change({ spec: { names: { domain: 'nas.example.org' } } })).toContain('spec.exposure.type');
  expect(await change({ spec: { exposure: { type: 'NodePort' } } })).toContain('spec.exposure.type');
  expect(await change({ spec: { exposure: { type: 'ClusterIP' } } })).toBeNull();
  await client.delete(resources.filerPairs, at);
  expect(await change({ metadata: { finalizers: null } })).toBeNull();
});

test('only in namespaces of the class, and of the default class where none is named', async () => {
  const { object } = cases[0]!;
  await makeClass('names', { allowedNamespaces: { from: 'Names', names: ['other'] } });
  await makeClass('labels', { allowedNamespaces: { from: 'Labels', matchLabels: LABELS } });
  await eventually('the classes are known', KNOWN_MS_MAX, async () =>
    (await said(object, 'names'))?.includes('not for FilerPairs of this namespace'),
  );
  expect(await said(object, 'labels')).toBeNull();
  expect(await said(object)).toBeNull();
  const isDefault = { [DEFAULT_CLASS_ANNOTATION]: 'true' };
  await makeClass('default', { allowedNamespaces: { from: 'Names', names: ['other'] } }, isDefault);
  await eventually('the default class is known', KNOWN_MS_MAX, async () =>
    (await said(object))?.includes('not for FilerPairs of this namespace'),
  );
});
