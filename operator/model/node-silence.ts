/**
 * For how long a node has been silent or away, by one clock: what the operator itself has seen, and when. The times in a Node
 * are the control plane's, and a clock that differs from it by a minute would call a node lost a minute early. An operator that
 * starts begins to count anew, so a judgement can only come later.
 */

import type { Node } from './objects.ts';
import type { Observed } from './observed.ts';

export type NodesSeen = Pick<Observed, 'nodes' | 'readinessSince' | 'nodesGone'>;

const readyCondition = (node: Node | undefined) =>
  node?.status?.conditions?.find(({ type }) => type === 'Ready');

/** Since when the node has been as ready, or not, as it is now, ms since the epoch; null: it was not seen by then. */
export const readinessSince = ({ readinessSince: seen }: NodesSeen, name: string): number | null =>
  seen[name] ?? null;

/**
 * Its kubelet has stopped reporting: the control plane says Unknown in its place, 40 s after the last report unless it was
 * told otherwise. Ready=False is no silence: the kubelet says that itself.
 */
export const isSilent = (node: Node | undefined): boolean => readyCondition(node)?.status === 'Unknown';

/** Neither well nor only not seen yet. */
export const isNotReady = (node: Node | undefined): boolean =>
  readyCondition(node) !== undefined && readyCondition(node)?.status !== 'True';

/** The Node object has not existed for so long that Kubernetes' own garbage collector removes its pods. ms */
const GONE_MS_MIN = 40_000;

/** When a node that the API does not have counts as gone, ms since the epoch; null: it is there, or may be. */
export const goneAt = ({ nodes, nodesGone }: NodesSeen, name: string): number | null =>
  nodes[name] === undefined && nodesGone[name] !== undefined ? nodesGone[name] + GONE_MS_MIN : null;

/**
 * Access to the volumes that a node that is attached to none of them may still have, as words behind its name; null: none. A kubelet
 * reports a volume as in use before it mounts it and until it has unmounted it, also when it is back after it was away.
 */
export function volumeHeld(node: Node | undefined, volumes: readonly string[]): string | null {
  if (node === undefined || isOutOfService(node)) return null;
  if (!saysReady(node)) return 'is not ready, and may write to the disks';
  const used = volumes.find((name) => node.status?.volumesInUse?.includes(name));
  return used === undefined ? null : `is back, and its kubelet has not unmounted ${used} yet`;
}

export const saysReady = (node: Node | undefined): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

/** Kubernetes' own word for a node that is shut down: its pods are removed, and their volumes detached, by force. */
export const outOfServiceTaint = {
  key: 'node.kubernetes.io/out-of-service',
  value: 'nodeshutdown',
  effect: 'NoExecute',
} as const;

export const isOutOfService = (node: Node | undefined): boolean =>
  node?.spec?.taints?.some(({ key }) => key === outOfServiceTaint.key) === true;
