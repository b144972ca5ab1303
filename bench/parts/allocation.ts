/** How many bytes the server allocates in its engines' heaps for one operation, beside another revision in the same run. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runGenerator } from '../comparison.ts';
import { workloadNames, workloadsNamed } from '../generator/messages.ts';
import { inTurn, median } from '../rounds.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { addressOf, type ServerUnderTest } from '../servers/server-under-test.ts';

//   node bench/parts/allocation.ts [--beside CHECKOUT] [--only WORKLOAD]... [--rounds 3] [--ms 3000]
//
// Node's --trace-gc tells of each collection how full the heap was before and after it. Between two collections of an engine it
// has allocated what lies between the one's end and the other's beginning. Memory outside of the heaps (Buffers) is not in it.

const { values } = parseArgs({
  options: {
    beside: { type: 'string' },
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '3000' },
  },
});

const CACHE = join(import.meta.dirname, '../../.cache');
const FILE_SIZE = 1024 * 1024;
/** `[pid:isolate] 1234 ms: Scavenge 5.1 (6.8) -> 4.2 (7.3) MB, ...` */
const COLLECTION = /^\[\d+:(0x[0-9a-f]+)(?::\d+)?\].*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB/gm;

/** Bytes that were allocated up to the last collection of each engine. */
function allocatedIn(log: string): number {
  const after = new Map<string, number>();
  let mib = 0;
  for (const [, engine, before, left] of readFileSync(log, 'utf8').matchAll(COLLECTION)) {
    mib += Number(before) - (after.get(engine!) ?? 0);
    after.set(engine!, Number(left));
  }
  return mib * 2 ** 20;
}

interface Traced {
  readonly name: string;
  readonly server: ServerUnderTest;
  readonly log: string;
}

async function start(directory: string, name: string, checkout: string | undefined): Promise<Traced> {
  const own = join(directory, name);
  mkdirSync(own);
  const options = {
    nodeArguments: ['--trace-gc'],
    ...(checkout === undefined ? {} : { checkout: resolve(checkout) }),
  };
  return { name, server: await startFilerpair(own, options), log: join(own, 'output.log') };
}

async function main(): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'bench-'));
  const servers: Traced[] = [];
  try {
    servers.push(await start(directory, 'this', undefined));
    if (values.beside !== undefined) servers.push(await start(directory, 'other', values.beside));
    console.log(`| workload | ${servers.map(({ name }) => name).join(' | ')} |`);
    console.log(`| --- |${' ---: |'.repeat(servers.length)}`);
    for (const workload of workloadsNamed(values.only ?? workloadNames)) {
      const single = workload.endsWith('1x1');
      const rounds = new Map<Traced, number[]>(servers.map((each) => [each, []]));
      for (let round = 0; round < Number(values.rounds); round++) {
        for (const each of inTurn(servers, round)) {
          const seen: number[] = [];
          const load = { connections: single ? 1 : 4, depth: single ? 1 : 16, fileSize: FILE_SIZE };
          const times = { warmUpMs: 500, measureMs: Number(values.ms) };
          const request = { ...addressOf(each.server), workload, ...load, ...times };
          const { operations } = await runGenerator(request, each.server, () =>
            seen.push(allocatedIn(each.log)),
          );
          rounds.get(each)!.push((seen[1]! - seen[0]!) / operations);
        }
      }
      const cells = servers.map((each) => median(rounds.get(each)!).toFixed(0));
      console.log(`| ${workload} | ${cells.join(' | ')} |`);
    }
  } finally {
    for (const { server } of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
