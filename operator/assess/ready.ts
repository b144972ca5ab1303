/** Ready: are both disk sets served? */

import { isOpenFailure } from '../../crds/pair/reasons.ts';
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
import { accepted } from './accepted.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsFit } from './claims-fit.ts';
import { claimsThere } from './claims-there.ts';
import { diskLocation } from './disk-location.ts';
import { diskSetPhase } from './disk-set-phase.ts';
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
  claimsThere,
  claimsFit,
  secretsOffered,
  leaseLost,
  function notAccepted(view) {
    const verdict = accepted(view);
    return verdict.status === 'True' || view.servers.every((home) => served(view, home).status === 'True')
      ? null
      : verdict;
  },
  function diskSetNotServed(view) {
    const unserved = view.servers
      .map((home) => ({ home, verdict: served(view, home) }))
      .filter(({ verdict }) => verdict.status !== 'True');
    const wasReady = view.pair.status?.conditions?.some(
      ({ type, status }) => type === 'Ready' && status === 'True',
    );
    const [first] = wasReady ? unserved.filter(({ home }) => handOver(view, home) === null) : unserved;
    if (first !== undefined) return first.verdict;
    return unserved[0] === undefined ? null : isTrue('HandingOver', unserved[0].verdict.message);
  },
];

/** Whether a disk set is served. */
export const served = question(
  (view: Assessment, home: ServerView): ConditionResult =>
    notServed(view, home) ?? isTrue('Serving', `${servedBy(home)}.`),
);

/**
 * A planned hand-over of the disk set is no outage as long as it takes less than the wait for a silent server would: lease + guard.
 * null: none is under way, or it takes longer. As the status tells when it began, in whole seconds.
 */
export const handOver = question((view: Assessment, home: ServerView): { readonly endsAt: number } | null => {
  const { lease } = home;
  const told = view.pair.status?.diskSets
    ?.find(({ name }) => name === home.name)
    ?.conditions?.find(({ type }) => type === 'Served');
  const begun = told?.status === 'False' && told.reason === 'HandingOver';
  if (lease === null || lease.volumesAhead !== null || couldNotOpen(home) !== null) return null;
  if (!begun && told?.status !== 'True') return null;
  const phase = diskSetPhase(view, home);
  const released =
    phase === 'Released' && serverNamed(view, lease.releasedTo)?.usable.some(isRunning) === true;
  const claimed = phase === 'Opening' && (begun || isAskedToMove(lease));
  if (!released && !claimed) return null;
  const { leaseMs, guardMs } = view.effective.failover;
  const since = begun ? Date.parse(told.lastTransitionTime) + 1000 : view.now;
  const endsAt = since + leaseMs + guardMs;
  return view.now < endsAt ? { endsAt } : null;
});

const isAskedToMove = ({ request, requestResult }: LeaseView): boolean =>
  request !== null && requestResult?.id !== request.id;

/** When time alone makes an outage of a hand-over, ms since the epoch; null: never. */
export function handOverDueAt(view: Assessment): number | null {
  const due = view.servers.flatMap((home) => handOver(view, home)?.endsAt ?? []);
  return due.length === 0 ? null : Math.min(...due);
}

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
  if (handOver(view, home) !== null)
    return isFalse(
      'HandingOver',
      `The disk set of ${name} is being handed over to ${lease?.releasedTo ?? lease?.holderServer} (epoch ${lease?.epoch}).`,
    );
  switch (phase) {
    case 'Unknown':
      return isUnknown('LeaseNotSeen', `The Lease of the disk set of ${name} has not been seen yet.`);
    case 'NeverOwned':
      return isFalse(
        'Starting',
        `Nobody has served the disk set of ${name} yet; ${withoutStorageClass(home) ?? doing}.`,
      );
    case 'Released':
      // Released to somebody who is there: a hand-over, which takes moments.
      if (lease?.releasedTo != null && serverNamed(view, lease.releasedTo)?.usable.some(isRunning))
        return isFalse(
          'HandingOver',
          `The disk set of ${name} is being handed over to ${lease.releasedTo} (epoch ${lease.epoch}).`,
        );
      return isFalse(
        'NobodyServes',
        `The disk set of ${name} is not served: it was released${lease?.releasedTo ? ` to ${lease.releasedTo}` : ''} at epoch ${lease?.epoch ?? 0} and not claimed yet; ${doing}.`,
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

/** The pods wait for the claim, and Kubernetes says of it only that it is not bound. */
function withoutStorageClass({ claims }: ServerView): string | null {
  const found = claims.find(
    ({ object }) =>
      object?.status?.phase === 'Pending' &&
      object.spec?.volumeName === undefined &&
      object.spec?.storageClassName === undefined,
  );
  return found === undefined
    ? null
    : `PersistentVolumeClaim ${found.name} names no StorageClass, and the cluster had no default one: make one the default, or delete this claim and set storageClassName in spec.volumes[${found.volume.name}].claimTemplate.spec`;
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
      : ` To have it take over: kubectl filerpair -n ${view.observed.namespace} takeover ${name} ${view.observed.name}`;
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
  { epoch, holder, volumesAhead: found }: LeaseView,
): ConditionResult {
  const { namespace, name: pair } = view.observed;
  return isFalse(
    'VolumesAhead',
    `The disk set of ${name} is not served: its Lease is at epoch ${epoch} and knows less than the volumes, which were served at epoch ${found!.epoch} (${found!.message}). Was the API restored from a backup? When no other server serves them, have ${name} claim them above that epoch: kubectl filerpair -n ${namespace} giveback ${name} ${pair} --force ${holder ?? 'none'} --reason "..."`,
  );
}

/** The last owner, or the one before it, could not open the volumes. */
function couldNotOpen({ name, lease }: ServerView): ConditionResult | null {
  const failure = lease?.openFailure ?? null;
  if (failure === null || failure.epoch < lease!.epoch - 1) return null;
  return isFalse(
    isOpenFailure(failure.reason) ? failure.reason : 'CannotOpen',
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
