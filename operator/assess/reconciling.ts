/**
 * Reconciling and Stalled, as kstatus reads them: is the spec of now still being carried out, or does that wait for somebody?
 * At most one of the two is True.
 */

import {
  type ConditionResult,
  firstFinding,
  isFalse,
  isTrue,
  type Policy,
} from '../model/condition-result.ts';
import type { ServerView } from '../model/view.ts';
import { accepted } from './accepted.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsFit } from './claims-fit.ts';
import { claimsThere } from './claims-there.ts';
import { leaseLost } from './lease-lost.ts';
import { secretsOffered } from './offered.ts';
import { outdatedPods, rollout } from './rollout.ts';

/** Faults that only an administrator can put right. */
export const stalledChain: readonly Policy<Assessment>[] = [
  function notAccepted(view) {
    const { status, reason, message } = accepted(view);
    return status === 'True' ? null : isTrue(reason, message);
  },
  function executionProblem(view) {
    const problems = view.observed.problems.filter(({ concerns }) => concerns === undefined);
    return problems[0] === undefined
      ? null
      : isTrue(problems[0].reason, problems.map(({ message }) => message).join('; '));
  },
  ...[claimsThere, claimsFit, secretsOffered, leaseLost].map(
    (ask): Policy<Assessment> =>
      (view) => {
        const found = ask(view);
        return found?.status === 'False' ? isTrue(found.reason, found.message) : null;
      },
  ),
  function rolloutBlocked(view) {
    const problem = view.observed.problems.find(({ concerns }) => concerns === 'rollout');
    if (problem !== undefined) return isTrue('RolloutBlocked', problem.message);
    const found = rollout(view);
    return found?.state === 'Blocked' ? isTrue('RolloutBlocked', found.message) : null;
  },
];

export const stalled = question(
  (view: Assessment): ConditionResult =>
    firstFinding(stalledChain, view, isFalse('NotStalled', 'Nothing waits for an administrator.')),
);

/** Whether a server runs as the spec of now wants it. */
export const upToDate = question((view: Assessment, server: ServerView): ConditionResult => {
  if (server.usable.length === 0) return isFalse('NoPod', `${server.name} has no pod that can serve.`);
  const [outdated] = outdatedPods(view, server);
  return outdated === undefined
    ? isTrue('UpToDate', `${server.name} runs as the spec wants it.`)
    : isFalse(
        'Outdated',
        `Pod ${outdated.pod.metadata.name} was made from something else than the spec of now.`,
      );
});

export const reconciling = question((view: Assessment): ConditionResult => {
  if (stalled(view).status === 'True') return isFalse('Stalled', 'See Stalled.');
  const found = rollout(view);
  if (found !== null) return isTrue(found.state === 'Paused' ? 'RolloutPaused' : 'RollingOut', found.message);
  const waiting = view.servers
    .map((server) => upToDate(view, server))
    .find(({ status }) => status !== 'True');
  if (waiting !== undefined) return isTrue('PodsMissing', waiting.message);
  const never = view.servers.find(({ lease }) => lease === null || lease.epoch === 0);
  return never === undefined
    ? isFalse('Reconciled', 'Everything is as the spec wants it.')
    : isTrue('Starting', `The disk set of ${never.name} has never been served yet.`);
});
