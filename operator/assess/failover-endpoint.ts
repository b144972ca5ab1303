/**
 * Whether the secondary Service of a disk set leads anywhere now: to the partner's pod, exactly while the partner owns the disk
 * set and says that its secondary port is open for this epoch. The server opens and closes this gate itself; the operator makes
 * good what got lost, and never works against what a server did a moment ago (isBehind).
 */

import {
  type EndpointSlice,
  type FailoverEndpoint,
  isBehind,
  shownBy,
} from '../../kubernetes/failover-endpoint.ts';
import { partnerOf, podOfIncarnation, type ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';

/** The content that the slice should have, or null if it is to be left alone. */
export function failoverEndpoint(
  view: Assessment,
  home: ServerView,
  slice: EndpointSlice | null,
): FailoverEndpoint | null {
  const shown = slice === null ? null : shownBy(slice);
  const wanted = fromLease(view, home, shown);
  if (wanted === null || shown === null) return wanted;
  if (isBehind(wanted, shown)) return isLeftOver(view, home, shown) ? wanted : null;
  return same(wanted, shown) ? null : wanted;
}

const same = (a: FailoverEndpoint, b: FailoverEndpoint): boolean =>
  a.epoch === b.epoch && a.open === b.open && a.address === b.address && a.nodeName === b.nodeName;

/**
 * A server opens the gate with its claim. One that ended between the two, together with its pod, leaves a gate that
 * is ahead of the Lease forever. Its address tells it from a claim that is newer than the Lease that we see.
 */
function isLeftOver(view: Assessment, home: ServerView, shown: FailoverEndpoint): boolean {
  const { pods } = partnerOf(view, home);
  return shown.address !== null && !pods.some(({ pod }) => pod.status?.podIP === shown.address);
}

function fromLease(
  view: Assessment,
  home: ServerView,
  shown: FailoverEndpoint | null,
): FailoverEndpoint | null {
  const { lease } = home;
  const partner = partnerOf(view, home);
  const partnerOwns = lease !== null && lease.holderServer === home.partner;
  const pod = partnerOwns ? podOfIncarnation(view, home.partner, lease.holderPodUid) : partner.current;
  const address = pod?.pod.status?.podIP ?? null;
  const where = { address, nodeName: address === null ? null : (pod?.pod.spec?.nodeName ?? null) };
  if (lease === null) return shown === null ? { epoch: 0, open: false, ...where } : null;
  if (!partnerOwns) return { epoch: lease.epoch, open: false, ...where };
  if (lease.secondaryPortOpen === lease.epoch)
    return { epoch: lease.epoch, open: address !== null, ...where };
  // The partner owns it and has not (or not yet, or no longer) said that its port is open: the partner wrote what the slice shows
  // for this epoch, and knows.
  if (shown !== null && shown.epoch === lease.epoch) return { ...shown, ...(address === null ? {} : where) };
  return { epoch: lease.epoch, open: false, ...where };
}
