/** The pods that hold the claims of a disk set on a node (storage type Reattach), as they are. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import {
  ATTACHMENT_NODE_ANNOTATION,
  ATTACHMENT_NODE_UID_ANNOTATION,
  attachmentPodName,
} from '../model/names.ts';
import type { Pod } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/** By their label; where that was removed, by the name that they were made with. */
export const attachmentPods = question((view: Assessment, home: ServerView): Pod[] =>
  view.observed.pods.filter((pod) => {
    const { name, labels: known } = pod.metadata;
    const node = nodeOf(pod);
    return known?.[labels.attachment] === undefined
      ? node !== undefined && name === attachmentPodName(view.observed.name, home.name, node)
      : known[labels.attachment] === home.name;
  }),
);

export const nodeOf = ({ metadata, spec }: Pod): string | undefined =>
  spec?.nodeName ?? metadata.annotations?.[ATTACHMENT_NODE_ANNOTATION];

/** And not on another machine that has come under the name of the node. */
export function isOn(view: Assessment, pod: Pod, node: string): boolean {
  const madeFor = pod.metadata.annotations?.[ATTACHMENT_NODE_UID_ANNOTATION];
  const there = view.observed.nodes[node]?.metadata.uid;
  return nodeOf(pod) === node && (madeFor === undefined || there === undefined || madeFor === there);
}

export const isEnding = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp !== undefined || status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** A claim that the spec names and the pod, which was made before, does not hold. */
export function claimLacking(home: ServerView, { spec }: Pod): string | undefined {
  const volumes = (spec?.['volumes'] ?? []) as readonly {
    readonly persistentVolumeClaim?: { readonly claimName: string };
  }[];
  const held = new Set(volumes.map(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName));
  return home.claims.find(({ name }) => !held.has(name))?.name;
}

export const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
