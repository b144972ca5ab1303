/**
 * Rule R5 for the operator: it saw the very container terminated that the owner of a disk set ran in. The proof goes onto the
 * Lease, and the partner may claim at once instead of waiting for lease + guard. It matters where the sentinel could not speak:
 * both containers of the pod killed, or their network gone with them.
 */

import type { DeathProofAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { LeaseView } from './lease-view.ts';
import type { Pod, Terminated } from './objects.ts';

// Why a proof that this function gives is true:
//
// 1. Content, not time, tells what terminated. At its start, before it asks for anything, the server writes
//    its incarnation to its container's termination log: a file that the kubelet makes for each single container
//    instance. When the container has ended, the kubelet copies the text into `terminated.message`. So `message`
//    names the one run that ended, and no other.
//    The obvious ways are wrong. "The pod's status shows no running server" may be an old report: the kubelet has
//    restarted the container since, the new run has claimed, and its claim arrived before the kubelet's next report.
//    Comparing startedAt/finishedAt with the run's start trusts wall clocks that may step. Restart counts do not say
//    which run is meant.
// 2. The container runtime reports `terminated` after it has reaped the container's first process, which is the server
//    itself (the pod's command has no init in between). So no thread of it can execute another instruction or be inside
//    a system call. What is not such a report is refused: the kubelet's substitute for a
//    container that it cannot find any more (ContainerStatusUnknown) and anything without a container ID. A pod that
//    Kubernetes' pod garbage collector has set to Failed has no new `terminated` either: only its phase is invented.
// 3. An old report of a true end stays true: a run that has ended never runs again, and its name is never reused
//    (start time and random part). So a cache that lags behind can only delay a proof.
// 4. The proof names incarnation and epoch. A compare-and-swap against the Lease that was judged writes it, and the
//    claimer checks again that the Lease still names both: a proof that is late does nothing.
//
// A pod that is missing from the API, a node that is NotReady, and a deletion proves nothing and is not looked at.

/** Proof that the Lease's holder has ended, or null if nothing that was seen proves it. */
export function deathProof(lease: LeaseView, pods: readonly Pod[]): DeathProofAnnotation | null {
  if (lease.holder === null) return null;
  const pod = pods.find((one) => one.metadata.uid === lease.holderPodUid);
  const status = pod?.status?.containerStatuses?.find(({ name }) => name === 'server');
  if (pod === undefined || status === undefined) return null;
  for (const terminated of [status.state?.terminated, status.lastState?.terminated])
    if (terminated !== undefined && incarnationOf(terminated) === lease.holder)
      return { incarnation: lease.holder, epoch: lease.epoch, evidence: evidence(pod, terminated) };
  return null;
}

/** The run that ended in this container, by its own words; null if it left none or the report is a substitute. */
function incarnationOf(terminated: Terminated): string | null {
  if (!terminated.containerID || terminated.reason === 'ContainerStatusUnknown') return null;
  return terminated.message?.split('\n', 1)[0]?.trim() || null;
}

function evidence(pod: Pod, terminated: Terminated): string {
  const how = [
    terminated.reason,
    terminated.exitCode === undefined ? undefined : `exit code ${terminated.exitCode}`,
    terminated.finishedAt === undefined ? undefined : `at ${terminated.finishedAt}`,
  ].filter((part) => part !== undefined);
  return `operator: container server of pod ${pod.metadata.name} has terminated (${how.join(', ')})`;
}
