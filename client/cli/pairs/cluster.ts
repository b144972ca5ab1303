/** The pairs of a cluster, for the commands that an administrator gives: which one is meant, and how to ask something of it. */
import type { FilerPairStatus } from '../../../crds/filerpair-status.ts';
import { ApiError, isNotFound } from '../../../kubernetes/api-error.ts';
import { KubernetesClient } from '../../../kubernetes/client.ts';
import { Connection, defaultKubeconfig, fromKubeconfig } from '../../../kubernetes/connection.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { CommandError, type Flags } from '../command.ts';

export interface PairObject extends KubernetesObject {
  readonly spec: { readonly servers?: readonly { readonly name: string }[] };
  readonly status?: FilerPairStatus;
}

export const CLUSTER_FLAGS = {
  namespace: { type: 'string', short: 'n' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
} as const;

export const CLUSTER_DETAILS = [
  '-n, --namespace NAME   namespace of the pair (default: that of the context)',
  '--kubeconfig FILE, --context NAME   as kubectl understands them',
];

export interface Cluster {
  readonly client: KubernetesClient;
  readonly namespace: string;
  close(): void;
}

const text = (flags: Flags, name: string): string | undefined => {
  const value = flags[name];
  return typeof value === 'string' ? value : undefined;
};

export async function connect(flags: Flags): Promise<Cluster> {
  const context = text(flags, 'context');
  const file = text(flags, 'kubeconfig');
  const connection = new Connection(
    file === undefined ? defaultKubeconfig(context) : fromKubeconfig(file, context),
  );
  const namespace = text(flags, 'namespace') ?? (await connection.namespace()) ?? 'default';
  return { client: new KubernetesClient(connection), namespace, close: () => connection.close() };
}

/** Errors of the API as the command's own: its sentences name what was asked. */
export async function inCluster<T>(flags: Flags, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = await connect(flags);
  try {
    return await work(cluster);
  } catch (error) {
    if (error instanceof ApiError) throw new CommandError(error.message);
    throw error;
  } finally {
    cluster.close();
  }
}

export async function pairNamed({ client, namespace }: Cluster, name: string): Promise<PairObject> {
  try {
    return await client.get<PairObject>(resources.filerPairs, { namespace, name });
  } catch (error) {
    if (isNotFound(error)) throw new CommandError(`there is no FilerPair ${name} in namespace ${namespace}`);
    throw error;
  }
}

/** The pair of that name; without a name the only one of the namespace. */
export async function pairMeant(cluster: Cluster, name: string | undefined): Promise<PairObject> {
  if (name !== undefined) return pairNamed(cluster, name);
  const { items } = await cluster.client.list<PairObject>(resources.filerPairs, {
    namespace: cluster.namespace,
  });
  const [only, ...more] = items;
  if (only === undefined) throw new CommandError(`there is no FilerPair in namespace ${cluster.namespace}`);
  if (more.length > 0)
    throw new CommandError(
      `namespace ${cluster.namespace} has several FilerPairs, name one: ${items.map(({ metadata }) => metadata.name).join(', ')}`,
    );
  return only;
}

/** The pair that has this server. */
export async function pairOfServer(cluster: Cluster, server: string): Promise<PairObject> {
  const { namespace, client } = cluster;
  const { items } = await client.list<PairObject>(resources.filerPairs, { namespace });
  const found = items.find(({ spec }) => spec.servers?.some(({ name }) => name === server));
  if (found !== undefined) return found;
  const known = items.flatMap(({ spec }) => spec.servers?.map(({ name }) => name) ?? []);
  throw new CommandError(
    `no FilerPair in namespace ${namespace} has a server ${server}${known.length === 0 ? '' : `; there are ${known.join(', ')}`}`,
  );
}
