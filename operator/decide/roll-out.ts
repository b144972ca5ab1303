// The rollout's next step as actions. What could go wrong is asked first: whether a new pod would be accepted at all,
// and, before a pod is deleted, whether its server really owns nothing, by the API itself and not by the caches.

import { leaseAnnotations } from '../../kubernetes/words.ts';
import { type Rollout, type RolloutStep, staleTrace } from '../policies/rollout.ts';
import { newPod } from './desired/pod.ts';
import { ownedByOthers, patchLease, requestPatch } from './lease-upkeep.ts';
import type { Action, EventToTell } from './plan.ts';
import { neededByPods } from './provision.ts';
import type { ServerView, View } from './view.ts';

export function rolledOut(view: View, found: Rollout | null): Action[] {
  const traces = view.servers.filter(staleTrace).flatMap(traceRemoved);
  if (found === null || found.step === null) return traces;
  const steps = stepActions(view, found.step, found.message);
  // No server is touched while something that its new pod could not start without was refused.
  return [...traces, ...steps.map((action) => ({ ...action, needs: [neededByPods] }))];
}

function stepActions(view: View, step: RolloutStep, why: string): Action[] {
  const event: EventToTell = { key: '', type: 'Normal', reason: 'RollingOut', note: why };
  if (step.kind === 'move') {
    const { lease } = step.home;
    if (lease === null) return [];
    const asked = patchLease(lease, requestPatch(lease, step.request), why);
    const told = { ...asked, event: { ...event, key: `${step.request.id}/${lease.object.metadata.uid}` } };
    return step.request.kind === 'takeover' ? [newPodAccepted(view, step.home), told] : [told];
  }
  const { server, pod } = step;
  const { namespace = '', name = '', uid = '' } = pod.pod.metadata;
  return [
    newPodAccepted(view, server),
    ...view.servers.flatMap((home) => ownedByOthers(home, pod.pod.metadata.uid ?? '')),
    { kind: 'delete', resource: 'pods', namespace, name, uid, why, event: { ...event, key: uid } },
  ];
}

const newPodAccepted = (view: View, server: ServerView): Action => ({
  kind: 'check',
  resource: 'pods',
  object: newPod(view, server, false),
  why: `before ${server.name} is touched`,
});

function traceRemoved({ lease }: ServerView): Action[] {
  if (lease === null) return [];
  const { resourceVersion } = lease.object.metadata;
  const annotations = { [leaseAnnotations.request]: null, [leaseAnnotations.requestResult]: null };
  return [patchLease(lease, { metadata: { resourceVersion, annotations } }, 'the disk set is at home again')];
}
