/**
 * The configuration file of one server, the same for every pod of it: what differs from run to run comes from the pod's
 * environment.
 */

import type { StorageType } from '../../crds/pair/storage.ts';
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
import { partnerOf, type ServerView, type View } from '../model/view.ts';
import { type Desired, desired } from './owned.ts';

export const RUN_DIRECTORY = '/run/filerpair';
export const SECRET_DIRECTORY = '/etc/filerpair-secret';
export const CONFIG_DIRECTORY = '/etc/filerpair';
/** Below it: the operator's certificate, where the server's own is from elsewhere. */
export const FALLBACK_DIRECTORY = 'fallback';
export const HANDLE_KEYS_DIRECTORY = '/etc/filerpair-handle-keys';
/** Holds the token of clients that may read status and metrics. */
export const METRICS_TOKEN_DIRECTORY = '/etc/filerpair-metrics-token';
export const METRICS_TOKEN_KEY = 'token';
/** The key that signs (fileserver/storage/handles/handle-keys.ts). */
export const HANDLE_KEY = 'current';

export function serverConfig(view: View, server: ServerView): Record<string, unknown> {
  const { ports, failover, giveback, metricsTokenSecret, storageType } = view.effective;
  const tokenFile =
    metricsTokenSecret === null ? {} : { tokenFile: `${METRICS_TOKEN_DIRECTORY}/${METRICS_TOKEN_KEY}` };
  const pair = view.observed.name;
  const partner = partnerOf(view, server);
  return {
    pair,
    server: server.name,
    partner: server.partner,
    listen: { host: '0.0.0.0', ...ports, ...tokenFile },
    partnerAddress: { host: interconnectServiceName(partner.serviceName), interconnect: ports.interconnect },
    runDir: RUN_DIRECTORY,
    handleKeysDirectory: HANDLE_KEYS_DIRECTORY,
    tls: {
      directory: SECRET_DIRECTORY,
      ...(server.certificateSecret === null
        ? {}
        : { fallbackDirectory: `${SECRET_DIRECTORY}/${FALLBACK_DIRECTORY}` }),
      name: certificateDnsName(server.serviceName, view.observed.namespace),
      partnerName: certificateDnsName(partner.serviceName, view.observed.namespace),
    },
    timing: { leaseMs: failover.leaseMs, guardMs: failover.guardMs, heartbeatMs: failover.heartbeatMs },
    policy: {
      takeover: failover.mode,
      giveback: {
        mode: giveback.mode,
        afterMs: giveback.stableForMs,
        retries: giveback.maxRetries,
        takeoversMax: giveback.maxTakeovers,
        windowMs: giveback.takeoverWindowMs,
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
      [server.name]: diskSet(server, storageType),
      [server.partner]: diskSet(partner, storageType),
    },
    shares: {
      pair,
      serviceNames: Object.fromEntries(view.servers.map(({ name, serviceName }) => [name, serviceName])),
    },
    ...(storageType === 'Reattach' ? { attachPatienceMs: view.effective.attachTimeoutMs } : {}),
    log: { level: 'info', format: 'json' },
  };
}

const diskSet = (server: ServerView, storageType: StorageType) => ({
  volumes: server.volumes.map(({ name, claimTemplate }) => ({
    name,
    path: volumePath(server.name, name),
    ...(storageType === 'SharedWriteThrough' ? { writeThrough: true } : {}),
    ...(storageType === 'Reattach' ? { reattached: true, adopts: claimTemplate === null } : {}),
  })),
});

/**
 * A ConfigMap for each version: a container that is started again reads what its pod was made for, and not half of a
 * change that its partner does not know yet.
 */
export const configMapName = (view: View, server: ServerView): string =>
  `${serverObjectName(view.observed.name, server.name)}-${fingerprint(serverConfig(view, server)).slice(-8)}`;

const FILE_NAME = 'server.json';

export function configMap(view: View, server: ServerView): Desired {
  const body = { data: { [FILE_NAME]: `${JSON.stringify(serverConfig(view, server), null, 2)}\n` } };
  return desired(view, 'configMaps', configMapName(view, server), { server: server.name, body });
}

/** The Secret with the server's certificate. */
export const certificateSecretName = (view: View, server: ServerView): string =>
  server.certificateSecret ?? certificateName(view.observed.name, server.name);

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
