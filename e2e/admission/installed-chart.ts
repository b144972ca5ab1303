// The chart's objects on an API server without nodes, as helm renders them.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAllYaml } from '@kubernetes/client-node';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY, readControlPlanePrograms } from '../environment.ts';
import { run } from '../machine/command.ts';

export const RELEASE = 'filerpair';
export const OPERATOR_NAMESPACE = 'filerpair-system';
/** A new definition is looked at by the API server itself. */
const SERVED_MS_MAX = 60_000;
/** What no test here needs would only be in the way: nothing runs. */
const LEFT_OUT = new Set(['Deployment', 'Service', 'NetworkPolicy', 'CustomResourceDefinition']);

/** All objects of the chart with these values. */
export async function rendered(values: object): Promise<KubernetesObject[]> {
  const file = join(tmpdir(), `filerpair-values-${process.pid}.json`);
  writeFileSync(file, JSON.stringify(values));
  try {
    const text = await run([
      readControlPlanePrograms().helm,
      'template',
      RELEASE,
      join(REPOSITORY, 'helm/filerpair'),
      '--namespace',
      OPERATOR_NAMESPACE,
      '--values',
      file,
    ]);
    return loadAllYaml(text) as unknown as KubernetesObject[];
  } finally {
    rmSync(file);
  }
}

/** Installs or changes what of the chart the API server itself goes by. */
export async function install(client: KubernetesClient, values: object): Promise<void> {
  await makeNamespace(client, OPERATOR_NAMESPACE);
  // As data: reading YAML, the client library renames members that are no names of a program's.
  const definition = customResourceDefinition() as unknown as KubernetesObject;
  await client.apply(resources.customResourceDefinitions, definition, 'helm');
  for (const object of await rendered(values)) {
    if (LEFT_OUT.has(object.kind ?? '')) continue;
    await client.apply(resourceOf(object), object, 'helm');
  }
  await eventually('FilerPairs are served', SERVED_MS_MAX, () =>
    client.list(resources.filerPairs).then(
      () => true,
      () => false,
    ),
  );
}

const CLUSTER_WIDE = new Set([
  'Namespace',
  'ClusterRole',
  'ClusterRoleBinding',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
]);

export function resourceOf({ apiVersion = '', kind = '' }: KubernetesObject): Resource {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const plural = kind.toLowerCase().replace(/y$/, 'ie');
  return {
    group: group!,
    version: version!,
    kind,
    plural: `${plural}s`,
    namespaced: !CLUSTER_WIDE.has(kind),
  };
}

export async function makeNamespace(
  client: KubernetesClient,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await client.apply(resourceOf(object), object, 'test');
}
