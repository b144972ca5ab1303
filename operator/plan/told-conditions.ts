/** Conditions as a status tells them: with the time of the last change, which is kept while their status stays. */

import type { Condition } from '../../crds/condition.ts';
import type { Assessment } from '../assess/assessment.ts';
import { diskSetAtHome } from '../assess/at-home.ts';
import { served } from '../assess/ready.ts';
import type { ServerView } from '../model/view.ts';

export interface Moment {
  /** Generation of the object that the condition is about. */
  readonly generation: number;
  readonly now: number;
}

export function condition(
  before: readonly Omit<Condition, 'message'>[] | undefined,
  type: string,
  result: Pick<Condition, 'status' | 'reason' | 'message'>,
  { generation, now }: Moment,
): Condition {
  // One of the schema's defaults has no time of its own. A server's pod may be Pending, too.
  const isDefault = (one: Omit<Condition, 'message'>) => one.reason === 'Pending' && one.status === 'Unknown';
  const old = before?.find((one) => one.type === type && !isDefault(one));
  const lastTransitionTime = old?.status === result.status ? old.lastTransitionTime : timeText(now);
  return { type, ...result, lastTransitionTime, observedGeneration: generation };
}

/** `before`: whose times of what has not changed are kept. */
export const diskSetConditions = (
  view: Assessment,
  home: ServerView,
  before: readonly Condition[] | undefined,
  at: Moment,
): Condition[] => [
  condition(before, 'Served', served(view, home), at),
  condition(before, 'AtHome', diskSetAtHome(view, home), at),
];

/** RFC 3339 with whole seconds, as the API writes times. */
export const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
