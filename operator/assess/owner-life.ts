/**
 * Whether the process that a Lease names may be serving, as far as anybody can tell. Drives what people are told, and what is
 * not done to a node on which somebody lives; never ownership (rule R5).
 */

import { isSilent } from '../model/node-silence.ts';
import type { PodFinding } from '../model/pod-state.ts';
import { podOfIncarnation, type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

// A pod's status is its kubelet's last word. On a node that has fallen silent it proves nothing, and what is left is the
// behaviour of the partner. The partner runs, and would have taken over a dead owner's disk set by itself within seconds. If it
// has not in all the time that it takes a node to be called silent, the owner has renewed its lease. It lives.

export type OwnerLife =
  /** Its container runs, by the word of a kubelet that reports; or what its partner does proves that it lives. */
  | 'alive'
  /** Its node is silent or gone. Nobody can tell. */
  | 'unreachable'
  /** The API has no such pod, or one that has ended. */
  | 'gone'
  /** Its container does not run, and is started again. */
  | 'restarting';

/** Life of the owner of a disk set that has one. */
export const ownerLife = question((view: Assessment, home: ServerView): OwnerLife => {
  const { lease } = home;
  const owner = lease && podOfIncarnation(view, lease.holderServer, lease.holderPodUid);
  if (owner == null || owner.state === 'Ended') return 'gone';
  if (isOutOfTouch(view, owner.pod.spec?.nodeName))
    return isProvenAlive(view, lease?.holderPodUid ?? null) ? 'alive' : 'unreachable';
  return owner.state === 'Restarting' || owner.state === 'Pending' ? 'restarting' : 'alive';
});

/** Whether a server lives that runs in a pod of a silent node: it owns something that its partner would have taken. */
export const isProvenAlive = (view: Assessment, podUid: string | null): boolean =>
  podUid !== null &&
  view.servers.some((home) => home.lease?.holderPodUid === podUid && whyNoTakeover(view, home) === null);

/** Names of nodes from which a server of the pair is known to serve, whatever the node itself says. */
export const nodesOfLiving = question(
  (view: Assessment): ReadonlySet<string> =>
    new Set(
      view.servers.flatMap((server) =>
        server.pods.flatMap(({ pod }) =>
          pod.spec?.nodeName !== undefined && isProvenAlive(view, pod.metadata.uid ?? null)
            ? [pod.spec.nodeName]
            : [],
        ),
      ),
    ),
);

/** Why the partner of the owner would not take over by itself, as a clause; null: it would. */
export const whyNoTakeover = question((view: Assessment, home: ServerView): string | null => {
  const { lease } = home;
  const owner = serverNamed(view, lease?.holderServer ?? null);
  const survivor = serverNamed(view, owner?.partner ?? null);
  if (lease === null || owner === null || survivor === null) return 'the owner is not a server of this pair';
  if (view.effective.failover.mode === 'Manual') return 'spec.failover.mode is Manual';
  if (lease.maintenance !== null) return `maintenance: ${lease.maintenance}`;
  const running = runningPartners(view, home);
  if (running.length === 0) return `${survivor.name} does not run`;
  const [, acknowledger] = lease.acknowledger?.split('/') ?? [];
  if (acknowledger !== undefined && !running.some(({ pod }) => pod.metadata.uid === acknowledger))
    return `the run of ${survivor.name} that the Lease names as acknowledger is gone`;
  const { takeoverCheck } = lease;
  return takeoverCheck !== null && takeoverCheck.server === survivor.name && !takeoverCheck.possible
    ? `${survivor.name} says that it cannot`
    : null;
});

/** Pods of the partner of the owner that run, by the word of a kubelet that reports. */
export const runningPartners = (view: Assessment, { lease }: ServerView): readonly PodFinding[] => {
  const owner = serverNamed(view, lease?.holderServer ?? null);
  const survivor = serverNamed(view, owner?.partner ?? null);
  return (survivor?.pods ?? []).filter(
    ({ state, pod }) => state === 'Running' && !isOutOfTouch(view, pod.spec?.nodeName),
  );
};

const isOutOfTouch = ({ observed }: Assessment, node: string | undefined): boolean =>
  node !== undefined && (isSilent(observed.nodes[node]) || observed.nodesGone[node] !== undefined);
