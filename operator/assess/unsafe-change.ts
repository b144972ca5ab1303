/** Changes that would do harm if they were rolled out server by server, and why. */

import { durationText } from '../../crds/quantities.ts';
import { configOfPod } from '../desired/server-config.ts';
import type { Node, Pod } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';
import type { Assessment } from './assessment.ts';

// Lease times: while the change is under way, one server has the old times and one the new. A holder may write until
// lease + guard/2 after its last confirmation (then its dead man's switch has killed it). It says its lease + guard on
// each Lease that it holds. A server that claims on silence waits for the longer one of that and its own. So any times go
// together, between servers that know of this. A server of an earlier version does not say its times: then each side's
// lease + guard/2 must stay below the other side's lease + guard. The margin is the least that the schema allows to one pair
// of times: half of the shortest guard, which is 100 ms and a tenth of the lease. All pods count, also one that ends or
// whose node is away: it is an incarnation that may still be alive.

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly guardMs: number;
}

/** A sentence that says what is wrong and what to do, or null: it may be rolled out. */
export const unsafeChange = (view: Assessment, outdated: readonly ServerView[]): string | null =>
  leaseTimesDoNotFit(view) ?? noNodeFits(view, outdated);

/** Whether no mixture of servers with these times lets one claim while the other may still write. */
export function fitTogether(a: LeaseTimes, b: LeaseTimes): boolean {
  const marginMs = Math.max(50, a.leaseMs / 20, b.leaseMs / 20);
  const writesUntil = ({ leaseMs, guardMs }: LeaseTimes) => leaseMs + guardMs / 2;
  const claimsAfter = ({ leaseMs, guardMs }: LeaseTimes) => leaseMs + guardMs;
  return writesUntil(a) + marginMs <= claimsAfter(b) && writesUntil(b) + marginMs <= claimsAfter(a);
}

function leaseTimesDoNotFit(view: Assessment): string | null {
  const { failover: wanted } = view.effective;
  for (const { pods } of view.servers)
    for (const { pod, state } of pods) {
      if (state === 'Ended') continue;
      const running = leaseTimesOf(view, pod);
      if (running === null)
        return `Cannot tell with which lease times pod ${pod.metadata.name} runs, because its ConfigMap is gone. Delete the pod when its partner serves everything.`;
      if (!fitTogether(running, wanted) && !saysItsTimes(view, pod))
        return `failover.leaseDuration ${durationText(wanted.leaseMs)} and guardDuration ${durationText(wanted.guardMs)} do not fit pod ${pod.metadata.name}, which runs with ${running.leaseMs}ms and ${running.guardMs}ms. While one server has the old times and one the new, a server could take over from one that may still write. The pod holds no Lease on which it says its times. Change them in steps, and wait for the rollout to end after each: lease + guard/2 of one must stay below lease + guard of the other, and the other way round. The margin is at least 50ms and a twentieth of the lease.`;
    }
  return null;
}

/** Only who holds a Lease can have said it there. */
const saysItsTimes = (view: Assessment, { metadata: { uid } }: Pod): boolean =>
  view.servers.some(
    ({ lease }) => lease !== null && lease.holderPodUid === uid && lease.claimAfterMs !== null,
  );

function leaseTimesOf(view: Assessment, pod: Pod): LeaseTimes | null {
  const { timing } = (configOfPod(view, pod) ?? {}) as { timing?: Partial<LeaseTimes> };
  const { leaseMs, guardMs } = timing ?? {};
  return typeof leaseMs === 'number' && typeof guardMs === 'number' ? { leaseMs, guardMs } : null;
}

/** Found out before a server is taken down: afterwards its new pod would wait forever. */
function noNodeFits(view: Assessment, outdated: readonly ServerView[]): string | null {
  for (const { name, podTemplate } of outdated) {
    const selector = Object.entries(podTemplate.spec?.nodeSelector ?? {});
    if (selector.length === 0) continue;
    const fits = Object.values(view.observed.nodes).some(
      (node) => takesPods(node) && selector.every(([key, value]) => node.metadata.labels?.[key] === value),
    );
    if (!fits)
      return `No node that takes pods has the labels that podTemplate.spec.nodeSelector asks for, of ${name} (${selector.map(([key, value]) => `${key}=${value}`).join(', ')}). The server goes on where it is.`;
  }
  return null;
}

const takesPods = ({ spec, status }: Node): boolean =>
  spec?.unschedulable !== true && status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
