/** Progressing: is something under way that will end by itself, or does something wait for an administrator? */

import type { Reason } from '../../crds/pair/reasons.ts';
import {
  type ConditionResult,
  firstFinding,
  isFalse,
  isTrue,
  type Policy,
} from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';
import { claimsToDelete } from './claims-to-delete.ts';
import { drains } from './drain.ts';
import { moveText, pendingMove } from './operations/moves.ts';
import { type RolloutState, rollout } from './rollout.ts';

export const progressingChain: readonly Policy<Assessment>[] = [
  function beingDeleted(view) {
    if (view.pair.metadata.deletionTimestamp === undefined) return null;
    const left = view.servers
      .flatMap(({ pods }) => pods)
      .map(({ pod }) => {
        const { nodeName } = pod.spec ?? {};
        return `pod ${pod.metadata.name}${nodeName === undefined ? '' : ` on node ${nodeName}`}`;
      });
    if (left.length === 0)
      left.push(...claimsToDelete(view.observed).map(({ metadata }) => `claim ${metadata.name}`));
    return isTrue(
      'Deleting',
      left.length === 0
        ? 'The pair is being deleted.'
        : `The pair is being deleted and waits for the end of ${left.join(' and ')}.`,
    );
  },
  function operationUnderWay(view) {
    const waiting = pendingMove(view);
    return waiting === null ? null : isTrue('OperationUnderWay', `Waits for the ${moveText(waiting)}.`);
  },
  function draining(view) {
    const found = drains(view).find(({ state }) => state === 'Draining');
    return found === undefined ? null : isTrue('Draining', found.message);
  },
  function rolloutHeldUp(view) {
    const problem = view.observed.problems.find(({ concerns }) => concerns === 'rollout');
    return problem === undefined ? null : isTrue('RolloutBlocked', problem.message);
  },
  function rollingOut(view) {
    const found = rollout(view);
    return found === null ? null : isTrue(reasonOf(found.state), found.message);
  },
  function podsStarting(view) {
    const starting = view.servers
      .flatMap(({ usable }) => usable)
      .filter(({ state }) => state !== 'Running')
      .map(({ pod, because }) => `pod ${pod.metadata.name}: ${because}`);
    return starting.length > 0 ? isTrue('PodsStarting', `${starting.join('; ')}.`) : null;
  },
];

const reasonOf = (state: RolloutState): Reason =>
  state === 'Paused' ? 'RolloutPaused' : state === 'Blocked' ? 'RolloutBlocked' : 'RollingOut';

export const progressing = question(
  (view: Assessment): ConditionResult =>
    firstFinding(progressingChain, view, isFalse('Settled', 'Everything is as the spec wants it.')),
);
