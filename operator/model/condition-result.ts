/** What a policy for a condition finds. */

export interface ConditionResult {
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word, documented in docs/operator.md. */
  readonly reason: string;
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

export const isTrue = (reason: string, message: string): ConditionResult => ({
  status: 'True',
  reason,
  message,
});
export const isFalse = (reason: string, message: string): ConditionResult => ({
  status: 'False',
  reason,
  message,
});
export const isUnknown = (reason: string, message: string): ConditionResult => ({
  status: 'Unknown',
  reason,
  message,
});
