/** One target's search, in a thread of its own: an input that never ends holds up this thread and no other. */
import { parentPort, workerData } from 'node:worker_threads';
import { SeededRandom } from '../testing/seeded-random.ts';
import { foundFile, keptFile, readInputs, writeInputs } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { Finding, Fuzzer } from './fuzzer.ts';
import type { SearchOrder, SearchResult } from './search.ts';
import { targets } from './targets/index.ts';

const { name, seconds, seed, keep, shared } = workerData as SearchOrder;

async function search(): Promise<SearchResult> {
  const target = targets.find((one) => one.name === name)!;
  const repository = new URL('..', import.meta.url).href;
  const words = new Int32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, 8);
  const coverage = new Coverage(target.covers.map((folder) => repository + folder));
  const fuzzer = new Fuzzer(target, coverage, new SeededRandom(seed), (input) => {
    words[1] = input.length;
    bytes.set(input.subarray(0, bytes.length));
    Atomics.add(words, 0, 1);
  });
  const startedAt = performance.now();
  try {
    const byLength = (a: Uint8Array, b: Uint8Array): number => a.length - b.length;
    const seeds = target.seeds();
    await fuzzer.begin(seeds);
    const fromCode = fuzzer.corpus.length;
    await fuzzer.begin([...readInputs(keptFile(name)), ...readInputs(foundFile(name))].sort(byLength));
    await fuzzer.search(() => performance.now() - startedAt > seconds * 1000);
    const found = fuzzer.corpus.slice(fromCode);
    writeInputs(foundFile(name), found);
    if (keep) writeInputs(keptFile(name), found);
    return { runs: fuzzer.runs, corpus: fuzzer.corpus.length, reached: coverage.size, broken: null };
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    const broken = { input: Buffer.from(error.input).toString('hex'), error: error.message };
    return { runs: fuzzer.runs, corpus: fuzzer.corpus.length, reached: coverage.size, broken };
  } finally {
    coverage.stop();
    await target.end?.();
  }
}

parentPort!.postMessage(await search());
