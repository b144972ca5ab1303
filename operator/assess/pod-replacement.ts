/**
 * Which pods of a server to delete, and whether it needs a new one. Replacing is never urgent, since the partner takes over
 * without it, and never dangerous, since a new pod is a new incarnation that claims by the rules. What it can do is harm
 * availability, so each branch says why it holds back.
 */

import type { PodFinding } from '../model/pod-state.ts';
import type { ServerView } from '../model/view.ts';
import { partnerOf } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

// First finding wins:
//   leasesMissing     no Lease, no pod: a server could not own anything
//   holderUnreachable the only pod is on a lost node, but still owns a disk set although the partner runs: the
//                     partner would have taken over had it died, so it is alive and serves, and only its kubelet is
//                     out of reach. Deleting it would end a working server as soon as the kubelet is back.
//   everythingLost    the partner's node is lost too: it is rather the control plane that is cut off. Kubernetes'
//                     own evictions stop there as well.
//   noUsablePod       delete what has ended or is lost, make a new one
//   superfluous       more than one usable pod (a node came back): keep the one that owns a disk set, else the current

export interface Replacement {
  readonly finding:
    | 'leasesMissing'
    | 'holderUnreachable'
    | 'everythingLost'
    | 'noUsablePod'
    | 'superfluous'
    | 'enough';
  readonly remove: readonly { readonly pod: PodFinding; readonly why: string }[];
  /** Why a new pod is made; null: none is. */
  readonly create: string | null;
}

const nothing = (finding: Replacement['finding']): Replacement => ({ finding, remove: [], create: null });

export const podReplacement = question((view: Assessment, server: ServerView): Replacement => {
  const partner = partnerOf(view, server);
  if (!leasesBelongToPair(view)) return nothing('leasesMissing');
  const lost = server.pods.filter(({ state }) => state === 'NodeLost');
  if (server.usable.length === 0 && lost.length > 0) {
    const partnerRuns = partner.usable.some(({ state }) => state === 'Running');
    if (partnerRuns && lost.some((pod) => ownsSomething(view, pod))) return nothing('holderUnreachable');
    if (partner.usable.length === 0 && partner.pods.some(({ state }) => state === 'NodeLost'))
      return nothing('everythingLost');
  }
  const ended = server.pods
    .filter(
      ({ state, pod }) =>
        (state === 'Ended' || state === 'NodeLost') && pod.metadata.deletionTimestamp === undefined,
    )
    .map((pod) => ({ pod, why: `pod ${pod.pod.metadata.name} is replaced: ${pod.because}` }));
  if (server.usable.length === 0) {
    const last = server.pods.at(-1);
    return {
      finding: 'noUsablePod',
      remove: ended,
      create:
        last === undefined ? `${server.name} has no pod` : `pod ${last.pod.metadata.name}: ${last.because}`,
    };
  }
  const superfluous = superfluousPods(view, server);
  return {
    finding: superfluous.length > 0 ? 'superfluous' : 'enough',
    remove: [...ended, ...superfluous],
    create: null,
  };
});

function superfluousPods(view: Assessment, server: ServerView): Replacement['remove'] {
  if (server.usable.length < 2) return [];
  const owners = server.usable.filter((pod) => ownsSomething(view, pod));
  const kept = owners.length > 0 ? owners : [server.current ?? server.usable.at(-1)!];
  return server.usable
    .filter((pod) => !kept.includes(pod))
    .map((pod) => ({
      pod,
      why: `pod ${pod.pod.metadata.name} is superfluous: ${server.name} runs in ${kept.map((one) => one.pod.metadata.name).join(', ')}`,
    }));
}

export const ownsSomething = (view: Assessment, { pod }: PodFinding): boolean =>
  view.servers.some(({ lease }) => lease?.holderPodUid === pod.metadata.uid && lease?.holder !== null);

export const leasesBelongToPair = question((view: Assessment): boolean =>
  view.servers.every((home) => leaseBelongsToPair(view, home)),
);

/** A Lease of an earlier FilerPair of the same name is about to go. */
export const leaseBelongsToPair = (view: Assessment, { lease }: ServerView): boolean =>
  lease?.object.metadata.ownerReferences?.some((reference) => reference.uid === view.uid) === true;
