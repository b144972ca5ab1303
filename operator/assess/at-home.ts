/** AtHome: does each server own its own disk set? A disk set that is away costs only performance. */

import { type ConditionResult, isFalse, isTrue, isUnknown } from '../model/condition-result.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { isDrained } from './drain.ts';

export const diskSetAtHome = question((view: Assessment, home: ServerView): ConditionResult => {
  const { name, lease } = home;
  const owner = lease?.holderServer ?? null;
  if (owner === null) return isUnknown('Unowned', `Nobody owns the disk set of ${name}.`);
  if (owner === name) return isTrue('AtHome', `${name} owns its own disk set.`);
  const then = isDrained(view, name)
    ? `spec.maintenance.drain lists ${name}`
    : `To give it back: kubectl filerpair -n ${view.observed.namespace} giveback ${name} ${view.observed.name}`;
  return isFalse('AwayFromHome', `${owner} owns the disk set of ${name}. ${then}`);
});

export const atHome = question((view: Assessment): ConditionResult => {
  const found = view.servers.map((home) => diskSetAtHome(view, home));
  return (
    found.find(({ status }) => status === 'False') ??
    found.find(({ status }) => status === 'Unknown') ??
    isTrue('AtHome', 'Each server owns its own disk set.')
  );
});
