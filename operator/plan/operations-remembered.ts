/**
 * Which FilerPairOperations a FilerDiskSet is to remember: those that were carried out, and the one that is about to be. What has
 * failed without a move may be asked for again under the same name.
 */

import { OPERATIONS_REMEMBERED_MAX, type RememberedOperation } from '../../crds/filer-disk-set.ts';
import type { operationReasons } from '../../crds/filer-pair-operation.ts';
import type { Assessment } from '../assess/assessment.ts';
import {
  digestOf,
  isDone,
  isOfAnother,
  isWithoutEffect,
  rememberedOf,
  remembererOf,
  withRoomFor,
} from '../assess/operations/carried-out.ts';
import { moveFindings } from '../assess/operations/moves.ts';
import { snapshotAsked, snapshotStep } from '../assess/snapshot.ts';
import type { FilerPairOperationObject } from '../model/objects.ts';
import { hasEnded } from '../model/operation-ended.ts';
import { timeText } from './told-conditions.ts';

/** Decided by the record, before the status says so. */
const REFUSALS: readonly string[] = [
  'ServerDrained',
  'DisksHeld',
] satisfies (keyof typeof operationReasons.failed)[];

/** The piece of work by which the record of a server's disk set learns. What must not be done before needs it. */
export const recordPart = (server: string): string => `record of ${server}`;

export function operationsRemembered(
  view: Assessment,
  server: string,
  known: readonly RememberedOperation[],
): RememberedOperation[] {
  const its = view.observed.filerPairOperations.filter((one) => remembererOf(view, one) === server);
  const kept = its.reduce((list, one) => keptAfter(view, list, one), known);
  const news = its.flatMap((one) => newEntry(view, kept, one));
  // The one that is about to act is written down whatever else there is no room for.
  const inOrder = news.toSorted((a, b) => Number(a.reason !== undefined) - Number(b.reason !== undefined));
  const others = kept.filter(({ digest }) => news.every((one) => one.digest !== digest));
  const room = withRoomFor(view, others, news.length);
  return [...room, ...inOrder.slice(0, OPERATIONS_REMEMBERED_MAX - room.length)];
}

/** How it ended, or that it was created again. */
function keptAfter(
  view: Assessment,
  list: readonly RememberedOperation[],
  operation: FilerPairOperationObject,
): readonly RememberedOperation[] {
  const entry = rememberedOf(list, operation);
  if (entry === null) return list;
  const changed = (more: Partial<RememberedOperation>) =>
    list.map((one) => (one === entry ? { ...one, ...more } : one));
  if (isOfAnother(entry, operation))
    return isFoundAgain(view, operation) ? changed({ lastSeenTime: timeText(view.now) }) : list;
  const reason = endedBy(operation);
  if (reason === null) return list;
  if (isWithoutEffect(reason)) return list.filter((one) => one !== entry);
  if (entry.reason !== undefined) return list;
  const completionTime = operation.status?.completionTime ?? timeText(view.now);
  return changed({ reason, completionTime, lastSeenTime: completionTime });
}

/** About to act or to fail, or done by an operator that did not write it down: there was no request, or it is of an older version. */
function newEntry(
  view: Assessment,
  list: readonly RememberedOperation[],
  operation: FilerPairOperationObject,
): RememberedOperation[] {
  if (rememberedOf(list, operation) !== null) return [];
  const { metadata, spec, status } = operation;
  const about = {
    digest: digestOf(operation),
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    type: spec.type,
  };
  const now = timeText(view.now);
  const reason = endedBy(operation);
  if (reason !== null) {
    if (!isDone(reason)) return [];
    const { startTime = now, completionTime = now } = status ?? {};
    return [{ ...about, startTime, completionTime, reason, lastSeenTime: completionTime }];
  }
  const found = moveFindings(view).find((one) => one.operation === operation);
  const accepted = { ...about, startTime: now, lastSeenTime: now };
  if (found?.verdict.kind === 'failed' && REFUSALS.includes(found.verdict.reason))
    return [{ ...accepted, completionTime: now, reason: found.verdict.reason }];
  const epoch = found?.passOn?.home.lease?.epoch;
  return epoch === undefined ? [] : [{ ...accepted, epoch }];
}

/** One that has not ended yet, and is about to end for it. */
function isFoundAgain(view: Assessment, operation: FilerPairOperationObject): boolean {
  if (operation.spec.type === 'Snapshot')
    return snapshotAsked(view) === operation && snapshotStep(view)?.kind === 'again';
  const verdict = moveFindings(view).find((one) => one.operation === operation)?.verdict;
  return verdict?.kind === 'failed' && verdict.reason === 'AlreadyCarriedOut';
}

/** null: it has not ended. */
const endedBy = (operation: FilerPairOperationObject): string | null =>
  hasEnded(operation)
    ? (operation.status?.conditions?.find(({ status }) => status === 'True')?.reason ?? null)
    : null;
