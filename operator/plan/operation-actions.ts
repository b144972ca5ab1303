/** FilerPairOperations as actions: what each asks of Leases and records, its status, and its end by age. */

import type { Condition } from '../../crds/condition.ts';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { remembererOf } from '../assess/operations/carried-out.ts';
import { answeredMoves, moveFindings } from '../assess/operations/moves.ts';
import { recreateFindings } from '../assess/operations/recreate-claim.ts';
import {
  failed,
  type OperationFinding,
  type OperationVerdict,
  queuedBehind,
  unfinished,
  waits,
} from '../assess/operations/unfinished.ts';
import { snapshotStep } from '../assess/snapshot.ts';
import {
  type Action,
  annotated,
  deletion,
  inSequence,
  type PairEvent,
  statusApplied,
} from '../model/action.ts';
import { matches } from '../model/matches.ts';
import type { FilerPairOperationObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { hasEnded } from '../model/operation-ended.ts';
import { claimForgotten } from './disk-set-records.ts';
import { requested } from './lease-upkeep.ts';
import { recordPart } from './operations-remembered.ts';
import { snapshotActions, snapshotVerdict } from './snapshot-actions.ts';
import { condition, timeText } from './told-conditions.ts';

/** After its end, s. */
const TTL_DEFAULT = 7 * 24 * 3600;

export function operationActions(view: Assessment): Action[] {
  const moves = moveFindings(view);
  const recreations = recreateFindings(view);
  return [
    // Clients wait while it is under way.
    ...inSequence('snapshot', [
      ...snapshotActions(view),
      ...snapshotFindings(view).flatMap((one) => remembered(view, one.operation, statusTold(one, view.now))),
    ]),
    ...moves.flatMap(({ operation, passOn }) => {
      if (passOn === null || passOn.home.lease === null) return [];
      const { kind, reason } = passOn.request;
      return remembered(
        view,
        operation,
        inSequence(`operation ${operation.metadata.name}`, [
          unended(operation),
          requested(passOn.home.lease, passOn.request, `a ${kind} was asked for (${reason})`),
        ]),
      );
    }),
    ...recreations.flatMap(({ forget }) => (forget === null ? [] : claimForgotten(view, forget))),
    ...[...moves, ...recreations].flatMap((one) =>
      remembered(view, one.operation, statusTold(one, view.now)),
    ),
    ...answeredMoves(view).flatMap(({ lease }) =>
      lease === null
        ? []
        : [
            annotated(
              'leases',
              lease.object,
              { [leaseAnnotations.request]: null },
              'its request is answered',
            ),
          ],
    ),
    ...pastTheirTime(view.observed, view.now).flatMap(({ operation, deleted }) =>
      remembered(view, operation, [deleted]),
    ),
  ];
}

/** These need that the record knows the operation: what an operator asks for, says or deletes, its successor must find there. */
function remembered(
  view: Assessment,
  operation: FilerPairOperationObject,
  actions: readonly Action[],
): readonly Action[] {
  const server = remembererOf(view, operation);
  if (server === null) return actions;
  return actions.map((one) => ({ ...one, needs: [...(one.needs ?? []), recordPart(server)] }));
}

/** The Lease may be seen as it is now, and the operation as it was before its end: it would act twice. */
const unended = ({
  metadata: { namespace = '', name = '', uid = '' },
}: FilerPairOperationObject): Action => ({
  kind: 'confirmUnended',
  resource: 'filerPairOperations',
  namespace,
  name,
  uid,
  why: 'it must not have ended meanwhile',
});

function snapshotFindings(view: Assessment): OperationFinding[] {
  const all = unfinished(view.observed, 'Snapshot');
  const [first, ...others] = all;
  const step = snapshotStep(view);
  if (first === undefined || step === null) return [];
  return [
    { operation: first, verdict: snapshotVerdict(step) },
    ...others.map((operation, index) => ({ operation, verdict: queuedBehind(all[index]!) })),
  ];
}

/** Actions for operations whose pair is not there, not yet, or not for long. A request to a pair that goes is not passed to the next of its name. */
export function operationsWithoutPair(observed: Observed, now: number): Action[] {
  const { name, namespace, pair } = observed;
  const verdict =
    pair === null
      ? waits('PairNotFound', `There is no FilerPair ${name} in namespace ${namespace}.`)
      : failed('PairDeleted', `FilerPair ${name} is being deleted.`);
  return [
    ...unfinished(observed, 'Takeover', 'Giveback', 'Snapshot', 'RecreateClaim').flatMap((operation) =>
      statusTold({ operation, verdict }, now),
    ),
    ...pastTheirTime(observed, now).map(({ deleted }) => deleted),
  ];
}

/** When each that has ended is deleted for its age, ms since the epoch; null: it has not ended. */
export const operationsDueAt = ({ filerPairOperations }: Observed): (number | null)[] =>
  filerPairOperations.map(goneAt);

const pastTheirTime = ({ filerPairOperations }: Observed, now: number) =>
  filerPairOperations
    .filter((one) => (goneAt(one) ?? Number.POSITIVE_INFINITY) <= now)
    .map((operation) => ({
      operation,
      deleted: deletion('filerPairOperations', operation, 'its time after its end is over'),
    }));

function goneAt(operation: FilerPairOperationObject): number | null {
  const { metadata, spec, status } = operation;
  const ended = Date.parse(status?.completionTime ?? '');
  if (!hasEnded(operation) || metadata.deletionTimestamp !== undefined || Number.isNaN(ended)) return null;
  return ended + (spec.ttlSecondsAfterFinished ?? TTL_DEFAULT) * 1000;
}

function statusTold({ operation, verdict }: OperationFinding, now: number): Action[] {
  const { status: before } = operation;
  const ended = verdict.kind !== 'waits';
  const status = {
    conditions: conditionsOf(operation, verdict, now),
    startTime: before?.startTime ?? timeText(now),
    ...(ended ? { completionTime: timeText(now) } : {}),
    ...(verdict.kind === 'complete' && verdict.epoch !== undefined ? { epoch: verdict.epoch } : {}),
    ...(verdict.kind === 'complete' && verdict.snapshots !== undefined
      ? { snapshots: verdict.snapshots }
      : {}),
  };
  if (before !== undefined && matches(status, before) && matches(before, status)) return [];
  const told = statusApplied(
    'filerPairOperations',
    operation,
    status,
    `${verdict.reason}: ${verdict.message}`,
  );
  return [ended ? { ...told, event: endedEvent(operation, verdict) } : told];
}

function endedEvent(
  { metadata, spec }: FilerPairOperationObject,
  { kind, reason, message }: OperationVerdict,
): PairEvent {
  const isFailed = kind === 'failed';
  return {
    key: metadata.uid ?? '',
    type: isFailed ? 'Warning' : 'Normal',
    reason: isFailed ? 'OperationFailed' : 'OperationComplete',
    note: `FilerPairOperation ${metadata.name} (${spec.type}) ${isFailed ? 'has failed' : 'is complete'}: ${reason}: ${message}`,
  };
}

function conditionsOf(
  { metadata, status }: FilerPairOperationObject,
  { kind, reason, message }: OperationVerdict,
  now: number,
): Condition[] {
  const at = { generation: metadata.generation ?? 1, now };
  const told = (type: 'Complete' | 'Failed', holds: boolean): Condition =>
    condition(status?.conditions, type, { status: holds ? 'True' : 'False', reason, message }, at);
  return [told('Complete', kind === 'complete'), told('Failed', kind === 'failed')];
}
