// Ready: are both disk sets served?

import { requestAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import {
  type ConditionResult,
  firstFinding,
  isFalse,
  isTrue,
  isUnknown,
  type Policy,
} from '../model/condition-result.ts';
import type { LeaseView } from '../model/lease-view.ts';
import type { PodFinding } from '../model/pod-state.ts';
import { podOfIncarnation, type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsFit } from './claims-fit.ts';
import { claimsThere } from './claims-there.ts';
import { diskLocation } from './disk-location.ts';
import { diskSetPhase } from './disk-set-phase.ts';
import { granted } from './granted.ts';
import { leaseLost } from './lease-lost.ts';
import { secretsOffered } from './offered.ts';
import { ownerLife, runningPartners, whyNoTakeover } from './owner-life.ts';

/** Order: what keeps the operator from working, what is missing, then what the disk sets are doing. */
export const readyChain: readonly Policy<Assessment>[] = [
  function executionProblem(view) {
    const problems = view.observed.problems.filter(({ concerns }) => concerns === undefined);
    const [first] = problems;
    return first === undefined
      ? null
      : isFalse(first.reason, problems.map(({ message }) => message).join('; '));
  },
  granted,
  claimsThere,
  claimsFit,
  secretsOffered,
  leaseLost,
  function diskSetNotServed(view) {
    for (const home of view.servers) {
      const verdict = notServed(view, home);
      if (verdict !== null) return verdict;
    }
    return null;
  },
];

export const ready = question(
  (view: Assessment): ConditionResult =>
    firstFinding(readyChain, view, isTrue('Serving', `${view.servers.map(servedBy).join('; ')}.`)),
);

const servedBy = ({ name, lease }: ServerView): string =>
  lease?.holderServer === name
    ? `${name} serves its own disk set (epoch ${lease.epoch})`
    : `${lease?.holderServer ?? 'nobody'} serves the disk set of ${name} (epoch ${lease?.epoch ?? 0})`;

function notServed(view: Assessment, home: ServerView): ConditionResult | null {
  const { name, lease } = home;
  const doing =
    home.current === null
      ? `${name} has no pod yet`
      : `pod ${home.current.pod.metadata.name}: ${home.current.because}`;
  const phase = diskSetPhase(view, home);
  if (phase === 'Serving') return null;
  if (phase === 'Released' && lease?.volumesAhead != null) return volumesAhead(view, name, lease);
  const failed = phase === 'Released' || phase === 'Opening' ? couldNotOpen(home) : null;
  if (failed !== null) return failed;
  switch (phase) {
    case 'Unknown':
      return isUnknown('LeaseNotSeen', `The Lease of the disk set of ${name} has not been seen yet.`);
    case 'NeverOwned':
      return isFalse('Starting', `Nobody has served the disk set of ${name} yet; ${doing}.`);
    case 'Released':
      // Released to somebody who is there: a hand-over, which takes moments.
      if (lease?.releasedTo != null && serverNamed(view, lease.releasedTo)?.usable.some(isRunning))
        return isFalse(
          'HandingOver',
          `The disk set of ${name} is being handed over to ${lease.releasedTo} (epoch ${lease.epoch}).`,
        );
      return isFalse(
        'NobodyServes',
        `Nobody serves the disk set of ${name}: it was released${lease?.releasedTo ? ` to ${lease.releasedTo}` : ''} at epoch ${lease?.epoch ?? 0} and not claimed yet; ${doing}.`,
      );
    case 'OwnerDead':
      return isFalse(
        'OwnerDead',
        `${lease?.holderServer} owns the disk set of ${name} and is dead; its partner or its next run claims it.`,
      );
    case 'OwnerLost':
      return ownerLost(view, home);
    case 'Opening':
      return (
        disksAwaited(view, home) ??
        isFalse(
          'Opening',
          `${lease?.holderServer} owns the disk set of ${name} (epoch ${lease?.epoch}) and has not opened it yet.`,
        )
      );
  }
}

/** Nothing tells whether anybody serves: the Lease says only who did last. */
function ownerLost(view: Assessment, home: ServerView): ConditionResult {
  const { name, lease } = home;
  const owner = `${lease?.holderServer} owns the disk set of ${name} (epoch ${lease?.epoch})`;
  const why = whyNoTakeover(view, home);
  const next =
    why === null
      ? 'Its partner takes over when the lease has expired.'
      : `Its partner does not take over by itself (${why}).`;
  const byHand =
    why === null || runningPartners(view, home).length === 0
      ? ''
      : ` To have it take over: kubectl -n ${view.observed.namespace} annotate filerpair ${view.observed.name} ${requestAnnotations.takeover}=${name}`;
  if (ownerLife(view, home) === 'gone')
    return isFalse('OwnerGone', `${owner}, and the pod in which it did is gone. ${next}${byHand}`);
  const pod = podOfIncarnation(view, lease?.holderServer ?? null, lease?.holderPodUid ?? null)?.pod;
  return isUnknown(
    'OwnerUnreachable',
    `${owner}, and node ${pod?.spec?.nodeName}, where it runs, does not report: whether it serves is not known. ${next}${byHand}`,
  );
}

/** R6 is a verdict: servers claim no more by themselves. */
function volumesAhead(
  view: Assessment,
  name: string,
  { epoch, volumesAhead: found }: LeaseView,
): ConditionResult {
  const { namespace, name: pair } = view.observed;
  return isFalse(
    'VolumesAhead',
    `Nobody serves the disk set of ${name}: its Lease is at epoch ${epoch} and knows less than the volumes, which were served at epoch ${found!.epoch} (${found!.message}). Was the API restored from a backup? When no other server serves them, have ${name} claim them above that epoch: kubectl -n ${namespace} annotate filerpair ${pair} ${requestAnnotations.giveback}=${name} ${requestAnnotations.force}=true ${requestAnnotations.reason}="..."`,
  );
}

/** The last owner, or the one before it, could not open the volumes. */
function couldNotOpen({ name, lease }: ServerView): ConditionResult | null {
  const failure = lease?.openFailure ?? null;
  if (failure === null || failure.epoch < lease!.epoch - 1) return null;
  return isFalse(
    failure.reason,
    `${failure.server} could not open the disk set of ${name} (epoch ${failure.epoch}): ${failure.message}.`,
  );
}

/** The owner cannot open what is not mounted for it yet. */
function disksAwaited(view: Assessment, home: ServerView): ConditionResult | null {
  const found = diskLocation(view, home);
  if (found === null || found.awaits === null) return null;
  return isFalse(
    found.stuck ? 'DisksStuck' : 'DisksMoving',
    `${home.lease?.holderServer} owns the disk set of ${home.name} (epoch ${home.lease?.epoch}) and waits for its disks: ${found.awaits}.`,
  );
}

const isRunning = ({ state }: PodFinding): boolean => state === 'Running';
