/** Whether an image has ever started. Before it has, no server that runs is given up for a pod that is made from it. */

import { imageTrialName } from '../desired/image-trial-pod.ts';
import { imagesOfPod, wantedImage } from '../desired/pod.ts';
import type { Pod } from '../model/objects.ts';
import { type Assessment, question } from './assessment.ts';

export type ImageTrial =
  /** It runs somewhere, or has run, or a pod of the pair is being started from it already. */
  | { readonly kind: 'started' }
  /** To be tried. */
  | { readonly kind: 'try' }
  | { readonly kind: 'wait'; readonly message: string }
  /** `again`: when to try once more, ms since the epoch; null: the kubelet does. */
  | { readonly kind: 'failed'; readonly message: string; readonly again: number | null };

/** A trial that has ended without success is repeated after this long, ms. */
const AGAIN_MS = 10 * 60_000;

/** Images of which a server is ready or a trial has succeeded, among these pods. */
export const imagesStarted = (pods: readonly Pod[]): string[] =>
  pods.flatMap((pod) => (hasStarted(pod) ? imagesOfPod(pod) : []));

const hasStarted = ({ status }: Pod): boolean =>
  status?.phase === 'Succeeded' ||
  status?.containerStatuses?.some(({ name, ready }) => name === 'server' && ready === true) === true;

export const imageTrial = question((view: Assessment): ImageTrial => {
  const image = wantedImage(view);
  const { pods, others } = view.observed;
  const tried = view.servers.some((server) =>
    server.pods.some(({ pod }) => imagesOfPod(pod).includes(image)),
  );
  if (tried || others.imagesStarted.includes(image) || imagesStarted(pods).includes(image))
    return { kind: 'started' };
  const trial = pods.find(({ metadata }) => metadata.name === imageTrialName(view));
  if (trial === undefined) return { kind: 'try' };
  return resultOf(trial, image);
});

function resultOf({ metadata, status }: Pod, image: string): ImageTrial {
  const about = `Image ${image} is tried in pod ${metadata.name} before a server is replaced`;
  const [container] = status?.containerStatuses ?? [];
  if (status?.phase === 'Failed') {
    const { reason, exitCode, message } = container?.state?.terminated ?? {};
    const why = message?.trim() || status.message || reason || `exit code ${exitCode ?? 'unknown'}`;
    const made = Date.parse(metadata.creationTimestamp ?? '');
    return {
      kind: 'failed',
      message: `${about}, and does not start: ${why}. It is tried again every 10 minutes.`,
      again: Number.isNaN(made) ? 0 : made + AGAIN_MS,
    };
  }
  const waiting = container?.state?.waiting;
  if (waiting?.reason !== undefined && waiting.reason !== 'ContainerCreating')
    return {
      kind: 'failed',
      message: `${about}, and does not start: ${waiting.reason}${waiting.message === undefined ? '' : `: ${waiting.message}`}.`,
      again: null,
    };
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return {
    kind: 'wait',
    message:
      scheduled?.status === 'False'
        ? `${about}, and no node takes it: ${scheduled.message ?? ''}`
        : `${about}.`,
  };
}
