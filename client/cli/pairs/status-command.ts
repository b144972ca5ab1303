/** kubectl filerpair status, check, shares, events: what there is to know of a pair. */
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { Reflector } from '../../../kubernetes/reflector.ts';
import { type Resource, resources } from '../../../kubernetes/resource.ts';
import { type Command, CommandError, type Surroundings } from '../command.ts';
import { table } from '../listing.ts';
import {
  belongingsOf,
  CLUSTER_DETAILS,
  CLUSTER_FLAGS,
  type Cluster,
  type DiskSetObject,
  inCluster,
  type OperationObject,
  ofPair,
  type PairObject,
  pairMeant,
  type ShareObject,
} from './cluster.ts';
import { age, pairList, pairTable, shareTable } from './pair-table.ts';

export const status: Command = {
  name: 'status',
  form: 'status [PAIR] [--watch] [-A]',
  summary: 'show whether clients are served, and what would happen next',
  details: [
    '-w, --watch            show it again whenever it changes',
    '-A                     a line for each pair of the cluster',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, watch: { type: 'boolean', short: 'w' } },
  count: [0, 1],
  run: ([name], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      if (flags['all-namespaces'] === true) {
        const { items } = await cluster.client.list<PairObject>(resources.filerPairs);
        world.stdout.write(pairList(items, Date.now()));
        return;
      }
      const pair = await pairMeant(cluster, name);
      if (flags['watch'] === true) await watchPair(cluster, pair, world);
      else world.stdout.write(pairTable(pair, await belongingsOf(cluster, pair), Date.now()));
    }),
};

/** Until interrupted, or until the pair is gone. */
async function watchPair(cluster: Cluster, pair: PairObject, world: Surroundings): Promise<void> {
  const { client, namespace } = cluster;
  const { name = '' } = pair.metadata;
  const gone = Promise.withResolvers<void>();
  let latest: PairObject | undefined;
  const draw = (): void => {
    if (latest === undefined || !operations.listed || !diskSets.listed) return;
    const its = <T extends OperationObject | DiskSetObject>(copy: Reflector<T>): T[] =>
      [...copy.values()].filter(({ spec }) => spec.pairRef.name === name);
    const belongings = { operations: its(operations), diskSets: its(diskSets) };
    // A terminal shows one picture that is kept up; a file or a pipe gets one after the other.
    world.stdout.picture(pairTable(latest, belongings, Date.now()));
  };
  // During an outage the API may be away too; what was known last stays on the screen.
  const onError = (error: Error, retryInMs: number): void =>
    world.stderr.line(`${error.message}; trying again in ${Math.round(retryInMs / 100) / 10} s`);
  const copyOf = <T extends KubernetesObject>(resource: Resource): Reflector<T> =>
    new Reflector<T>({ client, resource, namespace, onChange: draw, onListed: draw });
  const operations = copyOf<OperationObject>(resources.filerPairOperations);
  const diskSets = copyOf<DiskSetObject>(resources.filerDiskSets);
  const itself = new Reflector<PairObject>({
    client,
    resource: resources.filerPairs,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    onChange: (change) => {
      if (change.kind === 'deleted') return gone.resolve();
      latest = change.object;
      draw();
    },
    onError,
  });
  const ages = world.stdout.interactive ? setInterval(draw, 1000) : undefined;
  world.stop.addEventListener('abort', () => gone.resolve(), { once: true });
  const all = [itself, operations, diskSets];
  for (const one of all) one.start();
  await gone.promise;
  clearInterval(ages);
  await Promise.all(all.map((one) => one.stop()));
}

export const check: Command = {
  name: 'check',
  form: 'check [PAIR]',
  summary: 'would a takeover work now? exit code 1 if not',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([name], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { status: now } = await pairMeant(cluster, name);
      const found = now?.conditions?.find(({ type }) => type === 'TakeoverPossible');
      if (found?.status !== 'True')
        throw new CommandError(
          `the next failure is not covered: ${found?.message ?? 'nothing is known yet'}`,
        );
      world.stdout.line(`${found.message}`);
    }),
};

export const shares: Command = {
  name: 'shares',
  form: 'shares [PAIR]',
  summary: 'the shares of a pair: paths, who may mount them, and whether they are served',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([name], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const pair = await pairMeant(cluster, name);
      const found = await ofPair<ShareObject>(cluster, resources.filerShares, pair);
      world.stdout.write(
        found.length === 0 ? `FilerPair ${pair.metadata.name} has no FilerShares\n` : shareTable(found),
      );
    }),
};

interface EventObject extends KubernetesObject {
  readonly eventTime?: string;
  readonly type?: string;
  readonly reason?: string;
  readonly note?: string;
  readonly regarding?: { readonly kind?: string; readonly name?: string };
}

export const events: Command = {
  name: 'events',
  form: 'events [PAIR]',
  summary: 'what the operator recorded about the pair, the oldest first',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      const { items } = await cluster.client.list<EventObject>(resources.events, {
        namespace: cluster.namespace,
      });
      const at = (event: EventObject) => event.eventTime ?? event.metadata.creationTimestamp ?? '';
      const rows = items
        .filter(({ regarding }) => regarding?.kind === 'FilerPair' && regarding.name === metadata.name)
        .toSorted((a, b) => Date.parse(at(a)) - Date.parse(at(b)))
        .map((event) => [
          `${age(at(event), Date.now())} ago`,
          event.type ?? '',
          event.reason ?? '',
          event.note ?? '',
        ]);
      world.stdout.write(
        rows.length === 0 ? 'no events (the cluster keeps them for an hour)\n' : table(rows),
      );
    }),
};
