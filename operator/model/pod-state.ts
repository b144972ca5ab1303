/**
 * State of a server's pod, as far as the API knows. Drives replacement and status, never ownership: a pod that looks dead
 * may be alive on a node that is only cut off (rule R5), and then the Lease protects the disks.
 */

import { goneAt, isNotReady, type NodesSeen, readinessSince } from './node-silence.ts';
import type { Pod } from './objects.ts';

export const PodState = {
  /** Created, not yet on a node or its containers not yet made. */
  Pending: 'Pending',
  /** The server's container runs and is not ready yet. */
  Starting: 'Starting',
  Running: 'Running',
  /** The server's container has ended and will be started again by the kubelet. */
  Restarting: 'Restarting',
  /** Deleted; its containers may still run. */
  Terminating: 'Terminating',
  /** Its node is gone, or has been not ready for longer than spec.podReplacement.nodeNotReadyTimeout. */
  NodeLost: 'NodeLost',
  /** Failed or Succeeded: no container of it will ever be started again. */
  Ended: 'Ended',
} as const;
export type PodState = (typeof PodState)[keyof typeof PodState];

export interface PodFinding {
  readonly pod: Pod;
  readonly state: PodState;
  /** A clause for people. */
  readonly because: string;
  /** When time alone may change the state, ms since the epoch. */
  readonly wakeAt: number | null;
  /** The node that is gone, if the pod is lost because of that. */
  readonly goneNode?: string;
}

/** When the API did not say whether a node exists, it is asked again after this long, ms. */
const ASK_AGAIN_MS = 5_000;

/** First finding wins: what is final before what may pass, what concerns the node before what concerns containers. */
export function podFinding(pod: Pod, nodes: NodesSeen, replaceAfterMs: number, now: number): PodFinding {
  const found = (state: PodState, because: string, wakeAt: number | null = null): PodFinding => ({
    pod,
    state,
    // A clause: others' sentences end with a full stop.
    because: because.replace(/\.+$/, ''),
    wakeAt,
  });
  const phase = pod.status?.phase;
  if (phase === 'Failed' || phase === 'Succeeded') {
    const reason = pod.status?.reason ?? pod.status?.message;
    return found('Ended', `it has ended${reason ? `: ${reason}` : ''}`);
  }
  if (pod.metadata.deletionTimestamp !== undefined) return found('Terminating', 'it is being deleted');
  const lost = nodeLoss(pod, nodes, replaceAfterMs, now);
  if (lost.because !== null)
    return {
      ...found('NodeLost', lost.because),
      ...(lost.goneNode !== undefined && { goneNode: lost.goneNode }),
    };
  const { state, because } = containerFinding(pod);
  return found(state, because, lost.wakeAt);
}

function nodeLoss(
  pod: Pod,
  nodes: NodesSeen,
  replaceAfterMs: number,
  now: number,
): { readonly because: string | null; readonly wakeAt: number | null; readonly goneNode?: string } {
  const name = pod.spec?.nodeName;
  if (name === undefined) return { because: null, wakeAt: null };
  const node = nodes.nodes[name];
  if (node === undefined) {
    const at = goneAt(nodes, name);
    return at !== null && now >= at
      ? { because: `its node ${name} is gone from the cluster`, wakeAt: null, goneNode: name }
      : { because: null, wakeAt: at ?? now + ASK_AGAIN_MS };
  }
  if (!isNotReady(node)) return { because: null, wakeAt: null };
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const lostAt = (readinessSince(nodes, name) ?? now) + replaceAfterMs;
  if (now < lostAt) return { because: null, wakeAt: lostAt };
  return {
    because: `its node ${name} has not been ready since ${ready?.lastTransitionTime ?? 'an unknown time'}`,
    wakeAt: null,
  };
}

function containerFinding(pod: Pod): { readonly state: PodState; readonly because: string } {
  const server = pod.status?.containerStatuses?.find((status) => status.name === 'server');
  if (server?.state?.running !== undefined)
    return server.ready === true
      ? { state: 'Running', because: 'it runs' }
      : { state: 'Starting', because: 'its server is not ready yet' };
  const waiting = server?.state?.waiting;
  const ended = server?.state?.terminated ?? server?.lastState?.terminated;
  if (ended !== undefined) {
    const why = waiting?.reason ?? ended.reason ?? `exit code ${ended.exitCode ?? 'unknown'}`;
    return { state: 'Restarting', because: `its server has ended (${why}) and is started again` };
  }
  const scheduled = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
  if (scheduled?.status === 'False')
    return {
      state: 'Pending',
      because: `no node takes it: ${scheduled.message ?? scheduled.reason ?? 'unknown why'}`,
    };
  const reason = waiting?.reason;
  return {
    state: 'Pending',
    because: `its containers are not started yet${reason && reason !== 'ContainerCreating' ? ` (${reason}${waiting.message ? `: ${waiting.message}` : ''})` : ''}`,
  };
}

/** Pods in these states serve, or will. */
export const isUsable = (finding: PodFinding): boolean =>
  finding.state === 'Pending' ||
  finding.state === 'Starting' ||
  finding.state === 'Running' ||
  finding.state === 'Restarting';
