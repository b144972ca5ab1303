/** A pause in a test, which says why there is no condition to wait for (eventually.ts). */
import { setTimeout as elapsed } from 'node:timers/promises';

/** @param why what would show itself meanwhile, or what the time itself stands for */
export async function pause(ms: number, why: string): Promise<void> {
  if (why === '') throw new Error('a pause has a reason');
  await elapsed(ms);
}
