/**
 * The reconciliation logic: everything observed about one FilerPair -> everything to be done about it. Pure, so that the same
 * input always gives the same plan, and idempotent: on a state in which the plan is carried out it finds nothing to do.
 */

import { explain } from '../../crds/explain.ts';
import { filerPairSpec } from '../../crds/pair/spec.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { accepted, noStorageType } from '../assess/accepted.ts';
import { type Assessment, assess } from '../assess/assessment.ts';
import { mountsDueAt } from '../assess/disk-location.ts';
import { drains } from '../assess/drain.ts';
import { lostNodesDueAt } from '../assess/lost-nodes.ts';
import { nameLookups, namesDueAt } from '../assess/names-published.ts';
import { handOverDueAt, served } from '../assess/ready.ts';
import { refutedPowerOffsDueAt } from '../assess/refuted-power-off.ts';
import { rollout } from '../assess/rollout.ts';
import { snapshotDueAt } from '../assess/snapshot.ts';
import { type Action, inSequence, type Plan } from '../model/action.ts';
import { type ConditionResult, isFalse } from '../model/condition-result.ts';
import { recordOf } from '../model/disk-set-record.ts';
import { LEASE_FINALIZER } from '../model/names.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { Observed, OperatorSettings } from '../model/observed.ts';
import { viewPair } from '../model/view.ts';
import { cleanUp, pairHeld } from './clean-up.ts';
import { reconcileCredentials } from './credentials.ts';
import { attachmentsMoved } from './disk-moves.ts';
import { recordsChanged, recordsKept } from './disk-set-records.ts';
import { deathProofs, drainsMirrored, letLeaseGo, maintenanceMirrored } from './lease-upkeep.ts';
import { nodesMarked } from './node-marks.ts';
import { operationActions, operationsDueAt, operationsWithoutPair } from './operation-actions.ts';
import { provision } from './provision.ts';
import { rolledOut } from './rollout-actions.ts';
import { shareActions, unservedSharesDueAt } from './share-actions.ts';
import { computeStatus, newTransitions, sameStatus, statusEvents, unassessedStatus } from './status.ts';

// Nothing here is on the path of a failover, which the servers do by themselves, but one: with storage type Reattach their
// disks follow.
//
// Order of a plan: proofs of death (a partner may be waiting for one), disks that have to move, what must not be forgotten, and what
// people asked for. Then comes everything that has to exist, in the order in which one thing needs another. Status and events tell about the state
// before it.

export const nothing: Plan = {
  actions: [],
  status: null,
  events: [],
  rollout: null,
  transitions: [],
  lookups: [],
  wakeAt: null,
};

export function decide(observed: Observed, settings: OperatorSettings, now: number): Plan {
  const { pair } = observed;
  if (pair === null)
    return {
      ...nothing,
      actions: [
        ...cleanUp(observed),
        ...operationsWithoutPair(observed, now),
        ...shareActions(observed, now),
      ],
      wakeAt: earliest(operationsDueAt(observed)),
    };
  const parsed = filerPairSpec.safeParse(pair.spec);
  const known = parsed.success ? viewPair({ ...observed, pair }, parsed.data, settings, now) : null;
  const view = known === null ? null : assess(known);
  if (pair.metadata.deletionTimestamp !== undefined) return leaving(observed, view, now);
  if (view !== null) return decideFor(view);
  const why = parsed.success ? noStorageType : invalid(explain(parsed.error));
  const actions = shareActions(observed, now);
  return { ...refused(pair, why, now), actions, wakeAt: unservedSharesDueAt(observed, now) };
}

/** A pair that is being deleted; its status says what it still waits for. */
function leaving(observed: Observed, view: Assessment | null, now: number): Plan {
  const status = view === null ? null : computeStatus(view);
  const unchanged = status === null || sameStatus(view?.pair.status, status);
  const actions = [
    ...cleanUp(observed),
    ...operationsWithoutPair(observed, now),
    ...shareActions(observed, now),
  ];
  const wakeAt = earliest([unservedSharesDueAt(observed, now), ...operationsDueAt(observed)]);
  return { ...nothing, actions, status: unchanged ? null : status, wakeAt };
}

/** The API server checks the same rules, but a FilerPair may be older than the rules. */
const invalid = (reasons: string): ConditionResult =>
  isFalse(
    'InvalidSpec',
    `The spec cannot be used: ${reasons.replaceAll('\n', '; ')}. Nothing is changed until it is corrected.`,
  );

function refused(pair: FilerPairObject, why: ConditionResult, now: number): Plan {
  const status = unassessedStatus(pair.status, pair.metadata.generation ?? 0, why, now);
  return sameStatus(pair.status, status)
    ? nothing
    : { ...nothing, status, events: statusEvents(pair.status, status, []) };
}

function decideFor(view: Assessment): Plan {
  const rollingOut = rollout(view);
  const status = computeStatus(view);
  const unchanged = sameStatus(view.pair.status, status);
  const transitions = newTransitions(view);
  // Servers that run decide by themselves; what they need from here is a word, and makes nothing.
  const ifAccepted = (make: () => Action[]): Action[] => (accepted(view).status === 'True' ? make() : []);
  return {
    actions: [
      ...urgentActions(view),
      ...ifAccepted(() => nodesMarked(view)),
      ...recordsChanged(view),
      ...operationActions(view),
      ...maintenanceMirrored(view),
      ...drainsMirrored(view),
      ...pairHeld(view.pair),
      ...recordsKept(view),
      ...ifAccepted(() => [...provision(view), ...inSequence('rollout', rolledOut(view, rollingOut))]),
      ...leasesLetGo(view),
      ...shareActions(view.observed, view.now, (name) => isServed(view, name)),
    ],
    status: unchanged ? null : status,
    events: unchanged ? [] : statusEvents(view.pair.status, status, transitions),
    rollout:
      rollingOut === null || status.rollout === undefined
        ? null
        : { ...status.rollout, begun: rollingOut.begun },
    transitions,
    lookups: nameLookups(view),
    wakeAt: earliest([
      rollingOut?.wakeAt ?? null,
      handOverDueAt(view),
      lostNodesDueAt(view),
      refutedPowerOffsDueAt(view),
      mountsDueAt(view),
      snapshotDueAt(view),
      unservedSharesDueAt(view.observed, view.now),
      ...operationsDueAt(view.observed),
      ...drains(view).map(({ wakeAt }) => wakeAt),
      namesDueAt(view),
      reconcileCredentials(view).wakeAt,
      ...view.servers.flatMap(({ pods }) => pods.map(({ wakeAt }) => wakeAt)),
    ]),
  };
}

const isServed = (view: Assessment, server: string): boolean =>
  view.servers.some((home) => home.name === server && served(view, home).status === 'True');

/** Actions that clients wait for. */
export const urgentActions = (view: Assessment): Action[] =>
  [...deathProofs(view), ...(accepted(view).status === 'True' ? attachmentsMoved(view) : [])].map(
    (action) => ({
      ...action,
      urgent: true,
    }),
  );

export const earliest = (times: readonly (number | null)[]): number | null =>
  times.reduce((first, one) => (one !== null && (first === null || one < first) ? one : first), null);

/** A Lease that was deleted goes as soon as no pod is left, and is made again with the epoch that record and claims know. */
function leasesLetGo(view: Assessment): Action[] {
  if (view.observed.pods.length > 0) return [];
  return view.servers.flatMap(({ name, lease }) => {
    if (lease === null || lease.object.metadata.deletionTimestamp === undefined) return [];
    if (!lease.object.metadata.finalizers?.includes(LEASE_FINALIZER)) return [];
    const floor = recordOf(view.observed, name)?.spec.epochFloor ?? 0;
    const remembered =
      floor >= lease.epoch &&
      Object.values(view.observed.claims).every(
        (claim) =>
          typeof claim !== 'object' ||
          claim.metadata.labels?.[labels.diskSet] !== name ||
          claim.metadata.labels[labels.epoch] === String(lease.epoch),
      );
    return remembered ? [letLeaseGo(lease, 'it was deleted, and no pod of the pair is left')] : [];
  });
}
