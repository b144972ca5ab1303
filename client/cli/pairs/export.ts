/** A pair as manifests that bring it back to life elsewhere, in another namespace or another cluster, on the same disks. */
import { stringify } from 'yaml';
import { handleKeysName, labels } from '../../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../../kubernetes/resource.ts';
import { CommandError } from '../command.ts';

type Volume = { readonly name: string; readonly claim?: { readonly reclaim?: string } } & Readonly<
  Record<string, unknown>
>;
type Server = { readonly name: string; readonly volumes?: readonly Volume[] } & Readonly<
  Record<string, unknown>
>;

export interface PairToExport extends KubernetesObject {
  readonly spec: { readonly servers?: readonly Server[] } & Readonly<Record<string, unknown>>;
}

export interface ClaimToExport extends KubernetesObject {
  readonly spec?: { readonly volumeName?: string } & Readonly<Record<string, unknown>>;
}

export interface PersistentVolume extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>;
}

export interface SecretToExport extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** Tells which driver made the volume; everything else among the annotations is about this cluster. */
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';

/** What a pair keeps its data on. */
export interface Disks {
  readonly claims: readonly ClaimToExport[];
  readonly volumes: readonly PersistentVolume[];
  /** The Secret with which the handles of volumes are signed that are no whole file system; null: there is none. */
  readonly handleKeys: SecretToExport | null;
}

/** Volumes whose claims would go with the pair, and with them what is known of the disk set: `server/volume`. */
export const volumesThatGo = ({ spec }: PairToExport): string[] =>
  (spec.servers ?? []).flatMap((server) =>
    (server.volumes ?? [])
      .filter(({ claim }) => claim?.reclaim === 'Delete')
      .map((volume) => `${server.name}/${volume.name}`),
  );

/**
 * Volumes, claims, keys, FilerPair, in the order in which they are to be applied. Claims keep the labels from which the next
 * pair on them takes its epochs; the FilerPair adopts them.
 *
 * @throws CommandError if a claim or its volume is not there
 */
export function exportedPair(
  pair: PairToExport,
  { claims, volumes, handleKeys }: Disks,
  namespace: string,
): KubernetesObject[] {
  const found = (pair.spec.servers ?? []).flatMap((server) =>
    (server.volumes ?? []).map((volume) => claimOf(claims, server.name, volume.name)),
  );
  return [
    ...found.map((claim) => exportedVolume(volumeOf(volumes, claim), claim, namespace)),
    ...found.map((claim) => exportedClaim(claim, namespace)),
    ...(handleKeys === null ? [] : [exportedKeys(pair.metadata.name ?? '', handleKeys, namespace)]),
    {
      apiVersion: apiVersionOf(resources.filerPairs),
      kind: resources.filerPairs.kind,
      metadata: { name: pair.metadata.name ?? '', namespace },
      spec: { ...pair.spec, servers: (pair.spec.servers ?? []).map((server) => adopting(server, claims)) },
    } as KubernetesObject,
  ];
}

/** As `kubectl apply -f -` takes it. */
export const manifests = (objects: readonly KubernetesObject[]): string =>
  // YAML 1.1, as kubectl reads it: there a bare `on` is no text.
  objects.map((object) => stringify(object, { version: '1.1', lineWidth: 0 })).join('---\n');

function claimOf(claims: readonly ClaimToExport[], server: string, volume: string): ClaimToExport {
  const claim = claims.find(
    ({ metadata }) => metadata.labels?.[labels.home] === server && metadata.labels[labels.volume] === volume,
  );
  if (claim === undefined)
    throw new CommandError(`volume ${volume} of ${server} has no claim: there is nothing to take along`);
  return claim;
}

function volumeOf(volumes: readonly PersistentVolume[], claim: ClaimToExport): PersistentVolume {
  const volume = volumes.find(({ metadata }) => metadata.name === claim.spec?.volumeName);
  if (volume === undefined)
    throw new CommandError(`claim ${claim.metadata.name} is not bound to a volume that could be seen`);
  return volume;
}

/** Kept when its claim goes, and for no other claim than this one. */
function exportedVolume(
  { metadata, spec }: PersistentVolume,
  claim: ClaimToExport,
  namespace: string,
): KubernetesObject {
  const provisionedBy = metadata.annotations?.[PROVISIONED_BY];
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: metadata.name ?? '',
      ...(provisionedBy === undefined ? {} : { annotations: { [PROVISIONED_BY]: provisionedBy } }),
    },
    spec: {
      ...spec,
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace,
        name: claim.metadata.name,
        // In the same cluster these still name the claim that it had.
        uid: null,
        resourceVersion: null,
      },
    },
  } as KubernetesObject;
}

/** Without it clients would have to mount anew where it signed their handles. */
function exportedKeys(pair: string, { data = {} }: SecretToExport, namespace: string): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: handleKeysName(pair), namespace, labels: { [labels.pair]: pair } },
    data,
  } as KubernetesObject;
}

function exportedClaim({ metadata, spec }: ClaimToExport, namespace: string): KubernetesObject {
  const ours = Object.entries(metadata.labels ?? {}).filter(([name]) => name.startsWith(OUR_LABELS));
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: metadata.name ?? '', namespace, labels: Object.fromEntries(ours) },
    spec,
  } as KubernetesObject;
}

const OUR_LABELS = 'filerpair.dev/';

function adopting(server: Server, claims: readonly ClaimToExport[]): Server {
  return {
    ...server,
    volumes: (server.volumes ?? []).map(({ claim: _, ...volume }) => ({
      ...volume,
      existingClaim: claimOf(claims, server.name, volume.name).metadata.name,
    })),
  };
}
