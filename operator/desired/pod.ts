/**
 * The pod of one server: the server and its sentinel from one image. A bare pod, since a Deployment or StatefulSet would wait
 * for a node that is only cut off, or not know which of two pods the Services must lead to.
 */

import { handleKeysName, labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { intersection, nodesWithinReach } from '../model/disk-reach.ts';
import { fingerprint } from '../model/fingerprint.ts';
import {
  attachmentDirectory,
  CURRENT_LABEL,
  certificateName,
  RENDERING_ANNOTATION,
  serverObjectName,
  TEMPLATE_ANNOTATION,
  VOLUMES_DIRECTORY,
  volumePath,
} from '../model/names.ts';
import type { NodeSelector, Pod } from '../model/objects.ts';
import type { ServerView, View } from '../model/view.ts';
import { ownerReference, pairLabels } from './owned.ts';
import { annotationsOf, labelsOf, pullSecrets, resourcesOf, scheduling } from './pod-template.ts';
import { containerPorts } from './ports.ts';
import {
  CONFIG_DIRECTORY,
  certificateSecretName,
  configMapName,
  FALLBACK_DIRECTORY,
  HANDLE_KEYS_DIRECTORY,
  METRICS_TOKEN_DIRECTORY,
  METRICS_TOKEN_KEY,
  RUN_DIRECTORY,
  SECRET_DIRECTORY,
} from './server-config.ts';

/** Seconds between SIGTERM and SIGKILL: enough to finish what runs, sync, and hand over. */
const GRACE_PERIOD_SECONDS = 30;

/**
 * Resources that a server's container reserves unless a podTemplate says otherwise. Without a share of its own a container gets next
 * to nothing of a busy node's processors. A server that gets none for the length of its lease is rightly declared dead, so a
 * load elsewhere would become a takeover.
 */
const resourcesDefault = {
  requests: { cpu: '500m', memory: '384Mi' },
  // Beyond the sum of what clients can make it keep (docs/fileserver.md, "Limits and bad input"): it ends what goes wrong, and spares
  // the node's other pods.
  limits: { memory: '2Gi' },
};
const sentinelResources = { requests: { cpu: '5m', memory: '48Mi' }, limits: { memory: '128Mi' } };

/** A user that nothing else has: clients are squashed to 65534, and no account of the image has it. */
const SENTINEL_UID = 65532;

interface ServerPod {
  readonly spec: Record<string, unknown>;
  /** Fingerprint that tells whether a running pod is up to date. */
  readonly template: string;
}

/** Several policies ask for the same pod of the same view. */
const known = new WeakMap<ServerView, ServerPod>();

/** The pod without its name. */
export function serverPod(view: View, server: ServerView): ServerPod {
  const before = known.get(server);
  if (before !== undefined) return before;
  const spec = podSpec(view, server);
  // The configuration is in it too: the name of its ConfigMap is made of its content.
  const made = { spec, template: fingerprint([spec, labelsOf(server), annotationsOf(server)]) };
  known.set(server, made);
  return made;
}

/**
 * A new pod of the server. Its name is derived from the pods that are known: deciding twice on the same state, or
 * creating twice because an answer was lost, makes one pod.
 *
 * @param rendering of the operator (rendering.ts)
 */
export function newPod(
  view: View,
  server: ServerView,
  current: boolean,
  rendering: string,
): KubernetesObject {
  const { spec, template } = serverPod(view, server);
  const others = server.pods.map(({ pod }) => pod.metadata.uid);
  const suffix = fingerprint([view.uid, server.name, others]).slice(-5);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${serverObjectName(view.observed.name, server.name)}-${suffix}`,
      namespace: view.observed.namespace,
      labels: { ...labelsOf(server), ...pairLabels(view, server.name), [CURRENT_LABEL]: String(current) },
      annotations: {
        ...annotationsOf(server),
        [TEMPLATE_ANNOTATION]: template,
        [RENDERING_ANNOTATION]: rendering,
        'kubectl.kubernetes.io/default-container': 'server',
      },
      ownerReferences: [ownerReference(view)],
    },
    spec: withinReach(view, spec),
  } as KubernetesObject;
}

/**
 * Where the disks of both disk sets can be attached. Not part of the template: it is known only when the volumes are bound,
 * and is no reason to replace a pod that runs.
 */
function withinReach(view: View, spec: Record<string, unknown>): Record<string, unknown> {
  const nodes = nodesWithinReach(view);
  if (nodes === null) return spec;
  const { nodeAffinity, ...others } = spec['affinity'] as { readonly nodeAffinity?: NodeAffinity };
  const asked = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const required = asked === undefined ? nodes : intersection(asked, nodes);
  return {
    ...spec,
    affinity: {
      ...others,
      nodeAffinity: { ...nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: required },
    },
  };
}

interface NodeAffinity {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: NodeSelector;
}

function podSpec(view: View, server: ServerView): Record<string, unknown> {
  return {
    serviceAccountName: serverObjectName(view.observed.name, server.name),
    automountServiceAccountToken: false,
    // The kernel ignores the dead man's switch for PID 1 (rule R10): here PID 1 is the pause container. It is also
    // how the sentinel sees the server's process.
    shareProcessNamespace: true,
    // Names in the cluster are resolved all the same: the servers find each other by them.
    ...(view.effective.exposure.type === 'HostNetwork'
      ? { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }
      : {}),
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: GRACE_PERIOD_SECONDS,
    enableServiceLinks: false,
    securityContext: { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } },
    affinity: affinity(view, server),
    ...scheduling(server),
    ...pullSecrets(server),
    containers: [serverContainer(view, server), sentinelContainer(view, server)],
    volumes: podVolumes(view, server),
  };
}

/**
 * Away from the partner, as far as the spec asks for it. Storage type SameNode: only where the partner is, for one kernel is
 * what was promised (rule R9). By the partner's label and not by topologySpreadConstraints, which would count the pod
 * that is being replaced too.
 */
function affinity(view: View, server: ServerView): Record<string, unknown> {
  const { nodeAffinity } = server.podTemplate.spec?.affinity ?? {};
  return { ...(nodeAffinity && { nodeAffinity }), ...distance(view, server) };
}

function distance(view: View, server: ServerView): Record<string, unknown> {
  const beside = (topologyKey: string, matchLabels: Record<string, string>) => ({
    labelSelector: { matchLabels: { [labels.pair]: view.observed.name, ...matchLabels } },
    topologyKey,
  });
  // A term that a pod itself matches does not keep the first pod from starting.
  if (view.effective.storageType === 'SameNode') {
    const term = beside('kubernetes.io/hostname', {});
    return { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  }
  const partner = { [labels.server]: server.partner };
  const of = (mode: 'Required' | 'Preferred') =>
    view.effective.antiAffinity
      .filter((one) => one.mode === mode)
      .map(({ topologyKey }) => beside(topologyKey, partner));
  const preferred = of('Preferred').map((podAffinityTerm) => ({ weight: 100, podAffinityTerm }));
  const required = of('Required');
  return {
    ...sameZone(view, beside(ZONE, partner)),
    podAntiAffinity: {
      ...(preferred.length === 0 ? {} : { preferredDuringSchedulingIgnoredDuringExecution: preferred }),
      ...(required.length === 0 ? {} : { requiredDuringSchedulingIgnoredDuringExecution: required }),
    },
  };
}

const ZONE = 'topology.kubernetes.io/zone';

/**
 * Disks that are made where their first pod is (WaitForFirstConsumer), and that move. Unless the spec asks for two zones, the
 * servers begin in one: the disks of most storage can be attached in one ZONE only.
 */
function sameZone(view: View, podAffinityTerm: object): Record<string, unknown> {
  const { antiAffinity, storageType } = view.effective;
  if (storageType !== 'Reattach' || antiAffinity.some(({ topologyKey }) => topologyKey === ZONE)) return {};
  const term = { weight: 100, podAffinityTerm };
  return { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [term] } };
}

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

export const wantedImage = (view: View): string => view.effective.image ?? view.settings.fileserverImage;

export const imagesOfPod = ({ spec }: Pod): string[] =>
  ((spec?.['containers'] ?? []) as readonly { readonly image?: string }[]).flatMap(
    ({ image }) => image ?? [],
  );

/** Image of the server alone: containers that others put beside it do not count. */
export const serverImageOf = ({ spec }: Pod): string | undefined =>
  ((spec?.['containers'] ?? []) as readonly { readonly name?: string; readonly image?: string }[]).find(
    ({ name }) => name === 'server',
  )?.image;

export const imageOf = (view: View): Record<string, unknown> => ({
  image: wantedImage(view),
  imagePullPolicy: view.effective.imagePullPolicy ?? view.settings.imagePullPolicy,
});

function serverContainer(view: View, server: ServerView): Record<string, unknown> {
  const { ports } = view.effective;
  return {
    name: 'server',
    ...imageOf(view),
    // No init in between: the container ends when, and only when, the server's process has ended (rule R5).
    command: ['node', '/app/dist/fileserver/main.js', '--config', `${CONFIG_DIRECTORY}/server.json`],
    env: [
      field('POD_NAME', 'metadata.name'),
      field('POD_UID', 'metadata.uid'),
      field('POD_IP', 'status.podIP'),
      field('POD_NAMESPACE', 'metadata.namespace'),
      field('NODE_NAME', 'spec.nodeName'),
      { name: 'TERMINATION_LOG', value: '/dev/termination-log' },
    ],
    // The server writes its incarnation there; the operator's proof of death rests on it.
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    ports: [
      { name: containerPorts.primary, containerPort: ports.primary, protocol: 'TCP' },
      { name: containerPorts.secondary, containerPort: ports.secondary, protocol: 'TCP' },
      { name: containerPorts.interconnect, containerPort: ports.interconnect, protocol: 'TCP' },
      { name: containerPorts.metrics, containerPort: ports.metrics, protocol: 'TCP' },
    ],
    // No liveness probe: a stalled server is killed by its dead man's switch, and a slow disk is no reason to kill.
    readinessProbe: {
      httpGet: { path: '/readyz', port: containerPorts.metrics },
      periodSeconds: 2,
      timeoutSeconds: 2,
      failureThreshold: 2,
    },
    resources: resourcesOf(server, 'server') ?? resourcesDefault,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      // To act as the user that a request names, on files of anybody, by handles.
      capabilities: {
        drop: ['ALL'],
        add: ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'MKNOD', 'SETGID', 'SETUID'],
      },
    },
    volumeMounts: [
      { name: 'run', mountPath: RUN_DIRECTORY },
      { name: 'config', mountPath: CONFIG_DIRECTORY, readOnly: true },
      { name: 'secret', mountPath: SECRET_DIRECTORY, readOnly: true },
      { name: 'handle-keys', mountPath: HANDLE_KEYS_DIRECTORY, readOnly: true },
      { name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
      ...(view.effective.metricsTokenSecret === null
        ? []
        : [{ name: 'metrics-token', mountPath: METRICS_TOKEN_DIRECTORY, readOnly: true }]),
      ...volumeMounts(view),
    ],
  };
}

function sentinelContainer(view: View, server: ServerView): Record<string, unknown> {
  return {
    name: 'sentinel',
    ...imageOf(view),
    command: ['node', '/app/dist/fileserver/sentinel/main.js', '--config', `${CONFIG_DIRECTORY}/server.json`],
    env: [field('POD_NAME', 'metadata.name'), field('POD_UID', 'metadata.uid')],
    resources: resourcesOf(server, 'sentinel') ?? sentinelResources,
    // The server, which is root, finds its socket all the same; the kernel tells of a death whosever the process was.
    securityContext: {
      runAsNonRoot: true,
      runAsUser: SENTINEL_UID,
      runAsGroup: SENTINEL_UID,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'run', mountPath: RUN_DIRECTORY },
      { name: 'config', mountPath: CONFIG_DIRECTORY, readOnly: true },
      { name: 'sentinel-secret', mountPath: SECRET_DIRECTORY, readOnly: true },
    ],
  };
}

/** By position, not by name: two labels together do not fit into one. */
const mountName = (view: View, home: ServerView, volume: string): string =>
  `volume-${view.servers.indexOf(home)}-${home.volumes.findIndex(({ name }) => name === volume)}`;

const secretSources = (view: View, server: ServerView): object[] => {
  const source = (name: string, directory = ''): object => ({
    secret: {
      name,
      ...(directory === '' ? {} : { optional: true }),
      items: ['tls.crt', 'tls.key', 'ca.crt'].map((key) => ({ key, path: `${directory}${key}` })),
    },
  });
  const given = source(certificateSecretName(view, server));
  if (server.certificateSecret === null) return [given];
  return [given, source(certificateName(view.observed.name, server.name), `${FALLBACK_DIRECTORY}/`)];
};

function podVolumes(view: View, server: ServerView): Record<string, unknown>[] {
  const keys = handleKeysName(view.observed.name);
  return [
    { name: 'run', emptyDir: {} },
    { name: 'config', configMap: { name: configMapName(view, server) } },
    { name: 'secret', projected: { defaultMode: 0o400, sources: secretSources(view, server) } },
    // The sentinel is not root, and fsGroup would have the kubelet change the groups of clients' files. Only its container mounts it.
    { name: 'sentinel-secret', projected: { defaultMode: 0o444, sources: secretSources(view, server) } },
    { name: 'handle-keys', secret: { secretName: keys, defaultMode: 0o400 } },
    {
      name: 'token',
      projected: {
        sources: [
          { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          {
            downwardAPI: {
              items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
            },
          },
        ],
      },
    },
    ...metricsToken(view),
    ...dataVolumes(view),
  ];
}

const metricsToken = ({ effective: { metricsTokenSecret: secretName } }: View): Record<string, unknown>[] =>
  secretName === null
    ? []
    : [
        {
          name: 'metrics-token',
          secret: {
            secretName,
            defaultMode: 0o400,
            items: [{ key: METRICS_TOKEN_KEY, path: METRICS_TOKEN_KEY }],
          },
        },
      ];

/**
 * Reattach: volumes appear and vanish below the directory while the server runs. Read-only is the directory itself, which
 * belongs to the node; what is mounted below it has flags of its own. So nothing can be written where a volume is not.
 */
function volumeMounts(view: View): Record<string, unknown>[] {
  if (view.effective.storageType === 'Reattach')
    return [
      { name: 'disks', mountPath: VOLUMES_DIRECTORY, readOnly: true, mountPropagation: 'HostToContainer' },
    ];
  return view.servers.flatMap((home) =>
    home.volumes.map((volume) => ({
      name: mountName(view, home, volume.name),
      mountPath: volumePath(home.name, volume.name),
    })),
  );
}

function dataVolumes(view: View): Record<string, unknown>[] {
  if (view.effective.storageType === 'Reattach')
    return [{ name: 'disks', hostPath: { path: attachmentDirectory(view.uid), type: 'DirectoryOrCreate' } }];
  return view.servers.flatMap((home) =>
    home.claims.map(({ volume, name }) => ({
      name: mountName(view, home, volume.name),
      persistentVolumeClaim: { claimName: name },
    })),
  );
}
