/** Answers the kubelet's probes: does the process work at all, and can this server do its part? Pure. */
import type { ServerState } from '../../pair/server/state.ts';

/** A thread that is alive shows it several times a second; on a machine without a moment to spare, later. ms */
const UNHEALTHY_AFTER_MS = 15_000;

/**
 * Null if the process works at all. A disk that does not answer is no reason to be restarted: a new process would wait
 * for it too. So only threads count that never wait for a disk, or should not.
 */
export function whyNotHealthy(silentMs: number): string | null {
  if (silentMs < UNHEALTHY_AFTER_MS) return null;
  return `a thread of the data path has not turned for ${Math.round(silentMs / 1000)} s`;
}

/**
 * Null if this server can do its part; otherwise why not, in a sentence. A disk that does not answer (`stuckVolume`) is such a
 * reason: nobody should be sent away from the partner meanwhile, and no rollout go on. A server that owns a disk set serves it
 * without the witness, confirmed by its partner; one that owns nothing could do nothing. One call without an answer is not enough
 * for the kubelet: it asks several times.
 */
export function whyNotReady(state: ServerState, stuckVolume: string | null): string | null {
  const { local, partner } = state;
  for (const { home, seen, wentBack, ahead } of [local, partner]) {
    if (seen === null) return `the Lease of ${home} has not been seen yet`;
    if (wentBack !== null) return `the witness has lost what it knew of ${home}`;
    if (ahead !== null) return `${home} is not claimed again by itself: ${ahead.message}`;
  }
  const owns = [local, partner].some(({ role }) => role.name === 'holder');
  if (state.witnessSilent && !owns)
    return 'the witness does not answer, and without it nothing can be claimed';
  if (local.role.name === 'holder' && local.role.port === 'opening') return `${local.home} is being opened`;
  return stuckVolume;
}
