/** The pairs of a cluster, for the commands that an administrator gives: which one is meant, and how to ask something of it. */
import type { z } from 'zod';
import type { filerDiskSet } from '../../../crds/filer-disk-set.ts';
import type { filerPairOperation } from '../../../crds/filer-pair-operation.ts';
import type { filerShare } from '../../../crds/filer-share.ts';
import type { filerPair } from '../../../crds/pair/filer-pair.ts';
import { ApiError, isNotFound } from '../../../kubernetes/api-error.ts';
import { KubernetesClient } from '../../../kubernetes/client.ts';
import { Connection } from '../../../kubernetes/connection.ts';
import type { KubernetesObject, MergePatch } from '../../../kubernetes/objects.ts';
import { Reflector } from '../../../kubernetes/reflector.ts';
import { type Resource, resources } from '../../../kubernetes/resource.ts';
import { CommandError, type CommonOptions, type Flags, NotInTime, type Operand } from '../command.ts';
import { didYouMean } from '../similar.ts';
import type { Terminal } from '../terminal.ts';
import { apiSentence } from './api-sentence.ts';
import { findKubeconfig } from './kubeconfig.ts';

type Member<T extends z.ZodType, K extends keyof z.output<T>> = z.output<T>[K];

export interface PairObject extends KubernetesObject {
  readonly spec: Member<typeof filerPair, 'spec'>;
  readonly status?: Member<typeof filerPair, 'status'>;
}
export interface ShareObject extends KubernetesObject {
  readonly spec: Member<typeof filerShare, 'spec'>;
  readonly status?: Member<typeof filerShare, 'status'>;
}
export interface OperationObject extends KubernetesObject {
  readonly spec: Member<typeof filerPairOperation, 'spec'>;
  readonly status?: Member<typeof filerPairOperation, 'status'>;
}
export interface DiskSetObject extends KubernetesObject {
  readonly spec: Member<typeof filerDiskSet, 'spec'>;
  readonly status?: Member<typeof filerDiskSet, 'status'>;
}

/** Objects that belong to a pair by their pairRef. */
export interface Belongings {
  readonly shares: readonly ShareObject[];
  readonly operations: readonly OperationObject[];
  readonly diskSets: readonly DiskSetObject[];
}

/** The operands that several commands have. */
export const SERVER: Operand = {
  name: 'SERVER',
  help: 'its name in the pair, or that of its Service',
  completes: 'server',
};
export const PAIR: Operand = {
  name: 'PAIR',
  help: 'may be left out where the namespace has one',
  optional: true,
  completes: 'pair',
};

export interface Cluster {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** URL of the API server, for messages. */
  readonly server: string;
}

/** Longest wait for one answer of the API server. ms */
const API_TIMEOUT_MS = 10_000;
/** After this time without any answer it is said whose answer is awaited. ms */
const SILENT_MS = 2000;

/** Errors of the API as the command's own: one sentence that names what was asked and what to do. */
export async function inCluster<T>(
  flags: Flags,
  common: Pick<CommonOptions, 'timeoutMs'>,
  world: { readonly stderr: Pick<Terminal, 'line'> },
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const kubeconfig = await findKubeconfig(flags);
  const namespace = textOf(flags, 'namespace') ?? kubeconfig.namespace ?? 'default';
  const connection = new Connection(kubeconfig.load);
  const patience = Math.min(common.timeoutMs ?? API_TIMEOUT_MS, API_TIMEOUT_MS);
  const silent = setTimeout(() => {
    world.stderr.line(
      `filerpair: no answer from ${kubeconfig.server} yet (context ${kubeconfig.context}), trying for ${patience / 1000} s at most`,
    );
  }, SILENT_MS);
  const client = new KubernetesClient(connection, () => clearTimeout(silent));
  try {
    return await work({ client, namespace, server: kubeconfig.server });
  } catch (error) {
    if (error instanceof ApiError) throw apiSentence(error, kubeconfig);
    throw error;
  } finally {
    clearTimeout(silent);
    connection.close();
  }
}

const textOf = (flags: Flags, name: string): string | undefined => {
  const value = flags[name];
  return typeof value === 'string' ? value : undefined;
};

const pairNames = (pairs: readonly PairObject[]): string[] =>
  pairs.map(({ metadata }) => metadata.name ?? '');

async function pairsIn({ client, namespace }: Cluster): Promise<readonly PairObject[]> {
  return (await client.list<PairObject>(resources.filerPairs, { namespace })).items;
}

export async function pairNamed(cluster: Cluster, name: string): Promise<PairObject> {
  const { client, namespace } = cluster;
  try {
    return await client.get<PairObject>(resources.filerPairs, { namespace, name });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const names = pairNames(await pairsIn(cluster));
    if (names.length === 0) throw await noPairs(cluster);
    throw new CommandError(
      `there is no FilerPair ${name} in namespace ${namespace}${didYouMean(name, names) || `; there are ${names.join(', ')}`}`,
    );
  }
}

/** The namespace has none: where there are some, as far as we may know. */
async function noPairs({ client, namespace }: Cluster): Promise<CommandError> {
  const found = await client.list<PairObject>(resources.filerPairs).catch(() => ({ items: [] }));
  const elsewhere = [...new Set(found.items.map(({ metadata }) => metadata.namespace ?? ''))].sort();
  const hint = elsewhere.length === 0 ? '' : `; there are some in ${elsewhere.join(', ')} (-n NAMESPACE)`;
  return new CommandError(`there is no FilerPair in namespace ${namespace}${hint}`);
}

/** The pair of that name; without a name the only one of the namespace. */
export async function pairMeant(cluster: Cluster, name: string | undefined): Promise<PairObject> {
  if (name !== undefined) return pairNamed(cluster, name);
  const items = await pairsIn(cluster);
  const [only, ...more] = items;
  if (only === undefined) throw await noPairs(cluster);
  if (more.length > 0)
    throw new CommandError(
      `namespace ${cluster.namespace} has several FilerPairs, name one: ${pairNames(items).join(', ')}`,
    );
  return only;
}

/** A server by its name in the pair, or by that of its Service. */
export interface ServerMeant {
  readonly pair: PairObject;
  readonly server: string;
}

export async function serverMeant(
  cluster: Cluster,
  name: string,
  pairName: string | undefined,
): Promise<ServerMeant> {
  const { namespace } = cluster;
  const pairs = pairName === undefined ? await pairsIn(cluster) : [await pairNamed(cluster, pairName)];
  if (pairs.length === 0) throw await noPairs(cluster);
  const servers = pairs.flatMap((pair) =>
    pair.spec.servers.map((server) => ({
      pair,
      server: server.name,
      service: serviceOf(pair, server.name),
    })),
  );
  const found = servers.filter(({ server, service }) => server === name || service === name);
  if (found.length === 1) return found[0]!;
  const listed = (some: typeof servers): string =>
    some.map(({ pair, server, service }) => `${server} of ${pair.metadata.name} (${service})`).join(', ');
  if (found.length > 1)
    throw new CommandError(`several FilerPairs have a server ${name}, name the pair: ${listed(found)}`);
  const names = servers.flatMap(({ server, service }) => [server, service]);
  throw new CommandError(
    `no FilerPair in namespace ${namespace} has a server ${name}; there are ${listed(servers)}${didYouMean(name, names)}`,
  );
}

/** Name of a server for clients in the cluster. */
export function serviceOf({ metadata, spec }: PairObject, server: string): string {
  const { serviceName } = spec.servers.find(({ name }) => name === server)!;
  return serviceName ?? `${metadata.name}-${server}`;
}

/** The operator's verdict on the next failure. Throws what stands in its way if that is not covered. */
export function coverOf({ status }: PairObject): string {
  const found = status?.conditions?.find(({ type }) => type === 'TakeoverPossible');
  if (found?.status === 'True') return found.message;
  throw new CommandError(`the next failure is not covered: ${found?.message ?? 'nothing is known yet'}`);
}

export const partnerOf = ({ pair, server }: ServerMeant): string =>
  pair.spec.servers.find(({ name }) => name !== server)!.name;

export async function ofPair<T extends KubernetesObject & { readonly spec: { pairRef: { name: string } } }>(
  { client, namespace }: Cluster,
  resource: Resource,
  pair: PairObject,
): Promise<readonly T[]> {
  const { items } = await client.list<T>(resource, { namespace });
  return items.filter(({ spec }) => spec.pairRef.name === pair.metadata.name);
}

export async function belongingsOf(cluster: Cluster, pair: PairObject): Promise<Belongings> {
  const [shares, operations, diskSets] = await Promise.all([
    ofPair<ShareObject>(cluster, resources.filerShares, pair),
    ofPair<OperationObject>(cluster, resources.filerPairOperations, pair),
    ofPair<DiskSetObject>(cluster, resources.filerDiskSets, pair),
  ]);
  return { shares, operations, diskSets };
}

export async function patchPair(
  { client }: Cluster,
  { namespace, name = '' }: PairObject['metadata'],
  patch: MergePatch,
  { dryRun }: Pick<CommonOptions, 'dryRun'>,
): Promise<void> {
  await client.mergePatch(resources.filerPairs, { namespace, name }, patch, { dryRun });
}

/** Output of a command with --dry-run after the API server has accepted the patch without storing it. */
export function wouldPatch({ namespace, name }: PairObject['metadata'], patch: MergePatch): string {
  return `would patch FilerPair ${namespace}/${name}: ${JSON.stringify(patch)} (the API server accepts it)`;
}

/**
 * Waits until the object is as it should be. Rejects with `late()` after the time, and when the object is gone.
 *
 * @param timeoutMs longest wait, ms
 */
export async function whenObject<T extends KubernetesObject>(
  { client, namespace }: Cluster,
  resource: Resource,
  name: string,
  {
    is,
    timeoutMs,
    late,
    stop,
  }: {
    readonly is: (object: T) => boolean;
    readonly timeoutMs: number;
    readonly late: (latest: T | undefined) => string;
    /** Ends the wait: it rejects with the signal's reason. */
    readonly stop?: AbortSignal | undefined;
  },
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let latest: T | undefined;
  const reflector = new Reflector<T>({
    client,
    resource,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    onChange: (change) => {
      if (change.kind === 'deleted') return reject(new CommandError(`${resource.kind} ${name} is gone`));
      latest = change.object;
      if (is(latest)) resolve(latest);
    },
  });
  const timer = setTimeout(() => reject(new NotInTime(late(latest))), timeoutMs);
  const stopped = (): void => reject(stop!.reason);
  stop?.addEventListener('abort', stopped, { once: true });
  if (stop?.aborted) stopped();
  reflector.start();
  try {
    return await promise;
  } finally {
    stop?.removeEventListener('abort', stopped);
    clearTimeout(timer);
    await reflector.stop();
  }
}
