/**
 * Which nodes are to be marked as out of service, so that Kubernetes takes disks from them by force (storage type Reattach).
 */

import { durationText } from '../../crds/quantities.ts';
import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { isOutOfService, isSilent, readinessSince, saysReady } from '../model/node-silence.ts';
import type { Node } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { podOfIncarnation, type ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';
import { attachmentPods } from './attachment-pods.ts';
import { claimsBeingDeleted } from './claim-being-deleted.ts';
import { diskLocation } from './disk-location.ts';
import { isNodeReady } from './disk-move-steps.ts';
import { nodesOfLiving } from './owner-life.ts';

// Never on silence alone, unless the spec says AfterTimeout: a node that is only cut off still has the disk mounted, and its kernel may
// write what it holds. What is asked for in any case: the disk set has another owner by now, by the rules of the Lease. That
// owner runs on a node that is ready and waits. Its disks are on a node that is not ready. No server of the pair is known to
// serve from that node. So the worst that a wrong mark can do is what the storage allows a node that it has been taken from.

export interface NodeToMark {
  readonly node: Node;
  readonly why: string;
  /** Whose disks are or may be there. */
  readonly homes: readonly ServerView[];
}

export function nodesToMark(view: Assessment): NodeToMark[] {
  const found = new Map<string, NodeToMark>();
  for (const { node, name, home } of lostNodes(view)) {
    const why = whyOutOfService(view, node, name);
    if (why === null) continue;
    // The mark takes all pods from the node, those of the other disk set too.
    const homes = view.servers.filter((one) => one === home || hasDisksOn(view, one, name));
    if (homes.some((one) => claimsBeingDeleted(one).length > 0)) continue;
    found.set(name, {
      node,
      why: `${why}, and ${home.lease?.holderServer} waits for the disks of ${home.name}`,
      homes,
    });
  }
  return [...found.values()];
}

/** Nodes that are back, with marks of ours, whichever pair they were set for. */
export const nodesToUnmark = (nodes: Observed['nodes']): Node[] =>
  Object.values(nodes).filter(
    (node) => node.metadata.annotations?.[nodeAnnotations.outOfService] !== undefined && saysReady(node),
  );

/** When time alone makes the next mark due, ms since the epoch; null: never. */
export function lostNodesDueAt(view: Assessment): number | null {
  if (view.effective.lostNodes.policy !== 'AfterTimeout') return null;
  const due = lostNodes(view)
    .map(({ node }) => silentUntil(view, node))
    .filter((at): at is number => at !== null && at > view.now);
  return due.length === 0 ? null : Math.min(...due);
}

function lostNodes(
  view: Assessment,
): { readonly node: Node; readonly name: string; readonly home: ServerView }[] {
  const living = nodesOfLiving(view);
  return view.servers.flatMap((home) => {
    const name = diskLocation(view, home)?.lostNode;
    const node = view.observed.nodes[name ?? ''];
    if (name === undefined || node === undefined || isOutOfService(node) || !ownerWaits(view, home))
      return [];
    // The mark would take a disk from under a server that serves.
    if (living.has(name)) return [];
    return [{ node, name, home }];
  });
}

const hasDisksOn = (view: Assessment, home: ServerView, node: string): boolean =>
  attachmentPods(view, home).some(({ spec }) => spec?.nodeName === node);

function ownerWaits(view: Assessment, { lease }: ServerView): boolean {
  const owner = lease && podOfIncarnation(view, lease.holderServer, lease.holderPodUid);
  const on = owner?.pod.spec?.nodeName;
  return (
    (owner?.state === 'Running' || owner?.state === 'Starting') && on !== undefined && isNodeReady(view, on)
  );
}

function whyOutOfService(view: Assessment, node: Node, name: string): string | null {
  const { policy, timeoutMs } = view.effective.lostNodes;
  if (policy === 'Confirmed') {
    const { bootID } = node.status?.nodeInfo ?? {};
    const confirmed = node.metadata.annotations?.[nodeAnnotations.poweredOff];
    return bootID !== undefined && bootID !== '' && confirmed === bootID
      ? `node ${name} is said to be switched off since boot ${bootID}`
      : null;
  }
  if (policy !== 'AfterTimeout') return null;
  const at = silentUntil(view, node);
  return at !== null && at <= view.now ? `node ${name} has been silent for ${durationText(timeoutMs)}` : null;
}

/** When the node has been silent for long enough, ms since the epoch; null: it is not silent, or was not seen to be. */
function silentUntil(view: Assessment, node: Node): number | null {
  const since = isSilent(node) ? readinessSince(view.observed, node.metadata.name ?? '') : null;
  return since === null ? null : since + view.effective.lostNodes.timeoutMs;
}
