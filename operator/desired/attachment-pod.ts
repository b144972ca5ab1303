/**
 * The pod that holds a disk set's claims on the node of its owner (storage type Reattach): Kubernetes attaches and mounts them
 * for it, and it lets them appear in the directory of the node that the servers' containers look into.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import {
  ATTACHMENT_NODE_ANNOTATION,
  ATTACHMENT_NODE_UID_ANNOTATION,
  attachmentDirectory,
  attachmentPodName,
} from '../model/names.ts';
import { partnerOf, type ServerView, type View } from '../model/view.ts';
import { ownerReference, pairLabels } from './owned.ts';
import { annotationsOf, labelsOf, pullSecrets } from './pod-template.ts';

/**
 * Seconds that a disk set may go on being used after its attachment was told to go. After that the kubelet ends the pod and
 * the mount stays: nothing can be detached then, and the next attachment on the node tidies up.
 */
const GRACE_PERIOD_SECONDS = 600;
/** A Node process that mounts, and then waits. */
export const attachmentRequests = { cpu: '5m', memory: '48Mi' } as const;
const CLAIMS_DIRECTORY = '/claims';
const SERVERS_DIRECTORY = '/attach';
const RUN_DIRECTORY = '/run/filerpair';
const readyFile = `${RUN_DIRECTORY}/ready`;

/** Wherever a server runs its disks must be able to follow: only what would keep it from starting at all is not tolerated. */
const passingTaints = [
  'unschedulable',
  'memory-pressure',
  'disk-pressure',
  'pid-pressure',
  'not-ready',
  'unreachable',
];

/** Those that the operator knows it by. */
export const attachmentPodLabels = (view: View, home: ServerView): Record<string, string> => ({
  ...pairLabels(view),
  [labels.attachment]: home.name,
});

export function attachmentPod(view: View, home: ServerView, node: string): KubernetesObject {
  const { name: pair, namespace } = view.observed;
  const nodeUid = view.observed.nodes[node]?.metadata.uid;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: attachmentPodName(pair, home.name, node),
      namespace,
      labels: { ...labelsOf(home), ...attachmentPodLabels(view, home) },
      annotations: {
        ...annotationsOf(home),
        [ATTACHMENT_NODE_ANNOTATION]: node,
        ...(nodeUid === undefined ? {} : { [ATTACHMENT_NODE_UID_ANNOTATION]: nodeUid }),
      },
      ownerReferences: [ownerReference(view)],
    },
    spec: podSpec(view, home, node),
  } as KubernetesObject;
}

function podSpec(view: View, home: ServerView, node: string): Record<string, unknown> {
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: GRACE_PERIOD_SECONDS,
    // Container engines filter no privileged container unless they are configured to; then this is the filter.
    securityContext: { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } },
    ...priorityOf(view, home),
    ...schedulerOf(view, home),
    ...pullSecrets(home, partnerOf(view, home)),
    // Not nodeName: the scheduler has to see the pod, since it chooses volumes (WaitForFirstConsumer) and keeps two pods
    // from one claim (ReadWriteOncePod).
    affinity: onNode(node),
    // Not node.kubernetes.io/out-of-service: with it Kubernetes takes this pod, and its disks, from a node that is dead.
    tolerations: [
      ...passingTaints.map((taint) => ({ key: `node.kubernetes.io/${taint}`, operator: 'Exists' })),
      ...(home.podTemplate.spec?.tolerations ?? []),
      ...(partnerOf(view, home).podTemplate.spec?.tolerations ?? []),
    ],
    containers: [container(view, home)],
    volumes: [
      ...home.claims.map(({ name }, index) => ({
        name: `claim-${index}`,
        persistentVolumeClaim: { claimName: name },
      })),
      { name: 'run', emptyDir: {} },
      {
        name: 'servers',
        hostPath: { path: `${attachmentDirectory(view.uid)}/${home.name}`, type: 'DirectoryOrCreate' },
      },
    ],
  };
}

/** Its disks are as important as the server: without them the one that takes over serves nothing. */
export const attachmentPriority = (view: View, home: ServerView): string | undefined =>
  home.podTemplate.spec?.priorityClassName ?? partnerOf(view, home).podTemplate.spec?.priorityClassName;

function priorityOf(view: View, home: ServerView): { readonly priorityClassName?: string } {
  const priorityClassName = attachmentPriority(view, home);
  return priorityClassName === undefined ? {} : { priorityClassName };
}

function schedulerOf(view: View, home: ServerView): { readonly schedulerName?: string } {
  const schedulerName =
    home.podTemplate.spec?.schedulerName ?? partnerOf(view, home).podTemplate.spec?.schedulerName;
  return schedulerName === undefined ? {} : { schedulerName };
}

function container(view: View, home: ServerView): Record<string, unknown> {
  const names = home.volumes.map(({ name }) => name);
  return {
    name: 'disks',
    // Never another one: this pod is privileged.
    image: view.settings.fileserverImage,
    imagePullPolicy: view.settings.imagePullPolicy,
    // The init: a process that is PID 1 and not yet listening would not hear that it shall end.
    command: ['/usr/bin/tini', '-s', '--', 'node', '/app/dist/fileserver/attachment/main.js'],
    // A directory of its own: what another pod has left on the node is never taken for this one's.
    env: [{ name: 'POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } }],
    args: [
      '--from',
      CLAIMS_DIRECTORY,
      '--to',
      SERVERS_DIRECTORY,
      '--as',
      '$(POD_UID)',
      '--ready',
      readyFile,
      ...names,
    ],
    readinessProbe: { exec: { command: ['test', '-e', readyFile] }, periodSeconds: 1 },
    resources: { requests: attachmentRequests },
    // To mount, and to let the mount spread to the node, Kubernetes asks for no less.
    securityContext: { privileged: true, readOnlyRootFilesystem: true },
    volumeMounts: [
      ...home.volumes.map(({ name }, index) => ({
        name: `claim-${index}`,
        mountPath: `${CLAIMS_DIRECTORY}/${name}`,
      })),
      { name: 'servers', mountPath: SERVERS_DIRECTORY, mountPropagation: 'Bidirectional' },
      { name: 'run', mountPath: RUN_DIRECTORY },
    ],
  };
}

const onNode = (node: string) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
    },
  },
});
