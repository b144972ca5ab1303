/** The FilerPairOperations of a pair that have not ended, and what is found about each. */

import type { FilerPairOperationSpec, operationReasons } from '../../../crds/filer-pair-operation.ts';
import type { FilerPairOperationObject } from '../../model/objects.ts';
import type { Observed } from '../../model/observed.ts';
import { hasEnded } from '../../model/operation-ended.ts';

export type OperationType = FilerPairOperationSpec['type'];

export type OperationVerdict =
  | {
      readonly kind: 'waits';
      readonly reason: keyof typeof operationReasons.waiting;
      readonly message: string;
    }
  | {
      readonly kind: 'complete';
      readonly reason: keyof typeof operationReasons.complete;
      readonly message: string;
      /** Epoch of the disk set, afterwards. */
      readonly epoch?: number;
      readonly snapshots?: readonly {
        readonly name: string;
        readonly server: string;
        readonly volume: string;
      }[];
    }
  | {
      readonly kind: 'failed';
      readonly reason: keyof typeof operationReasons.failed;
      readonly message: string;
    };

export interface OperationFinding {
  readonly operation: FilerPairOperationObject;
  readonly verdict: OperationVerdict;
}

export const waits = (
  reason: (OperationVerdict & { kind: 'waits' })['reason'],
  message: string,
): OperationVerdict => ({ kind: 'waits', reason, message });

export const complete = (
  reason: (OperationVerdict & { kind: 'complete' })['reason'],
  message: string,
  more: Pick<OperationVerdict & { kind: 'complete' }, 'epoch' | 'snapshots'> = {},
): OperationVerdict => ({ kind: 'complete', reason, message, ...more });

export const failed = (
  reason: (OperationVerdict & { kind: 'failed' })['reason'],
  message: string,
): OperationVerdict => ({ kind: 'failed', reason, message });

/** Those of these types that have not ended, the oldest first. */
export function unfinished(
  { filerPairOperations }: Pick<Observed, 'filerPairOperations'>,
  ...types: readonly OperationType[]
): FilerPairOperationObject[] {
  const age = ({ metadata }: FilerPairOperationObject) =>
    `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''}`;
  return filerPairOperations
    .filter(
      (one) =>
        types.includes(one.spec.type) && one.metadata.deletionTimestamp === undefined && !hasEnded(one),
    )
    .toSorted((a, b) => (age(a) < age(b) ? -1 : 1));
}

/** One at a time. Each names the one right before it: of a thousand that wait, the end of one is news for the next alone. */
export const queuedBehind = (older: FilerPairOperationObject): OperationVerdict =>
  waits('Queued', `Waits for FilerPairOperation ${older.metadata.name}, which is older.`);
