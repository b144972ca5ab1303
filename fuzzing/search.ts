/** Starts a target's search in a thread and watches over it. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { INPUT_SIZE_MAX } from './mutation.ts';

export interface SearchOrder {
  /** Of the target. */
  readonly name: string;
  readonly seconds: number;
  readonly seed: number;
  /** The repository's corpus becomes what was found. */
  readonly keep: boolean;
  /** Number of inputs so far, length of the present one, and its bytes. */
  readonly shared: SharedArrayBuffer;
}

export interface SearchResult {
  readonly runs: number;
  readonly corpus: number;
  /** Characters of source and functions that ran. */
  readonly reached: number;
  /** The input that something does not hold for, in hexadecimal digits, and what. */
  readonly broken: { readonly input: string; readonly error: string } | null;
}

/** Seconds of processor time that one input may take. Time on the wall says nothing on a machine that is busy with other things. */
const INPUT_SECONDS_MAX = 20;

export async function search(order: Omit<SearchOrder, 'shared'>): Promise<SearchResult> {
  const shared = new SharedArrayBuffer(8 + INPUT_SIZE_MAX);
  const words = new Int32Array(shared, 0, 2);
  const worker = new Worker(new URL('./search-thread.ts', import.meta.url), {
    workerData: { ...order, shared } satisfies SearchOrder,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const present = (): string => Buffer.from(new Uint8Array(shared, 8, words[1])).toString('hex');
  const gone = (error: string): SearchResult => ({
    runs: words[0]!,
    corpus: 0,
    reached: 0,
    broken: { input: present(), error },
  });
  const hung = Promise.withResolvers<SearchResult>();
  let before = -1;
  let usedBefore = process.cpuUsage();
  const watch = setInterval(() => {
    const { user, system } = process.cpuUsage(usedBefore);
    if (words[0] !== before) {
      before = words[0]!;
      usedBefore = process.cpuUsage();
    } else if (user + system > INPUT_SECONDS_MAX * 1e6) {
      hung.resolve(gone(`it has not ended within ${INPUT_SECONDS_MAX} s of processor time`));
    }
  }, 1000);
  try {
    const answered = once(worker, 'message').then(([result]) => result as SearchResult);
    // Out of memory, or a mistake of the search itself.
    return await Promise.race([answered, hung.promise]).catch((error: Error) =>
      gone(error.stack ?? error.message),
    );
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}
