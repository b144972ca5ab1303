/**
 * Longest waits, named after what is waited for. They bound a test that hangs; what a failover may take is a budget, computed
 * from the pair's own times. On a machine that is slow now, all of them are longer, leases too: what a pair does without a
 * processor is not what the scenarios are about.
 */
import { silenceMs } from '../../pair/serving-lease.ts';
import { readSlowness } from '../environment.ts';

const SLOWNESS_MAX = 6;
const slowness = Math.min(readSlowness(), SLOWNESS_MAX);
const onThisMachine = (ms: number): number => Math.round(ms * slowness);

/** A pair from nothing: claims bind, two pods start, both servers take their disk sets. */
export const PAIR_READY_MS_MAX = onThisMachine(120_000);
export const POD_READY_MS_MAX = onThisMachine(90_000);
/** From the operation to the new owner. */
export const REQUEST_ANSWERED_MS_MAX = onThisMachine(30_000);
/** A killed container is restarted after 0, 10, 20 s ...; a deleted pod is replaced at once. */
export const SERVER_BACK_MS_MAX = onThisMachine(90_000);
/** A node is Ready again 10 s after unpause; its server, killed by its own timer, is then restarted. */
export const NODE_BACK_MS_MAX = onThisMachine(120_000);
/** Kubernetes calls a node not ready when it has not heard of it for 50 s; tests of several at once are slower. */
export const NODE_LOST_MS_MAX = onThisMachine(120_000);
/** It looks for pods on nodes that are out of service every 20 s; then the disk is attached and mounted elsewhere. */
export const OUT_OF_SERVICE_MS_MAX = onThisMachine(90_000);
/** Operators, CSI driver and kubelets are all started anew, and a new operator leads. */
export const RESTARTED_MS_MAX = onThisMachine(120_000);
export const CHART_INSTALLED_MS_MAX = onThisMachine(120_000);
/** kubectl exec, DNS, mount, first line. */
export const WRITER_STARTED_MS_MAX = onThisMachine(60_000);
/** The writer has answers to everything it asked, and read its file back. */
export const WRITER_FINISHED_MS_MAX = onThisMachine(60_000);
/** Everything in a namespace, with the grace periods of its pods. */
export const NAMESPACE_GONE_MS_MAX = onThisMachine(90_000);

/** The pair's times as in its manifest, ms. */
export const LEASE_MS = onThisMachine(2_000);
export const GUARD_MS = onThisMachine(500);
export const HEARTBEAT_MS = onThisMachine(200);
/** No server says anything: the partner waits this long (pair/serving-lease.ts), and has a second for the rest. */
export const SILENT_FAILOVER_MS_MAX =
  silenceMs({ leaseMs: LEASE_MS, guardMs: GUARD_MS, heartbeatMs: HEARTBEAT_MS }) + onThisMachine(1_000);
/** The scenario as a whole, with bringing up a pair and removing it. */
export const SCENARIO_MS_MAX = onThisMachine(8 * 60_000);
