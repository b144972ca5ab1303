/**
 * kubectl filerpair export: takes a pair out of a cluster without moving its data.
 *
 * Two clusters have two witnesses, and each would confirm an owner. So what is printed while the pair still runs is for reading.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isNotFound } from '../../../kubernetes/api-error.ts';
import { handleKeysName, labels } from '../../../kubernetes/labels-and-annotations.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { type Command, CommandError, type Surroundings, UsageError } from '../command.ts';
import {
  belongingsOf,
  type Cluster,
  type DiskSetObject,
  inCluster,
  PAIR,
  type PairObject,
  pairMeant,
  type ShareObject,
} from './cluster.ts';
import {
  type Belongings,
  type ClaimToExport,
  exportedPair,
  manifests,
  neededBesides,
  type PersistentVolume,
  type SecretToExport,
  volumesThatGo,
} from './export.ts';

// Only --end gives manifests that may be applied elsewhere, because then all servers have ended, and claims and records say how far
// the epochs have come. The volumes refuse a server with a lower one (R6).

/** Between two looks whether the pair is gone. ms */
const LOOK_EVERY_MS = 500;

export const exportPair: Command = {
  name: 'export',
  summary: 'print a pair with its shares, claims and volumes, to go on with elsewhere on the same disks',
  group: 'Take along',
  target: 'cluster',
  operands: [PAIR],
  details: [
    'The import is kubectl apply -f, with what --end has printed. Keep that in a file: what is refused at first is applied from it again.',
    'With --end the output holds the keys that sign file handles, if there are any: keep it to yourself.',
    'Volumes are set to Retain before anything ends. Nothing of what is on them is read or changed.',
  ],
  options: {
    end: { help: 'end the pair first: needed before what is printed may be applied' },
    'to-namespace': { value: 'NAME', help: 'where it is to go on (default: a namespace of the same name)' },
  },
  run: ([which], flags, common, world) => {
    const target = flags['to-namespace'];
    if (target === '') throw new UsageError('--to-namespace needs a name');
    return inCluster(flags, common, world, async (cluster) => {
      const pair = await pairMeant(cluster, which);
      const namespace = typeof target === 'string' ? target : cluster.namespace;
      // Told before anything is ended, if it cannot be done.
      const { shares, diskSets } = await belongingsOf(cluster, pair);
      const before = await belongings(cluster, pair, diskSets, shares);
      const running = manifests(exportedPair(pair, { ...before, handleKeys: null }, namespace));
      const needs = neededBesides(pair).map((one) => `# It needs there: ${one}\n`);
      if (flags['end'] !== true) {
        world.stdout.write(
          `# The pair runs. Do not apply this elsewhere: export it with --end, which ends its servers first.\n${needs.join('')}${running}`,
        );
        return;
      }
      await end(cluster, pair, before.volumes, common.timeoutMs ?? 120_000, world);
      // The claims know their last epochs only now. The records may have gone with the pair.
      const after = await belongings(cluster, pair, diskSets, shares);
      world.stdout.write(`${needs.join('')}${manifests(exportedPair(pair, after, namespace))}`);
      world.stderr.line(
        `${pair.metadata.name} has ended. To go on in this cluster, delete its old claims first: kubectl -n ${cluster.namespace} delete pvc -l ${labels.pair}=${pair.metadata.name}`,
      );
    });
  },
};

async function belongings(
  { client, namespace }: Cluster,
  { metadata }: PairObject,
  diskSets: readonly DiskSetObject[],
  shares: readonly ShareObject[],
): Promise<Belongings> {
  const names = diskSets.flatMap(({ spec }) => (spec.claims ?? []).map(({ name }) => name));
  const claims = await Promise.all(
    names.map((name) => client.get<ClaimToExport>(resources.persistentVolumeClaims, { namespace, name })),
  );
  const volumes = claims
    .flatMap(({ spec }) => spec?.volumeName ?? [])
    .map((name) => client.get<PersistentVolume>(resources.persistentVolumes, { name }));
  const handleKeys = client
    .get<SecretToExport>(resources.secrets, { namespace, name: handleKeysName(metadata.name ?? '') })
    .catch((error: unknown) => {
      if (isNotFound(error)) return null;
      throw error;
    });
  return { claims, volumes: await Promise.all(volumes), diskSets, shares, handleKeys: await handleKeys };
}

async function end(
  cluster: Cluster,
  pair: PairObject,
  volumes: readonly PersistentVolume[],
  timeoutMs: number,
  world: Surroundings,
): Promise<void> {
  const going = volumesThatGo(pair);
  if (going.length > 0)
    throw new CommandError(
      `the claims of ${going.join(', ')} say whenDeleted: Delete and would go with the pair; set it to Retain first`,
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
