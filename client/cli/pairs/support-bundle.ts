// Everything that somebody far away needs to understand what a pair is doing: its objects, events and logs. No Secrets,
// and nothing of what is on the volumes.
import { ApiError } from '../../../kubernetes/api-error.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { type Resource, resources } from '../../../kubernetes/resource.ts';
import { labels } from '../../../kubernetes/words.ts';
import type { Cluster, PairObject } from './cluster.ts';
import { pairTable } from './pair-table.ts';
import type { ArchivedFile } from './tar.ts';

const kinds: readonly Resource[] = [
  resources.pods,
  resources.leases,
  resources.services,
  resources.endpointSlices,
  resources.configMaps,
  resources.persistentVolumeClaims,
  resources.podDisruptionBudgets,
];

interface PodObject extends KubernetesObject {
  readonly spec?: { readonly containers?: readonly { readonly name: string }[] };
}

const logLines = 5000;

export async function supportBundle(
  cluster: Cluster,
  pair: PairObject,
  now: number,
): Promise<ArchivedFile[]> {
  const { client, namespace } = cluster;
  const { name = '' } = pair.metadata;
  const labelSelector = `${labels.pair}=${name}`;
  const files: ArchivedFile[] = [
    { path: 'status.txt', content: pairTable(pair, now) },
    { path: 'filerpair.json', content: json(pair) },
  ];
  // What cannot be had is told in its place: a bundle is made when things are broken.
  const add = async (path: string, read: () => Promise<string>): Promise<void> => {
    const content = await read().catch((error: unknown) => {
      if (error instanceof ApiError) return `could not be read: ${error.message}\n`;
      throw error;
    });
    files.push({ path, content });
  };
  for (const kind of kinds)
    await add(`${kind.plural}.json`, async () =>
      json((await client.list(kind, { namespace, labelSelector })).items),
    );
  await add('nodes.json', async () => json((await client.list(resources.nodes)).items));
  await add('events.json', async () => json((await client.list(resources.events, { namespace })).items));
  const pods = await client.list<PodObject>(resources.pods, { namespace, labelSelector }).catch(() => null);
  for (const { metadata, spec } of pods?.items ?? [])
    for (const { name: container } of spec?.containers ?? []) {
      const of = { namespace, name: metadata.name ?? '', container, tailLines: logLines };
      await add(`logs/${metadata.name}.${container}.log`, () => client.log(of));
      await add(`logs/${metadata.name}.${container}.before.log`, () => client.log({ ...of, previous: true }));
    }
  for (const { metadata } of (await operatorPods(cluster)) ?? []) {
    const of = {
      namespace: metadata.namespace ?? '',
      name: metadata.name ?? '',
      container: 'operator',
      tailLines: logLines,
    };
    await add(`logs/${metadata.name}.log`, () => client.log(of));
  }
  return files;
}

/** null: one may not look. */
const operatorPods = async ({ client }: Cluster): Promise<readonly KubernetesObject[] | null> =>
  (
    await client
      .list(resources.pods, { labelSelector: 'app.kubernetes.io/name=filerpair-operator' })
      .catch(() => null)
  )?.items ?? null;

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
