/** kubectl filerpair export: takes a pair out of a cluster without moving its data. */
import { setTimeout as delay } from 'node:timers/promises';
import { isNotFound } from '../../../kubernetes/api-error.ts';
import { handleKeysName, labels } from '../../../kubernetes/labels-and-annotations.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { type Command, CommandError, type Surroundings, UsageError } from '../command.ts';
import { CLUSTER_DETAILS, CLUSTER_FLAGS, type Cluster, inCluster, pairMeant } from './cluster.ts';
import {
  type ClaimToExport,
  type Disks,
  exportedPair,
  manifests,
  type PairToExport,
  type PersistentVolume,
  type SecretToExport,
  volumesThatGo,
} from './export.ts';

// Two clusters have two witnesses, and each would confirm an owner. So what is printed while the pair still runs is for reading.
// Only --end gives manifests that may be applied elsewhere, because then all servers have ended, and the claims say how far the
// epochs have come. The volumes refuse a server with a lower one (R6).

/** Between two looks whether the pair is gone. ms */
const LOOK_EVERY_MS = 500;

export const exportPair: Command = {
  name: 'export',
  form: 'export [PAIR] [--end] [--to-namespace NAME]',
  summary: 'print a pair with its claims and volumes, to go on with elsewhere on the same disks',
  details: [
    '--end                  end the pair first: needed before what is printed may be applied',
    '--to-namespace NAME    where it is to go on (default: a namespace of the same name)',
    'With --end the output holds the keys that sign file handles, if there are any: keep it to yourself.',
    'Volumes are set to Retain before anything ends. Nothing of what is on them is read or changed.',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, end: { type: 'boolean' }, 'to-namespace': { type: 'string' } },
  count: [0, 1],
  run: ([which], flags, common, world) => {
    const target = flags['to-namespace'];
    if (target === '') throw new UsageError('--to-namespace needs a name');
    return inCluster(flags, async (cluster) => {
      const pair = (await pairMeant(cluster, which)) as PairToExport;
      const namespace = typeof target === 'string' ? target : cluster.namespace;
      // Told before anything is ended, if it cannot be done.
      const disks = await disksOf(cluster, pair);
      const running = manifests(exportedPair(pair, { ...disks, handleKeys: null }, namespace));
      if (flags['end'] !== true) {
        world.stdout.write(
          `# The pair runs. Do not apply this elsewhere: export it with --end, which ends its servers first.\n${running}`,
        );
        return;
      }
      await end(cluster, pair, disks.volumes, common.timeoutMs ?? 120_000, world);
      // The claims know their last epochs only now.
      world.stdout.write(manifests(exportedPair(pair, await disksOf(cluster, pair), namespace)));
      world.stderr.line(
        `${pair.metadata.name} has ended. To go on in this cluster, delete its old claims first: kubectl -n ${cluster.namespace} delete pvc -l ${labels.pair}=${pair.metadata.name}`,
      );
    });
  },
};

async function disksOf({ client, namespace }: Cluster, { metadata }: PairToExport): Promise<Disks> {
  const labelSelector = `${labels.pair}=${metadata.name}`;
  const { items: claims } = await client.list<ClaimToExport>(resources.persistentVolumeClaims, {
    namespace,
    labelSelector,
  });
  const names = claims.flatMap(({ spec }) => spec?.volumeName ?? []);
  const volumes = names.map((name) => client.get<PersistentVolume>(resources.persistentVolumes, { name }));
  const handleKeys = client
    .get<SecretToExport>(resources.secrets, { namespace, name: handleKeysName(metadata.name ?? '') })
    .catch((error: unknown) => {
      if (isNotFound(error)) return null;
      throw error;
    });
  return { claims, volumes: await Promise.all(volumes), handleKeys: await handleKeys };
}

async function end(
  cluster: Cluster,
  pair: PairToExport,
  volumes: readonly PersistentVolume[],
  timeoutMs: number,
  world: Surroundings,
): Promise<void> {
  const going = volumesThatGo(pair);
  if (going.length > 0)
    throw new CommandError(
      `the claims of ${going.join(', ')} say reclaim: Delete and would go with the pair; set it to Retain first`,
    );
  const { client, namespace } = cluster;
  const { name = '', uid } = pair.metadata;
  for (const volume of volumes)
    await client.mergePatch(
      resources.persistentVolumes,
      { name: volume.metadata.name ?? '' },
      { spec: { persistentVolumeReclaimPolicy: 'Retain' } },
    );
  await client.delete(resources.filerPairs, { namespace, name }, { uid });
  world.stderr.line(`waiting until the servers of ${name} have ended`);
  const giveUpAt = Date.now() + timeoutMs;
  while (!(await isGone(cluster, name))) {
    if (Date.now() > giveUpAt)
      throw new CommandError(
        `${name} has not ended within ${timeoutMs / 1000} s: its deletion goes on (kubectl -n ${namespace} get filerpair,pods,leases -l ${labels.pair}=${name}); its volumes are kept. When it is gone, apply a FilerPair that adopts its claims`,
      );
    await delay(LOOK_EVERY_MS);
  }
}

/** The Leases go last: when no server runs any more and the claims know their epochs. */
async function isGone({ client, namespace }: Cluster, name: string): Promise<boolean> {
  const labelSelector = `${labels.pair}=${name}`;
  const { items } = await client.list(resources.leases, { namespace, labelSelector });
  if (items.length > 0) return false;
  try {
    await client.get(resources.filerPairs, { namespace, name });
    return false;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}
