/**
 * How slow this machine is now. The times of the tests were chosen on an ordinary machine. On one that is several times slower,
 * pods get no processor for as long as a lease of 2 s. The tests would be about that, not about what they play.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** As many additions take a second on a processor of 3 GHz, all others busy too. */
const ADDITIONS = 1e9;
const ORDINARY_MS = 1_000;

const WORK = `
  const { parentPort } = require('node:worker_threads');
  const begun = performance.now();
  let sum = 0;
  (() => { for (let i = 0; i < ${ADDITIONS}; i++) sum = (sum + i) | 0; })();
  parentPort.postMessage({ ms: performance.now() - begun, sum });
`;

/** By how much work on all processors at once takes longer than on an ordinary machine: 1 and greater. */
export async function machineSlowness(): Promise<number> {
  const took = Array.from(
    { length: availableParallelism() },
    () =>
      new Promise<number>((resolve, reject) => {
        const worker = new Worker(WORK, { eval: true });
        worker.once('message', ({ ms }: { ms: number }) => resolve(ms));
        worker.once('error', reject);
      }),
  );
  return Math.max(1, Math.max(...(await Promise.all(took))) / ORDINARY_MS);
}
