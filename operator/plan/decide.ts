// The reconciliation logic: everything observed about one FilerPair -> everything to be done about it. Pure, so that the same
// input always gives the same plan, and idempotent: on a state in which the plan is carried out it finds nothing to do. Nothing
// here is on the path of a failover, which the servers do by themselves, but one: with transfer Reattach their disks follow.
//
// Order of a plan: proofs of death (a partner may be waiting for one), disks that have to move, and what people asked for. Then
// comes everything that has to exist, in the order in which one thing needs another. Status and events tell about the state
// before it.

import { explain, filerPairSpec } from '../../crds/filerpair.ts';
import { labels, requestAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { type Assessment, assess } from '../assess/assessment.ts';
import { mountsDueAt } from '../assess/disk-location.ts';
import { granted } from '../assess/granted.ts';
import { lostNodesDueAt } from '../assess/lost-nodes.ts';
import { nameLookups, namesDueAt } from '../assess/names-published.ts';
import { refutedPowerOffsDueAt } from '../assess/refuted-power-off.ts';
import { answerOf, type RequestFinding, requestFindings } from '../assess/requests.ts';
import { rollout } from '../assess/rollout.ts';
import { snapshotStep } from '../assess/snapshot.ts';
import { type Action, annotated, inSequence, type PairEvent, type Plan } from '../model/action.ts';
import { ANSWERED_ANNOTATION, LEASE_FINALIZER } from '../model/names.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { Observed, OperatorSettings } from '../model/observed.ts';
import { viewPair } from '../model/view.ts';
import { cleanUp, pairHeld } from './clean-up.ts';
import { reconcileCredentials } from './credentials.ts';
import { attachmentsMoved } from './disk-moves.ts';
import { deathProofs, letLeaseGo, maintenanceMirrored, requestsPassedOn } from './lease-upkeep.ts';
import { nodesMarked } from './node-marks.ts';
import { provision } from './provision.ts';
import { rolledOut } from './rollout-actions.ts';
import { snapshotActions, snapshotEvents, snapshotToRemember } from './snapshot-actions.ts';
import {
  computeStatus,
  invalidSpecStatus,
  type LastRequest,
  sameStatus,
  statusEvents,
  timeText,
} from './status.ts';

const nothing: Plan = { actions: [], status: null, events: [], lookups: [], wakeAt: null };

export function decide(observed: Observed, settings: OperatorSettings, now: number): Plan {
  const { pair } = observed;
  if (pair === null) return { ...nothing, actions: cleanUp(observed) };
  const parsed = filerPairSpec.safeParse(pair.spec);
  const view = parsed.success ? assess(viewPair({ ...observed, pair }, parsed.data, settings, now)) : null;
  if (pair.metadata.deletionTimestamp !== undefined) return leaving(observed, view);
  return view === null ? refused(pair, explain(parsed.error!), now) : decideFor(view);
}

/** A pair that is being deleted; its status says what it still waits for. */
function leaving(observed: Observed, view: Assessment | null): Plan {
  const status = view === null ? null : computeStatus(view, view.pair.status?.lastRequest);
  const unchanged = status === null || sameStatus(view?.pair.status, status);
  return { ...nothing, actions: cleanUp(observed), status: unchanged ? null : status };
}

/** The API server checks the same rules, but a FilerPair may be older than the rules. */
function refused(pair: FilerPairObject, reasons: string, now: number): Plan {
  const message = `The spec cannot be used: ${reasons.replaceAll('\n', '; ')}. Nothing is changed until it is corrected.`;
  const status = invalidSpecStatus(pair.status, pair.metadata.generation ?? 0, message, now);
  return sameStatus(pair.status, status)
    ? nothing
    : { ...nothing, status, events: statusEvents(pair.status, status) };
}

function decideFor(view: Assessment): Plan {
  const requests = requestFindings(view);
  const rollingOut = rollout(view);
  const lastRequest = requestToRemember(view, requests);
  const snapshot = snapshotStep(view);
  const lastSnapshot = snapshotToRemember(view, snapshot, timeText(view.now));
  const status = { ...computeStatus(view, lastRequest), ...(lastSnapshot && { lastSnapshot }) };
  const unchanged = sameStatus(view.pair.status, status);
  // Servers that run decide by themselves; what they need from here is a word, and makes nothing.
  const ifGranted = (make: () => Action[]): Action[] => (granted(view) === null ? make() : []);
  return {
    actions: [
      ...urgentActions(view),
      ...ifGranted(() => nodesMarked(view)),
      // Clients wait while it is under way.
      ...inSequence(
        'snapshot',
        snapshotActions(view, snapshot, lastSnapshot === view.pair.status?.lastSnapshot),
      ),
      ...requestsPassedOn(requests),
      ...annotationsAnswered(view, requests, lastRequest === view.pair.status?.lastRequest),
      ...maintenanceMirrored(view),
      ...pairHeld(view.pair),
      ...ifGranted(() => [...provision(view), ...inSequence('rollout', rolledOut(view, rollingOut))]),
      ...leasesLetGo(view),
    ],
    status: unchanged ? null : status,
    events: [
      ...(unchanged ? [] : statusEvents(view.pair.status, status)),
      ...snapshotEvents(view.pair.status, status),
      ...requests.flatMap(requestEvent),
    ],
    lookups: nameLookups(view),
    wakeAt: earliest([
      rollingOut?.wakeAt ?? null,
      lostNodesDueAt(view),
      refutedPowerOffsDueAt(view),
      mountsDueAt(view),
      snapshot?.kind === 'wait' ? snapshot.until : null,
      namesDueAt(view),
      reconcileCredentials(view).wakeAt,
      ...view.servers.flatMap(({ pods }) => pods.map(({ wakeAt }) => wakeAt)),
    ]),
  };
}

/** What clients wait for. */
export const urgentActions = (view: Assessment): Action[] =>
  [...deathProofs(view), ...(granted(view) === null ? attachmentsMoved(view) : [])].map((action) => ({
    ...action,
    urgent: true,
  }));

export const earliest = (times: readonly (number | null)[]): number | null =>
  times.reduce((first, one) => (one !== null && (first === null || one < first) ? one : first), null);

/** A Lease that was deleted goes as soon as no pod is left, and is made again with the epoch that the claims know. */
function leasesLetGo(view: Assessment): Action[] {
  if (view.observed.pods.length > 0) return [];
  return view.servers.flatMap(({ name, lease }) => {
    if (lease === null || lease.object.metadata.deletionTimestamp === undefined) return [];
    if (!lease.object.metadata.finalizers?.includes(LEASE_FINALIZER)) return [];
    const remembered = Object.values(view.observed.claims).every(
      (claim) =>
        typeof claim !== 'object' ||
        claim.metadata.labels?.[labels.home] !== name ||
        claim.metadata.labels[labels.epoch] === String(lease.epoch),
    );
    return remembered ? [letLeaseGo(lease, 'it was deleted, and no pod of the pair is left')] : [];
  });
}

/**
 * Takes the annotations of answered requests off the FilerPair; compare-and-swap, so that a new wish is not lost.
 *
 * @param recorded the status says the answer already. Until then the question stays: it would be answered to nobody if this
 *   process ended now
 */
function annotationsAnswered(
  view: Assessment,
  requests: readonly RequestFinding[],
  recorded: boolean,
): Action[] {
  if (!recorded) return [];
  const done = requests.flatMap((found) =>
    found.kind === 'refuse' || found.kind === 'answered' ? [found.asked.annotation] : [],
  );
  if (done.length === 0) return [];
  const { reason, force, override } = requestAnnotations;
  // What belonged to the request goes with it: a forgotten force would force the next one.
  const answered = requests.flatMap((found) => (found.kind === 'answered' ? [found.request.id] : []));
  const annotations = {
    ...Object.fromEntries([...done, reason, force, override].map((one) => [one, null])),
    // In the same write: the same request again, before the old one is off its Lease, asks for something new.
    ...(answered.length === 0 ? {} : { [ANSWERED_ANNOTATION]: answered.join(',') }),
  };
  return [annotated('filerPairs', view.pair, annotations, 'the request is answered')];
}

function requestToRemember(view: Assessment, requests: readonly RequestFinding[]): LastRequest | undefined {
  const before = view.pair.status?.lastRequest;
  const at = timeText(view.now);
  for (const found of requests) {
    // Not yet on the Lease: its id may still change.
    if (found.kind === 'clean up' || found.kind === 'pass on') continue;
    const { kind, value: home } = found.asked;
    if (found.kind === 'refuse') {
      const refusal = { id: '', kind, home, result: 'Refused', message: found.message } as const;
      const told = before?.result === 'Refused' && before.message === refusal.message;
      return told && before.kind === kind && before.home === home ? before : { ...refusal, at };
    }
    const { id } = found.request;
    const result = found.kind === 'wait' ? 'Pending' : resultText(found.result);
    if (before?.id === id && before.result === result) return before;
    return {
      id,
      kind,
      home,
      result,
      message: found.kind === 'wait' ? 'Passed on to the servers.' : found.message,
      at,
    };
  }
  if (before?.result !== 'Pending') return before;
  // Answered while nobody looked: the operator died after it took the annotation away.
  for (const home of view.servers) {
    if (home.lease?.requestResult?.id !== before.id) continue;
    const answer = answerOf(home, before.kind, home.lease.requestResult);
    return { ...before, result: resultText(answer.result), message: answer.message, at };
  }
  return before;
}

const resultText = (result: 'done' | 'refused'): string => (result === 'done' ? 'Done' : 'Refused');

function requestEvent(found: RequestFinding): PairEvent[] {
  if (found.kind === 'refuse')
    return [{ key: found.message, type: 'Warning', reason: 'RequestRefused', note: found.message }];
  if (found.kind !== 'answered') return [];
  const { kind, value } = found.asked;
  const done = found.result === 'done';
  return [
    {
      key: found.request.id,
      type: done ? 'Normal' : 'Warning',
      reason: done ? 'RequestDone' : 'RequestRefused',
      note: `The ${kind} of the disk set of ${value} that was asked for (${found.request.id}) is ${done ? 'done' : 'refused'}: ${found.message}`,
    },
  ];
}
