// For how long a node has been silent or away, by one clock: what the operator itself has seen, and when. The times in a
// Node are the control plane's, and a clock that differs from it by a minute would call a node lost a minute early. An
// operator that starts begins to count anew, so a judgement can only come later.

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
