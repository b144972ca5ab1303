/**
 * What a client waits for that no fault concerns. Its history measures what must reach a disk. Beside it stands how long
 * attributes took, which need no disk, and how late its own clock rang, which is the machine's doing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FilerPairClient } from '../../client/index.ts';
import type { nfs_fh3 } from '../../protocol/nfs3.ts';
import type { BystandersWaits } from './history.ts';

const PERIOD_MS = 10;

/** Looks until stopped; returns the longest waits. */
export async function standBy(
  client: FilerPairClient,
  handle: nfs_fh3,
  now: () => number,
  stopped: () => boolean,
): Promise<BystandersWaits> {
  let attributesMs = 0;
  let clockLateMs = 0;
  while (!stopped()) {
    const from = now();
    await delay(PERIOD_MS);
    clockLateMs = Math.max(clockLateMs, now() - from - PERIOD_MS);
    const sentMs = now();
    await client.nfs.getattr(handle);
    attributesMs = Math.max(attributesMs, now() - sentMs);
  }
  return { attributesMs, clockLateMs };
}
