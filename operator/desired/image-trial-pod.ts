/**
 * A pod that starts a new image once and ends. So it is known that the image can be pulled, runs on such a machine and has the
 * program in it, before a server that runs is given up for it.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { fingerprint } from '../model/fingerprint.ts';
import type { ServerView, View } from '../model/view.ts';
import { ownerReference, pairLabels } from './owned.ts';
import { imageOf, wantedImage } from './pod.ts';
import { annotationsOf, labelsOf, pullSecrets, scheduling } from './pod-template.ts';

export const imageTrialName = (view: View): string =>
  `${view.observed.name}-trial-${fingerprint([view.uid, wantedImage(view)]).slice(-8)}`;

/** Prefers the node of the server that is to be replaced first, if there is room: the image is on that node then. */
export function imageTrial(view: View, server: ServerView): KubernetesObject {
  const node = server.current?.pod.spec?.nodeName;
  const here = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: imageTrialName(view),
      namespace: view.observed.namespace,
      labels: { ...labelsOf(server), ...pairLabels(view), [labels.imageTrial]: 'true' },
      annotations: annotationsOf(server),
      ownerReferences: [ownerReference(view)],
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      securityContext: {
        runAsUser: 65534,
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...(node === undefined
        ? {}
        : {
            affinity: {
              nodeAffinity: {
                preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: here }],
              },
            },
          }),
      ...scheduling(server),
      ...pullSecrets(server),
      containers: [
        {
          name: 'trial',
          ...imageOf(view),
          // Every version understands this; one of the program's own flags an older one would not.
          command: ['node', '--check', '/app/dist/fileserver/main.js'],
          resources: { requests: { cpu: '5m', memory: '48Mi' } },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    },
  } as KubernetesObject;
}
