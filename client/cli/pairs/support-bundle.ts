/**
 * Everything that is needed outside the cluster to understand what a pair is doing: its objects, events and logs. No Secrets, nothing
 * of what is on the volumes, and nothing of other pairs: a bundle leaves the cluster.
 */
import { ApiError } from '../../../kubernetes/api-error.ts';
import { labels } from '../../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { type Resource, resources } from '../../../kubernetes/resource.ts';
import { type Belongings, belongingsOf, type Cluster, type PairObject } from './cluster.ts';
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

const belonging: Readonly<Record<keyof Belongings, Resource>> = {
  shares: resources.filerShares,
  operations: resources.filerPairOperations,
  diskSets: resources.filerDiskSets,
};

interface PodObject extends KubernetesObject {
  readonly spec?: { readonly nodeName?: string; readonly containers?: readonly { readonly name: string }[] };
}

interface NodeObject extends KubernetesObject {
  readonly spec?: { readonly taints?: unknown; readonly unschedulable?: unknown };
  readonly status?: Readonly<Record<'conditions' | 'addresses' | 'nodeInfo' | 'allocatable', unknown>>;
}

interface EventObject extends KubernetesObject {
  readonly regarding?: { readonly name?: string };
}

const LOG_LINES = 5000;

export async function supportBundle(
  cluster: Cluster,
  pair: PairObject,
  now: number,
): Promise<ArchivedFile[]> {
  const { client, namespace } = cluster;
  const { name = '' } = pair.metadata;
  const labelSelector = `${labels.pair}=${name}`;
  const files: ArchivedFile[] = [{ path: 'filerpair.json', content: json(pair) }];
  // A file that cannot be had is explained in its place: a bundle is made when things are broken.
  const add = async (path: string, read: () => Promise<string>): Promise<void> => {
    const content = await read().catch((error: unknown) => {
      if (error instanceof ApiError) return `could not be read: ${error.message}\n`;
      throw error;
    });
    files.push({ path, content });
  };
  const names = new Set([name]);
  const addNamed = (path: string, read: () => Promise<readonly KubernetesObject[]>) =>
    add(path, async () => {
      const items = await read();
      for (const { metadata } of items) names.add(metadata.name ?? '');
      return json(items);
    });
  const its = belongingsOf(cluster, pair);
  await add('status.txt', async () => pairTable(pair, await its, now));
  for (const [member, { plural }] of Object.entries(belonging))
    await addNamed(`${plural}.json`, async () => (await its)[member as keyof Belongings]);
  const className = pair.spec.className ?? pair.status?.effective?.className;
  if (className !== undefined)
    await add('filerpairclass.json', async () =>
      json(await client.get(resources.filerPairClasses, { name: className })),
    );
  for (const kind of kinds)
    await addNamed(
      `${kind.plural}.json`,
      async () => (await client.list(kind, { namespace, labelSelector })).items,
    );
  const pods = await client.list<PodObject>(resources.pods, { namespace, labelSelector }).catch(() => null);
  const onNodes = new Set((pods?.items ?? []).map(({ spec }) => spec?.nodeName));
  await add('nodes.json', async () => {
    const { items } = await client.list<NodeObject>(resources.nodes);
    return json(items.filter(({ metadata }) => onNodes.has(metadata.name)).map(essenceOfNode));
  });
  await add('events.json', async () => {
    const { items } = await client.list<EventObject>(resources.events, { namespace });
    return json(items.filter(({ regarding }) => isOf(pair, names, regarding?.name)));
  });
  for (const { metadata, spec } of pods?.items ?? [])
    for (const { name: container } of spec?.containers ?? []) {
      const of = { namespace, name: metadata.name ?? '', container, tailLines: LOG_LINES };
      await add(`logs/${metadata.name}.${container}.log`, () => client.log(of));
      await add(`logs/${metadata.name}.${container}.before.log`, () => client.log({ ...of, previous: true }));
    }
  for (const { metadata } of (await operatorPods(cluster)) ?? []) {
    const of = {
      namespace: metadata.namespace ?? '',
      name: metadata.name ?? '',
      container: 'operator',
      tailLines: LOG_LINES,
    };
    await add(`logs/${metadata.name}.log`, async () =>
      aboutPair(await client.log(of), `${namespace}/${name}`),
    );
  }
  return files;
}

/** Its objects by name, and pods that it had: `<pair>-<server>-` and five characters. */
const isOf = ({ metadata, spec }: PairObject, names: ReadonlySet<string>, name = ''): boolean =>
  names.has(name) ||
  spec.servers.some(
    (server) =>
      name.startsWith(`${metadata.name}-${server.name}-`) &&
      /^[a-z0-9]{5}$/.test(name.slice(`${metadata.name}-${server.name}-`.length)),
  );

/** Without what runs there besides: names of everybody's images and volumes, and annotations of others. */
function essenceOfNode({ metadata, spec, status }: NodeObject): object {
  const { name, uid, labels: nodeLabels, annotations = {} } = metadata;
  const ours = Object.entries(annotations).filter(([key]) => key.startsWith('filerpair.dev/'));
  const { conditions, addresses, nodeInfo, allocatable } = status ?? {};
  return {
    metadata: { name, uid, labels: nodeLabels, annotations: Object.fromEntries(ours) },
    spec: { taints: spec?.taints, unschedulable: spec?.unschedulable },
    status: { conditions, addresses, nodeInfo, allocatable },
  };
}

/** The lines of the operator's log, JSON each, that are about this pair or about none. */
export const aboutPair = (log: string, pair: string): string =>
  log
    .split('\n')
    .filter((line) => {
      try {
        const { pair: about } = JSON.parse(line) as { readonly pair?: unknown };
        return about === undefined || about === pair;
      } catch {
        // Not the operator's own: the engine's, or the end of a program that has crashed.
        return true;
      }
    })
    .join('\n');

/** null: one may not look. */
const operatorPods = async ({ client }: Cluster): Promise<readonly KubernetesObject[] | null> =>
  (
    await client
      .list(resources.pods, { labelSelector: 'app.kubernetes.io/name=filerpair-operator' })
      .catch(() => null)
  )?.items ?? null;

/** A second copy of an object, which kubectl apply keeps in this annotation, and which may hold what was taken out since. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

const json = (value: unknown): string =>
  `${JSON.stringify(value, (key, one: unknown) => (key === LAST_APPLIED || key === 'managedFields' ? undefined : one), 2)}\n`;
