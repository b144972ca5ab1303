/** A pair as manifests that bring it back to life elsewhere, in another namespace or another cluster, on the same disks. */
import { stringify } from 'yaml';
import { handleKeysName, labels } from '../../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../../kubernetes/resource.ts';
import { CommandError } from '../command.ts';
import type { DiskSetObject, PairObject, ShareObject } from './cluster.ts';

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

/** Objects on which a pair keeps its data, and those that belong to it. */
export interface Belongings {
  readonly claims: readonly ClaimToExport[];
  readonly volumes: readonly PersistentVolume[];
  readonly diskSets: readonly DiskSetObject[];
  readonly shares: readonly ShareObject[];
  /** The Secret with which the handles of volumes are signed that are no whole file system; null: there is none. */
  readonly handleKeys: SecretToExport | null;
}

/** Volumes whose claims would go with the pair, and with them what is known of the disk set: `server/volume`. */
export const volumesThatGo = ({ spec }: PairObject): string[] =>
  spec.servers.flatMap((server) =>
    [
      ...(spec.volumes ?? []).filter(({ name }) => !server.volumes?.some((one) => one.name === name)),
      ...(server.volumes ?? []),
    ]
      .filter(({ whenDeleted }) => whenDeleted === 'Delete')
      .map(({ name }) => `${server.name}/${name}`),
  );

/** Objects of the cluster that the pair needs besides those that are exported. */
export function neededBesides({ spec, status }: PairObject): string[] {
  const className = spec.className ?? status?.effective?.className;
  const secrets = [
    spec.monitoring.tokenSecretRef,
    ...spec.servers.map(({ interconnectCertificateRef }) => interconnectCertificateRef),
  ].flatMap((one) => one?.name ?? []);
  const { issuerRef } = spec.interconnect.tls;
  return [
    ...(className === undefined ? [] : [`FilerPairClass ${className}`]),
    ...secrets.map((name) => `Secret ${name}`),
    ...(issuerRef === undefined ? [] : [`${issuerRef.kind} ${issuerRef.name}`]),
  ];
}

/**
 * Volumes, claims, keys, records, FilerPair, shares, in the order in which they are to be applied. The FilerPair adopts the claims;
 * the records say where the epochs go on.
 *
 * @throws CommandError if a claim or its volume is not there
 */
export function exportedPair(
  pair: PairObject,
  belongings: Belongings,
  namespace: string,
): KubernetesObject[] {
  const { claims, volumes, handleKeys, diskSets, shares } = belongings;
  const name = pair.metadata.name ?? '';
  const kept = pair.spec.servers.flatMap((server) => claimsOf(pair, server.name, belongings));
  return [
    ...kept.map(({ claim }) => exportedVolume(volumeOf(volumes, claim), claim, namespace)),
    ...kept.map(({ claim }) => exportedClaim(name, claim, namespace)),
    ...(handleKeys === null ? [] : [exportedKeys(name, handleKeys, namespace)]),
    ...diskSets.map((record) => exportedRecord(record, claims, namespace)),
    exported('filerPairs', { name, namespace }, specOnClaims(pair, belongings)),
    ...shares.map(({ metadata, spec }) =>
      exported('filerShares', { name: metadata.name ?? '', namespace, ...labelsOf(metadata.labels) }, spec),
    ),
  ];
}

const exported = (
  kind: 'filerPairs' | 'filerShares' | 'filerDiskSets',
  metadata: KubernetesObject['metadata'],
  spec: object,
): KubernetesObject =>
  ({
    apiVersion: apiVersionOf(resources[kind]),
    kind: resources[kind].kind,
    metadata,
    spec,
  }) as KubernetesObject;

const labelsOf = (found: Readonly<Record<string, string>> | undefined) =>
  found === undefined ? {} : { labels: found };

interface KeptClaim {
  readonly volume: string;
  readonly claim: ClaimToExport;
}

/** The claims that the record of a disk set names, one for each volume of the spec. */
function claimsOf(
  { spec }: PairObject,
  server: string,
  { claims, diskSets }: Pick<Belongings, 'claims' | 'diskSets'>,
): KeptClaim[] {
  const record = diskSets.find((one) => one.spec.server === server)?.spec.claims ?? [];
  const its = spec.servers.find(({ name }) => name === server)?.volumes ?? [];
  const volumes = new Set([...(spec.volumes ?? []), ...its].map(({ name }) => name));
  return [...volumes].toSorted().map((volume) => {
    const name = record.find((one) => one.volume === volume)?.name;
    const claim = claims.find(({ metadata }) => metadata.name === name);
    if (name === undefined || claim === undefined)
      throw new CommandError(`volume ${volume} of ${server} has no claim: there is nothing to take along`);
    return { volume, claim };
  });
}

/** Names the class that it has now: the default may be another one elsewhere. */
function specOnClaims(pair: PairObject, belongings: Belongings): object {
  const { volumes: _, className = pair.status?.effective?.className, servers, ...spec } = pair.spec;
  return {
    ...(className === undefined ? {} : { className }),
    ...spec,
    servers: servers.map((server) => ({
      ...server,
      volumes: claimsOf(pair, server.name, belongings).map(({ volume, claim }) => ({
        name: volume,
        claimRef: { name: claim.metadata.name },
      })),
    })),
  };
}

/** Without its claims: under a new UID they would pass as exchanged. The next pair records them when it binds them. */
function exportedRecord(
  { metadata, spec: { claims: recorded = [], ...spec }, status }: DiskSetObject,
  claims: readonly ClaimToExport[],
  namespace: string,
): KubernetesObject {
  const known = claims
    .filter((claim) => recorded.some(({ name }) => name === claim.metadata.name))
    .map((claim) => Number(claim.metadata.labels?.[labels.epoch] ?? 0));
  const epochFloor = Math.max(spec.epochFloor, status?.epoch ?? 0, ...known);
  return exported('filerDiskSets', { name: metadata.name ?? '', namespace }, { ...spec, epochFloor });
}

/** As `kubectl apply -f -` takes it. */
export const manifests = (objects: readonly KubernetesObject[]): string =>
  // YAML 1.1, as kubectl reads it: there a bare `on` is no text.
  objects.map((object) => stringify(object, { version: '1.1', lineWidth: 0 })).join('---\n');

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

/** Offered to the pair, which adopts it. */
function exportedClaim(pair: string, { metadata, spec }: ClaimToExport, namespace: string): KubernetesObject {
  const ours = Object.entries(metadata.labels ?? {}).filter(([name]) => name.startsWith(OUR_LABELS));
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: metadata.name ?? '',
      namespace,
      labels: { ...Object.fromEntries(ours), [labels.offeredTo]: pair },
    },
    spec,
  } as KubernetesObject;
}

const OUR_LABELS = 'filerpair.dev/';
