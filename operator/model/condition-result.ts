/** Result of a policy for a condition. */

import type { Reason } from '../../crds/pair/reasons.ts';

export interface ConditionResult {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: Reason;
  /** Names the thing, the cause, and what to do if there is something to do. */
  readonly message: string;
}

/** A question that a policy answers, or null if it has nothing to say. */
export type Policy<T> = (about: T) => ConditionResult | null;

/** First finding wins: the order of the chain is the order of importance. */
export function firstFinding<T>(
  chain: readonly Policy<T>[],
  about: T,
  otherwise: ConditionResult,
): ConditionResult {
  for (const policy of chain) {
    const verdict = policy(about);
    if (verdict !== null) return verdict;
  }
  return otherwise;
}

export const isTrue = (reason: Reason, message: string): ConditionResult => ({
  status: 'True',
  reason,
  message,
});
export const isFalse = (reason: Reason, message: string): ConditionResult => ({
  status: 'False',
  reason,
  message,
});
export const isUnknown = (reason: Reason, message: string): ConditionResult => ({
  status: 'Unknown',
  reason,
  message,
});
