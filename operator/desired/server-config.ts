// The configuration file of one server, the same for every pod of it: what differs from run to run comes from the
// pod's environment.

import type { FilerPairServer, FilerPairSpec } from '../../crds/filerpair.ts';
import { durationMs } from '../../crds/quantities.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { fingerprint } from '../model/fingerprint.ts';
import {
  certificateDnsName,
  certificateName,
  interconnectServiceName,
  leaseName,
  serverObjectName,
  volumePath,
} from '../model/names.ts';
import type { Pod } from '../model/objects.ts';
import { partnerOf, type ServerView, serverNamed, type View } from '../model/view.ts';
import { type Desired, desired } from './owned.ts';

export const RUN_DIRECTORY = '/run/filerpair';
export const SECRET_DIRECTORY = '/etc/filerpair-secret';
export const CONFIG_DIRECTORY = '/etc/filerpair';
/** Below it: the operator's certificate, where the server's own is from elsewhere. */
export const FALLBACK_DIRECTORY = 'fallback';
export const HANDLE_KEYS_DIRECTORY = '/etc/filerpair-handle-keys';
/** With the token of who may read status and metrics. */
export const METRICS_TOKEN_DIRECTORY = '/etc/filerpair-metrics-token';
export const METRICS_TOKEN_KEY = 'token';
/** The key that signs (fileserver/storage/handles/handle-keys.ts). */
export const HANDLE_KEY = 'current';

export function serverConfig(view: View, server: ServerView): Record<string, unknown> {
  const { ports, failover, giveback, metricsTokenSecret } = view.spec;
  const tokenFile =
    metricsTokenSecret === undefined ? {} : { tokenFile: `${METRICS_TOKEN_DIRECTORY}/${METRICS_TOKEN_KEY}` };
  const pair = view.observed.name;
  const partner = partnerOf(view, server);
  return {
    pair,
    server: server.name,
    partner: server.partner,
    listen: { host: '0.0.0.0', ...ports, ...tokenFile },
    partnerAddress: { host: interconnectServiceName(server.partner), interconnect: ports.interconnect },
    runDir: RUN_DIRECTORY,
    handleKeysDirectory: HANDLE_KEYS_DIRECTORY,
    tls: {
      directory: SECRET_DIRECTORY,
      ...(server.spec.certificateSecret === undefined
        ? {}
        : { fallbackDirectory: `${SECRET_DIRECTORY}/${FALLBACK_DIRECTORY}` }),
      name: certificateDnsName(server.name, view.observed.namespace),
      partnerName: certificateDnsName(server.partner, view.observed.namespace),
    },
    timing: {
      leaseMs: durationMs(failover.lease),
      guardMs: durationMs(failover.guard),
      heartbeatMs: durationMs(failover.heartbeat),
    },
    policy: {
      takeover: failover.mode,
      giveback: {
        mode: giveback.mode,
        afterMs: durationMs(giveback.after),
        retries: giveback.retries,
        takeoversMax: giveback.takeoversMax,
        windowMs: durationMs(giveback.window),
      },
    },
    witness: {
      kind: 'kubernetes',
      namespace: view.observed.namespace,
      leases: {
        [server.name]: leaseName(pair, server.name),
        [server.partner]: leaseName(pair, server.partner),
      },
      failoverEndpointSlice: partner.failoverName,
    },
    diskSets: {
      [server.name]: diskSet(server.spec, view.spec.storage),
      [server.partner]: diskSet(partner.spec, view.spec.storage),
    },
    ...(view.spec.storage.transfer === 'Reattach'
      ? { attachPatienceMs: durationMs(view.spec.storage.attachPatience) }
      : {}),
    log: { level: 'info', format: 'json' },
  };
}

const diskSet = (server: FilerPairServer, storage: FilerPairSpec['storage']) => ({
  volumes: server.volumes.map(({ name, existingClaim }) => ({
    name,
    path: volumePath(server.name, name),
    ...(storage.lateWrites === 'WriteThrough' ? { writeThrough: true } : {}),
    ...(storage.transfer === 'Reattach' ? { reattached: true, adopts: existingClaim !== undefined } : {}),
  })),
  exports: server.exports,
});

/**
 * A ConfigMap for each version: a container that is started again reads what its pod was made for, and not half of a
 * change that its partner does not know yet. Exports are not part of the version: servers take them while they run.
 */
export const configMapName = (view: View, server: ServerView): string =>
  `${serverObjectName(view.observed.name, server.name)}-${fingerprint(withoutExports(serverConfig(view, server))).slice(-8)}`;

const FILE_NAME = 'server.json';

type Config = ReturnType<typeof serverConfig>;
type DiskSets = Readonly<Record<string, ReturnType<typeof diskSet>>>;

const withoutExports = (config: Config): unknown => ({
  ...config,
  diskSets: Object.fromEntries(
    Object.entries(config['diskSets'] as DiskSets).map(([home, set]) => [home, { ...set, exports: [] }]),
  ),
});

export const configMap = (view: View, server: ServerView): Desired =>
  configMapOf(view, server, configMapName(view, server), serverConfig(view, server));

function configMapOf(view: View, server: ServerView, name: string, config: unknown): Desired {
  const body = { data: { [FILE_NAME]: `${JSON.stringify(config, null, 2)}\n` } };
  return desired(view, 'configMaps', name, { server: server.name, body });
}

/**
 * An older version that a pod still reads, with the exports of now; those of volumes that it does not know are left
 * out. null: it cannot be read, and is left alone.
 */
export function olderConfigMap(view: View, server: ServerView, object: KubernetesObject): Desired | null {
  const config = parsed(object) as Config | null;
  const sets = config?.['diskSets'] as DiskSets | undefined;
  if (config === null || sets === undefined) return null;
  const diskSets = Object.entries(sets).map(([home, set]) => {
    const known = set.volumes.map(({ name }) => name);
    const exports = serverNamed(view, home)?.spec.exports ?? [];
    return [home, { ...set, exports: exports.filter(({ volume }) => known.includes(volume)) }];
  });
  const next = { ...config, diskSets: Object.fromEntries(diskSets) };
  return configMapOf(view, server, object.metadata.name ?? '', next);
}

/** Tells exports apart: on a pod, those that it was told of. */
export const exportsFingerprint = (view: View): string =>
  fingerprint(view.servers.map(({ spec }) => spec.exports)).slice(-8);

/** The Secret with the server's certificate. */
export const certificateSecretName = (view: View, server: ServerView): string =>
  server.spec.certificateSecret ?? certificateName(view.observed.name, server.name);

interface PodVolume {
  readonly name?: string;
  readonly configMap?: { readonly name?: string };
  readonly projected?: { readonly sources?: readonly { readonly secret?: { readonly name?: string } }[] };
}

/** The ConfigMap that a pod reads. */
export const configMapOfPod = (pod: Pod): string | null =>
  volumeOfPod(pod, 'config')?.configMap?.name ?? null;

function volumeOfPod(pod: Pod, name: string): PodVolume | undefined {
  const volumes = pod.spec?.['volumes'] as readonly PodVolume[] | undefined;
  return volumes?.find((one) => one.name === name);
}

/** The configuration with which a pod runs; null: it cannot be found out. */
export function configOfPod(view: View, pod: Pod): unknown {
  const name = configMapOfPod(pod);
  const found = view.observed.configMaps.find(({ metadata }) => metadata.name === name);
  return found === undefined ? null : parsed(found);
}

function parsed(object: KubernetesObject): unknown {
  const { data } = object as { data?: Readonly<Record<string, string>> };
  try {
    return JSON.parse(data?.[FILE_NAME] ?? 'null');
  } catch {
    return null;
  }
}
