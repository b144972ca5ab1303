/**
 * Operations that were carried out before, as the FilerDiskSet remembers them. Git creates an object again when its time after the
 * end is over, and a backup brings it back: the new object has another UID and no status, and must not act. What is remembered is
 * name and spec. An operation with `ifEpoch` needs no memory: the epoch that it names never comes again.
 */

import { OPERATIONS_REMEMBERED_MAX, type RememberedOperation } from '../../../crds/filer-disk-set.ts';
import type { operationReasons } from '../../../crds/filer-pair-operation.ts';
import { DISK_SET_FINALIZER, recordOf } from '../../model/disk-set-record.ts';
import { fingerprint } from '../../model/fingerprint.ts';
import type { FilerDiskSetObject, FilerPairOperationObject } from '../../model/objects.ts';
import type { View } from '../../model/view.ts';
import { complete, failed, type OperationVerdict } from './unfinished.ts';

type Reason = keyof typeof operationReasons.complete | keyof typeof operationReasons.failed;

const DONE: readonly Reason[] = ['TakenOver', 'GivenBack', 'NothingToDo', 'UndoneSince', 'SnapshotTaken'];

/** Digest of name and spec, whatever the order of fields. */
export const digestOf = ({ metadata, spec }: FilerPairOperationObject): string =>
  fingerprint([metadata.name, inOrder(spec)]);

/** The server whose disk set remembers it; null: none has to. */
export function remembererOf(view: View, { spec }: FilerPairOperationObject): string | null {
  const move = spec.takeover ?? spec.giveback;
  // Snapshots concern both disk sets; the order in which the spec lists servers means nothing.
  if (spec.type === 'Snapshot') return view.servers.map(({ name }) => name).toSorted()[0]!;
  return move === undefined || move.ifEpoch !== undefined ? null : move.server;
}

/** A record that can be written to; null: there is none, or it is going. */
export function writableRecord(view: View, server: string): FilerDiskSetObject | null {
  const record = recordOf(view.observed, server);
  if (record === null) return null;
  const { deletionTimestamp, finalizers } = record.metadata;
  return deletionTimestamp === undefined || finalizers?.includes(DISK_SET_FINALIZER) === true ? record : null;
}

/** Remembered operation of this name and spec; null: there is none, or another one has failed without a move. */
export function rememberedOf(
  known: readonly RememberedOperation[],
  operation: FilerPairOperationObject,
): RememberedOperation | null {
  const digest = digestOf(operation);
  const entry = known.find((one) => one.digest === digest) ?? null;
  return entry !== null && isOfAnother(entry, operation) && isWithoutEffect(entry.reason) ? null : entry;
}

/** It ended so, and nothing has moved for it: it may be asked for again under the same name. */
export const isWithoutEffect = (reason: string | undefined): boolean =>
  reason !== undefined && !isDone(reason) && reason !== ('EpochMismatch' satisfies Reason);

/** The operation is done, or its result was there before. */
export const isDone = (reason: string): boolean => (DONE as readonly string[]).includes(reason);

/** Whether another one was carried out under this name and spec. */
export const isOfAnother = (known: RememberedOperation, { metadata }: FilerPairOperationObject): boolean =>
  known.uid !== metadata.uid;

export function alreadyCarriedOut(known: RememberedOperation): OperationVerdict {
  const { type, startTime, completionTime, reason } = known;
  const how =
    reason === undefined
      ? `was passed on at ${startTime}, and how it ended is not known`
      : `was carried out (${reason}, ${completionTime ?? startTime})`;
  const out = type === 'Snapshot' ? 'another name' : 'another name, or ifEpoch';
  return failed(
    'AlreadyCarriedOut',
    `A FilerPairOperation of this name and spec ${how}. Created again it does nothing. If it is to be done again, give it ${out}.`,
  );
}

/** End of this very operation, whose status is not there, or not yet seen; null: the record does not say how it ended. */
export function endInRecord(
  { reason, completionTime, startTime }: RememberedOperation,
  holds: boolean,
): OperationVerdict | null {
  if (reason === undefined) return null;
  const message = `It has ended so at ${completionTime ?? startTime}, as the FilerDiskSet says.`;
  if (!isDone(reason)) return failed(reason as keyof typeof operationReasons.failed, message);
  return holds
    ? complete(reason as keyof typeof operationReasons.complete, message)
    : failed(
        'UndoneSince',
        `It was done at ${completionTime ?? startTime}, and the disk set has moved again since.`,
      );
}

/**
 * The list without what has to go for as many more. What is there as an object stays: Git would create it again. The rest goes in
 * the order in which it was seen last.
 */
export function withRoomFor(
  view: View,
  known: readonly RememberedOperation[],
  more: number,
): RememberedOperation[] {
  const surplus = known.length + more - OPERATIONS_REMEMBERED_MAX;
  if (surplus <= 0) return [...known];
  const there = new Set(view.observed.filerPairOperations.map(digestOf));
  const forgotten = known
    .filter(({ digest }) => !there.has(digest))
    .toSorted((a, b) => Date.parse(a.lastSeenTime) - Date.parse(b.lastSeenTime))
    .slice(0, surplus);
  return known.filter((one) => !forgotten.includes(one));
}

/** Whether one more can be remembered. */
export const hasRoom = (view: View, { spec }: FilerDiskSetObject): boolean =>
  withRoomFor(view, spec.operations ?? [], 1).length < OPERATIONS_REMEMBERED_MAX;

/** The same data with the members of each object in the order of their names. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, inOrder(member)]));
}
