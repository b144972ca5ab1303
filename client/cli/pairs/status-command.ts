/** kubectl filerpair status, check, shares, events: what there is to know of a pair. */
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { Reflector } from '../../../kubernetes/reflector.ts';
import { type Resource, resources } from '../../../kubernetes/resource.ts';
import type { Command, Surroundings } from '../command.ts';
import { table } from '../listing.ts';
import { show } from '../output.ts';
import {
  belongingsOf,
  type Cluster,
  coverOf,
  type DiskSetObject,
  inCluster,
  type OperationObject,
  ofPair,
  PAIR,
  type PairObject,
  pairMeant,
  type ShareObject,
} from './cluster.ts';
import { age, pairList, pairTable, shareTable } from './pair-table.ts';

export const status: Command = {
  name: 'status',
  summary: 'show whether clients are served, and what would happen next',
  group: 'See',
  target: 'cluster',
  operands: [PAIR],
  options: {
    watch: { short: 'w', help: 'show it again whenever it changes' },
    'all-namespaces': { short: 'A', help: 'a line for each pair of the cluster' },
  },
  lists: true,
  run: ([name], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      if (flags['all-namespaces'] === true) {
        const { items } = await cluster.client.list<PairObject>(resources.filerPairs);
        const now = Date.now();
        return show(world.stdout, flags, {
          value: asList(items),
          table: () => pairList(items, now),
          wide: () => pairList(items, now, true),
        });
      }
      const pair = await pairMeant(cluster, name);
      if (flags['watch'] === true) await watchPair(cluster, pair, world);
      else {
        const belongings = await belongingsOf(cluster, pair);
        show(world.stdout, flags, { value: pair, table: () => pairTable(pair, belongings, Date.now()) });
      }
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
  summary: 'would a takeover work now? exit code 1 if not',
  group: 'See',
  target: 'cluster',
  operands: [PAIR],
  run: ([name], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      world.stdout.line(coverOf(await pairMeant(cluster, name)));
    }),
};

export const shares: Command = {
  name: 'shares',
  summary: 'the shares of a pair: paths, who may mount them, and whether they are served',
  group: 'See',
  target: 'cluster',
  operands: [PAIR],
  lists: true,
  run: ([name], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const pair = await pairMeant(cluster, name);
      const found = await ofPair<ShareObject>(cluster, resources.filerShares, pair);
      const none = `FilerPair ${pair.metadata.name} has no FilerShares\n`;
      show(world.stdout, flags, {
        value: asList(found),
        table: () => (found.length === 0 ? none : shareTable(found)),
      });
    }),
};

/** As kubectl lists several objects. */
function asList(items: readonly KubernetesObject[]): object {
  return { apiVersion: 'v1', kind: 'List', items };
}

interface EventObject extends KubernetesObject {
  readonly eventTime?: string;
  readonly type?: string;
  readonly reason?: string;
  readonly note?: string;
  readonly regarding?: { readonly kind?: string; readonly name?: string };
}

export const events: Command = {
  name: 'events',
  summary: 'what the operator recorded about the pair, the oldest first',
  group: 'See',
  target: 'cluster',
  operands: [PAIR],
  lists: true,
  run: ([which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      const { items } = await cluster.client.list<EventObject>(resources.events, {
        namespace: cluster.namespace,
      });
      const at = (event: EventObject) => event.eventTime ?? event.metadata.creationTimestamp ?? '';
      const found = items
        .filter(({ regarding }) => regarding?.kind === 'FilerPair' && regarding.name === metadata.name)
        .toSorted((a, b) => Date.parse(at(a)) - Date.parse(at(b)));
      const now = Date.now();
      const rows = (first: (event: EventObject) => string) =>
        found.map((event) => [first(event), event.type ?? '', event.reason ?? '', event.note ?? '']);
      const tableOf = (some: string[][]) =>
        some.length === 0 ? 'no events (the cluster keeps them for an hour)\n' : table(some);
      show(world.stdout, flags, {
        value: asList(found),
        table: () => tableOf(rows((event) => `${age(at(event), now)} ago`)),
        wide: () => tableOf(rows(at)),
      });
    }),
};
