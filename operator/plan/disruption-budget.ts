/**
 * The PodDisruptionBudget of a pair: `kubectl drain` takes one server at a time, and waits while the other one could not take
 * over. A server that is evicted gets SIGTERM and hands its disk sets over before it ends.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { takeoverPossible } from '../assess/takeover-possible.ts';
import { type Desired, desired } from '../desired/owned.ts';
import { CURRENT_LABEL } from '../model/names.ts';

export function disruptionBudget(view: Assessment): Desired {
  const matchLabels = { [labels.pair]: view.observed.name, [CURRENT_LABEL]: 'true' };
  return desired(view, 'podDisruptionBudgets', view.observed.name, {
    body: { spec: { minAvailable: serversNeeded(view), selector: { matchLabels } } },
  });
}

/**
 * Both run and are ready, and yet a takeover would not work now: none may go. Otherwise one has to stay; a server that
 * is down then does not keep its node from being drained. Where takeovers wait for an administrator, a server that is told to
 * end hands over all the same.
 */
function serversNeeded(view: Assessment): 1 | 2 {
  const bothRun = view.servers.every(({ current }) => current?.state === 'Running');
  const { status, reason } = takeoverPossible(view);
  const works = status === 'True' || reason === 'ManualMode' || reason === 'Maintenance';
  return bothRun && !works ? 2 : 1;
}
