/**
 * The rollout's next step as actions. What could go wrong is asked first: whether a new pod would be accepted at all. Before a
 * pod is deleted, the API itself and not the caches has to say that its server owns nothing.
 */

import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { type Rollout, type RolloutStep, staleTrace } from '../assess/rollout.ts';
import { imageTrial, imageTrialName } from '../desired/image-trial-pod.ts';
import { newPod } from '../desired/pod.ts';
import { renderingOf } from '../desired/rendering.ts';
import { type Action, annotated, deletion, type PairEvent } from '../model/action.ts';
import type { ServerView } from '../model/view.ts';
import { ownedByOthers, requested } from './lease-upkeep.ts';
import { NEEDED_BY_PODS } from './provision.ts';

export function rolledOut(view: Assessment, found: Rollout | null): Action[] {
  const traces = [...view.servers.filter(staleTrace).flatMap(traceRemoved), ...trialsOver(view, found)];
  if (found === null || found.step === null) return traces;
  const steps = stepActions(view, found.step, found.message);
  // No server is touched while something that its new pod could not start without was refused.
  return [...traces, ...steps.map((action) => ({ ...action, needs: [NEEDED_BY_PODS] }))];
}

function stepActions(view: Assessment, step: RolloutStep, why: string): Action[] {
  const event: PairEvent = { key: '', type: 'Normal', reason: 'RollingOut', note: why };
  if (step.kind === 'move') {
    const { lease } = step.home;
    if (lease === null) return [];
    const asked = requested(lease, step.request, why);
    const told = { ...asked, event: { ...event, key: `${step.request.id}/${lease.object.metadata.uid}` } };
    return step.request.kind === 'takeover' ? [newPodAccepted(view, step.home), told] : [told];
  }
  if (step.kind === 'end trial') return [];
  if (step.kind === 'try') {
    const object = imageTrial(view, step.server);
    return [
      { kind: 'check', resource: 'pods', object, why: 'before the image is tried' },
      { kind: 'create', resource: 'pods', object, why, event: { ...event, key: object.metadata.name ?? '' } },
    ];
  }
  const { server, pod } = step;
  const { uid = '' } = pod.pod.metadata;
  return [
    newPodAccepted(view, server),
    ...view.servers.flatMap((home) => ownedByOthers(home, uid)),
    { ...deletion('pods', pod.pod, why), event: { ...event, key: uid } },
  ];
}

/** Trials that nobody waits for: of an image that is not wanted any more, of one that runs by now, or to be repeated. */
function trialsOver(view: Assessment, found: Rollout | null): Action[] {
  const kept = found === null || found.step?.kind === 'end trial' ? null : imageTrialName(view);
  return view.observed.pods
    .filter(
      ({ metadata }) =>
        metadata.labels?.[labels.imageTrial] !== undefined &&
        metadata.deletionTimestamp === undefined &&
        metadata.name !== kept,
    )
    .map((pod) => deletion('pods', pod, 'the trial of an image is over'));
}

const newPodAccepted = (view: Assessment, server: ServerView): Action => ({
  kind: 'check',
  resource: 'pods',
  object: newPod(view, server, false, renderingOf(view)),
  why: `before ${server.name} is touched`,
});

function traceRemoved({ lease }: ServerView): Action[] {
  if (lease === null) return [];
  const annotations = { [leaseAnnotations.request]: null, [leaseAnnotations.requestResult]: null };
  return [annotated('leases', lease.object, annotations, 'the disk set is on its home server again')];
}
