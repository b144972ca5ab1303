/** Whom a change concerns: the keys of the pairs to reconcile. */

import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Change } from '../../kubernetes/reflector.ts';
import type { VolumeAttachment } from '../model/objects.ts';
import { type WatchedKindName, watchedKinds } from '../model/watched-kinds.ts';
import { type ClusterCopy, keyOf, pairKeyOf, pairOf } from './cluster-copy.ts';

/** Reconciled instead of a pair when marks on nodes may have to go. No pair has this name: a pair's has a slash in it. */
export const NODES_KEY = 'nodes';

export function* concernedPairs(
  copy: ClusterCopy,
  name: WatchedKindName,
  change: Change<KubernetesObject>,
): Generator<string, void, void> {
  const object = objectOf(change);
  const { metadata } = object;
  switch (watchedKinds[name].wakes) {
    case 'itself':
      yield keyOf(metadata.namespace ?? '', metadata.name ?? '');
      return;
    case 'its pair':
      for (const one of change.kind === 'modified' ? [object, change.previous] : [object]) {
        const key = pairOf(name, one);
        if (key !== null) yield key;
      }
      return;
    case 'pairs of the namespace':
      for (const pair of copy.values('filerPairs'))
        if (pair.metadata.namespace === metadata.name)
          yield keyOf(pair.metadata.namespace ?? '', pair.metadata.name ?? '');
      return;
    case 'pairs on the node':
      if (metadata.annotations?.[nodeAnnotations.outOfService] !== undefined) yield NODES_KEY;
      for (const pod of copy.values('pods')) {
        const key = pod.spec?.nodeName === metadata.name ? pairKeyOf(pod) : null;
        if (key !== null) yield key;
      }
      // Disks may be attached there when no pod is left.
      for (const { spec } of copy.values('volumeAttachments'))
        if (spec?.nodeName === metadata.name) yield* usersOf(copy, spec?.source?.persistentVolumeName);
      return;
    case 'users of the volume':
      yield* usersOf(
        copy,
        name === 'persistentVolumes'
          ? metadata.name
          : (object as VolumeAttachment).spec?.source?.persistentVolumeName,
      );
      return;
    case 'every pair':
      yield* everyPair(copy);
  }
}

/** Every pair, and every name that left something behind. */
export function everyPair(copy: ClusterCopy): Set<string> {
  const pairs = [...copy.values('filerPairs')].map(({ metadata }) =>
    keyOf(metadata.namespace ?? '', metadata.name ?? ''),
  );
  const others = (['leases', 'filerPairOperations', 'filerShares'] as const).flatMap((name) =>
    [...copy.values(name)].map((one) => pairOf(name, one)).filter((key) => key !== null),
  );
  return new Set([...pairs, ...others]);
}

/** Most volumes have nothing to do with any pair. */
function* usersOf(copy: ClusterCopy, volume: string | undefined): Generator<string, void, void> {
  for (const claim of copy.values('persistentVolumeClaims')) {
    const key = claim.spec?.volumeName === volume ? pairKeyOf(claim) : null;
    if (key !== null) yield key;
  }
}

export const objectOf = <T extends KubernetesObject>(change: Change<T>): T =>
  change.kind === 'deleted' ? change.previous : change.object;
