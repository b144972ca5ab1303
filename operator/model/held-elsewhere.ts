/** Who else has, or is about to have, the volumes of a disk set that are to be mounted on a node. */

import { ATTACHMENT_NODE_ANNOTATION } from './names.ts';
import type { Pod, VolumeAttachment } from './objects.ts';

export interface Mount {
  readonly claims: readonly string[];
  /** PersistentVolumes that these are bound to. */
  readonly volumes: readonly string[];
  readonly node: string;
}

/** A pod that uses one of the claims on another node, or is made for one; not one that has ended. */
export const userElsewhere = (pods: readonly Pod[], { claims, node }: Mount): Pod | undefined =>
  pods.find((pod) => {
    const { volumes } = (pod.spec ?? {}) as {
      readonly volumes?: readonly { readonly persistentVolumeClaim?: { readonly claimName?: string } }[];
    };
    const on = nodeOfUser(pod);
    return (
      pod.status?.phase !== 'Succeeded' &&
      pod.status?.phase !== 'Failed' &&
      on !== null &&
      on !== node &&
      volumes?.some((volume) => claims.includes(volume.persistentVolumeClaim?.claimName ?? '')) === true
    );
  });

export const attachedElsewhere = (
  attachments: readonly VolumeAttachment[],
  { volumes, node }: Mount,
): VolumeAttachment | undefined =>
  attachments.find(
    ({ spec }) => volumes.includes(spec?.source?.persistentVolumeName ?? '') && spec?.nodeName !== node,
  );

/** Where a pod is or is to be; null: nowhere yet. */
export const nodeOfUser = ({ metadata, spec }: Pod): string | null =>
  spec?.nodeName ?? metadata.annotations?.[ATTACHMENT_NODE_ANNOTATION] ?? null;
