/**
 * A FilerPair as the operator carries it out: the spec with its class and the defaults, sorted, in plain numbers. Everything
 * that is made for a pair is made of this; the order of lists in the spec, and what is left out there, mean nothing any more.
 */

import type { z } from 'zod';
import type { FilerPairClassSpec } from '../../crds/filer-pair-class.ts';
import { serviceNameOf } from '../../crds/pair/filer-pair.ts';
import type { PodTemplate } from '../../crds/pair/pod-template.ts';
import type { FilerPairSpecInput, filerPairSpec } from '../../crds/pair/spec.ts';
import type { lostNodesPolicies, StorageType } from '../../crds/pair/storage.ts';
import { timingDefaults } from '../../crds/pair/timing.ts';
import { durationMs } from '../../crds/quantities.ts';
import { requestedCertificateName } from './names.ts';

export type FilerPairSpec = z.output<typeof filerPairSpec>;
type SpecServer = FilerPairSpec['servers'][number];
type PairVolume = NonNullable<FilerPairSpec['volumes']>[number];
type ServerVolume = NonNullable<SpecServer['volumes']>[number];
export type ClaimTemplate = PairVolume['claimTemplate'];

export interface EffectiveVolume {
  readonly name: string;
  /** Name of the claim; it is made from the template, or adopted where there is none. */
  readonly claimName: string;
  readonly claimTemplate: ClaimTemplate | null;
  readonly whenDeleted: 'Retain' | 'Delete';
}

export interface EffectiveServer {
  readonly name: string;
  /** Name of its Service: clients know it by this name. */
  readonly serviceName: string;
  /** Name of its failover Service, which leads to the partner. */
  readonly failoverName: string;
  /** Sorted by name. */
  readonly volumes: readonly EffectiveVolume[];
  readonly nodePorts: { readonly port?: number | undefined; readonly failoverPort?: number | undefined };
  readonly podTemplate: PodTemplate;
  /** Secret with its certificate for the interconnect; null: the operator issues it. */
  readonly certificateSecret: string | null;
}

export interface EffectivePair {
  readonly storageType: StorageType;
  /** With Reattach. */
  readonly attachTimeoutMs: number;
  readonly lostNodes: { readonly policy: (typeof lostNodesPolicies)[number]; readonly timeoutMs: number };
  /** Sorted by name. */
  readonly servers: readonly [EffectiveServer, EffectiveServer];
  readonly ports: {
    readonly primary: number;
    readonly secondary: number;
    readonly interconnect: number;
    readonly metrics: number;
  };
  readonly exposure: FilerPairSpec['exposure'];
  readonly failoverSuffix: string;
  /** null: there are no names outside the cluster. */
  readonly publishedNames: {
    readonly domain: string;
    readonly publisher: 'None' | 'DNSEndpoint' | 'ServiceAnnotations';
    readonly recordTTLSeconds: number;
  } | null;
  readonly failover: {
    readonly mode: 'Automatic' | 'Manual';
    readonly leaseMs: number;
    readonly guardMs: number;
    readonly heartbeatMs: number;
  };
  readonly giveback: {
    readonly mode: 'Automatic' | 'Manual';
    readonly stableForMs: number;
    readonly maxRetries: number;
    readonly maxTakeovers: number;
    readonly takeoverWindowMs: number;
  };
  readonly nodeNotReadyTimeoutMs: number;
  /** Sorted by key. */
  readonly antiAffinity: readonly { readonly topologyKey: string; readonly mode: 'Preferred' | 'Required' }[];
  /** null: the one of the operator's version. */
  readonly image: string | null;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never' | null;
  readonly metricsTokenSecret: string | null;
  readonly certificateIssuer: NonNullable<FilerPairSpec['interconnect']['tls']['issuerRef']> | null;
  readonly maintenance: NonNullable<FilerPairSpec['maintenance']> | null;
  readonly rolloutPaused: boolean;
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;

/** Storage type that the class promises for all claims of the pair; null: it does not say, or not the same of all. */
export function promisedStorageType(spec: FilerPairSpec, its: FilerPairClassSpec | null): StorageType | null {
  const rules = its?.storage ?? [];
  const classes = spec.servers.flatMap((server) =>
    volumesOf(spec, server).map(({ claimTemplate }) => claimTemplate?.spec.storageClassName),
  );
  const types = classes.map(
    (name) =>
      rules.find(({ storageClassName }) => storageClassName === name)?.type ??
      rules.find(({ storageClassName }) => storageClassName === '*')?.type,
  );
  const [first] = types;
  return first !== undefined && types.every((type) => type === first) ? first : null;
}

/**
 * @param storageType of the spec, as it was recorded, or as the class promises it
 */
export function effectivePair(
  pair: string,
  spec: FilerPairSpec,
  its: FilerPairClassSpec | null,
  storageType: StorageType,
): EffectivePair {
  const [a, b] = spec.servers.toSorted(byName).map((server) => effectiveServer(pair, spec, its, server)) as [
    EffectiveServer,
    EffectiveServer,
  ];
  const { names, failover, giveback, interconnect, monitoring } = spec;
  const [listener] = spec.listeners as [FilerPairSpec['listeners'][number]];
  const reattach = spec.storage?.reattach;
  return {
    storageType,
    attachTimeoutMs: durationMs(reattach?.attachTimeout ?? '60s'),
    lostNodes: {
      policy: reattach?.lostNodes?.policy ?? 'Wait',
      timeoutMs: durationMs(reattach?.lostNodes?.timeout ?? '60s'),
    },
    servers: [a, b],
    ports: {
      primary: listener.port,
      secondary: listener.failoverPort,
      interconnect: interconnect.port,
      metrics: monitoring.port,
    },
    exposure: spec.exposure,
    failoverSuffix: names.failoverSuffix,
    publishedNames:
      names.domain === undefined
        ? null
        : {
            domain: names.domain,
            publisher: names.publisher ?? 'DNSEndpoint',
            recordTTLSeconds: names.recordTTLSeconds ?? 30,
          },
    failover: {
      mode: failover.mode,
      leaseMs: durationMs(failover.leaseDuration ?? timingDefaults.leaseDuration),
      guardMs: durationMs(failover.guardDuration ?? timingDefaults.guardDuration),
      heartbeatMs: durationMs(failover.heartbeatPeriod ?? timingDefaults.heartbeatPeriod),
    },
    giveback: {
      mode: giveback.mode,
      stableForMs: durationMs(giveback.automatic?.stableFor ?? timingDefaults.stableFor),
      maxRetries: giveback.automatic?.maxRetries ?? timingDefaults.maxRetries,
      maxTakeovers: giveback.automatic?.maxTakeovers ?? timingDefaults.maxTakeovers,
      takeoverWindowMs: durationMs(giveback.automatic?.takeoverWindow ?? timingDefaults.takeoverWindow),
    },
    nodeNotReadyTimeoutMs: durationMs(
      spec.podReplacement?.nodeNotReadyTimeout ?? timingDefaults.nodeNotReadyTimeout,
    ),
    antiAffinity: antiAffinity(spec, storageType),
    image: its?.images?.server ?? null,
    imagePullPolicy: its?.images?.pullPolicy ?? null,
    metricsTokenSecret: monitoring.tokenSecretRef?.name ?? null,
    certificateIssuer: interconnect.tls.issuerRef ?? null,
    maintenance: spec.maintenance ?? null,
    rolloutPaused: spec.rollout.paused,
  };
}

function antiAffinity(
  { antiAffinity: wanted }: FilerPairSpec,
  type: StorageType,
): EffectivePair['antiAffinity'] {
  if (type === 'SameNode') return [];
  return (wanted ?? [{ topologyKey: 'kubernetes.io/hostname', mode: 'Preferred' as const }]).toSorted(
    (a, b) => (a.topologyKey < b.topologyKey ? -1 : 1),
  );
}

/** The volumes that a spec names, also one that was not checked. */
export const namedVolumes = (
  pair: string,
  spec: Partial<FilerPairSpecInput> | undefined,
): EffectiveVolume[] =>
  (spec?.servers ?? []).flatMap((server) =>
    volumesOf(spec ?? {}, server).map((volume) => effectiveVolume(pair, server.name, volume)),
  );

/** The pair's volumes, those of the server instead or besides. */
function volumesOf(
  spec: Pick<FilerPairSpec, 'volumes'>,
  { volumes: own = [] }: Pick<SpecServer, 'volumes'>,
): readonly (PairVolume | ServerVolume)[] {
  const shared = (spec.volumes ?? []).filter(({ name }) => own.every((one) => one.name !== name));
  return [...shared, ...own].toSorted(byName);
}

function effectiveServer(
  pair: string,
  spec: FilerPairSpec,
  its: FilerPairClassSpec | null,
  server: SpecServer,
): EffectiveServer {
  const serviceName = serviceNameOf(pair, server);
  const { port, failoverPort } = server.nodePorts?.[0] ?? {};
  return {
    name: server.name,
    serviceName,
    failoverName: `${serviceName}${spec.names.failoverSuffix}`,
    volumes: volumesOf(spec, server).map((volume) => effectiveVolume(pair, server.name, volume)),
    nodePorts: { port, failoverPort },
    podTemplate: [its?.podTemplate, spec.podTemplate, server.podTemplate]
      .filter((one) => one !== undefined)
      .reduce(mergeTemplates, {}),
    certificateSecret:
      spec.interconnect.tls.source === 'CertManager'
        ? requestedCertificateName(pair, server.name)
        : (server.interconnectCertificateRef?.name ?? null),
  };
}

function effectiveVolume(pair: string, server: string, volume: PairVolume | ServerVolume): EffectiveVolume {
  const adopted = 'claimRef' in volume ? volume.claimRef : undefined;
  return {
    name: volume.name,
    claimName: adopted?.name ?? `${pair}.${server}.${volume.name}`,
    claimTemplate: adopted === undefined ? volume.claimTemplate! : null,
    whenDeleted: volume.whenDeleted ?? 'Retain',
  };
}

/** Maps are merged, values and lists replaced; containers are a map by their names. */
export function mergeTemplates(under: PodTemplate, over: PodTemplate): PodTemplate {
  const containers = (template: PodTemplate) => template.spec?.containers ?? [];
  const merged = containers(under)
    .filter(({ name }) => containers(over).every((one) => one.name !== name))
    .concat(containers(over))
    .toSorted(byName);
  return {
    metadata: {
      labels: { ...under.metadata?.labels, ...over.metadata?.labels },
      annotations: { ...under.metadata?.annotations, ...over.metadata?.annotations },
    },
    spec: {
      ...under.spec,
      ...over.spec,
      nodeSelector: { ...under.spec?.nodeSelector, ...over.spec?.nodeSelector },
      ...(merged.length === 0 ? {} : { containers: merged }),
    },
  };
}
