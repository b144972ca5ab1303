/** The client side of this checkout beside that of another one, both on one server of this checkout. */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { freePorts } from '../../testing/free-ports.ts';
import { type Figures, type Workload, workloads } from '../clients/figures.ts';
import { compare, type Plan, type Ratio, ratioOf } from '../comparison.ts';
import { workloadsNamed } from '../generator/messages.ts';
import { inTurn } from '../rounds.ts';
import { startProcess } from '../servers/child-process.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { type ServerUnderTest, waitForPort } from '../servers/server-under-test.ts';
import { ratioCell, tableHead, tableRow } from '../table.ts';

//   node bench/revisions/main.ts CHECKOUT [--rounds 5] [--ms 2000] [--only library|proxy]
//
// library: the work of bench/clients through each checkout's library. proxy: the loads of bench/main.ts through each checkout's
// proxy. CHECKOUT has its packages installed. Writes out/revisions.json.

const ROOT = join(import.meta.dirname, '../..');
const LIBRARY_PROCESS = join(import.meta.dirname, 'library-process.ts');
const PROXY_WORKLOADS = ['getattr', 'read4k', 'read1m', 'write4k', 'write1m', 'createRemove'];
const START_TIMEOUT_MS = 30_000;
const run = promisify(execFile);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '2000' },
    only: { type: 'string' },
  },
});
const [other] = positionals;
if (other === undefined) throw new Error('missing argument: CHECKOUT');
const checkouts = [ROOT, resolve(other)];
const rounds = Number(values.rounds);
const measureMs = Number(values.ms);

const urlOf = ({ host, port, exportPath }: ServerUnderTest): string =>
  `nfs://${host}:${port}${exportPath}?alone`;

async function compareLibraries(server: ServerUnderTest): Promise<Partial<Record<Workload, Ratio>>> {
  const rates = checkouts.map(() => new Map<Workload, number[]>(workloads.map((workload) => [workload, []])));
  for (let round = 0; round < rounds; round++) {
    for (const index of inTurn([...checkouts.keys()], round)) {
      const args = [LIBRARY_PROCESS, checkouts[index]!, urlOf(server), String(measureMs)];
      const { stdout } = await run(process.execPath, args);
      for (const [workload, figures] of JSON.parse(stdout) as [Workload, Figures][])
        rates[index]!.get(workload)!.push((figures.operations * 1000) / figures.ms);
    }
  }
  const ratios: Partial<Record<Workload, Ratio>> = {};
  for (const workload of workloads) {
    const ratio = ratioOf(rates[0]!.get(workload)!, rates[1]!.get(workload)!);
    console.log(`library ${workload}: ${ratioCell(ratio)}`);
    ratios[workload] = ratio;
  }
  return ratios;
}

async function startProxy(
  server: ServerUnderTest,
  checkout: string,
  directory: string,
): Promise<ServerUnderTest> {
  const [port] = (await freePorts(1)) as [number];
  const main = join(checkout, 'client/cli/main.ts');
  const args = [main, 'proxy', urlOf(server), '--listen', `127.0.0.1:${port}`];
  const { pid, stop, gone } = await startProcess(
    process.execPath,
    args,
    join(directory, `proxy-${port}.log`),
  );
  await waitForPort('127.0.0.1', port, START_TIMEOUT_MS, gone);
  const ours = checkout === ROOT;
  return {
    ...server,
    name: ours ? 'filerpair' : 'other revision',
    title: `proxy of ${checkout}`,
    port,
    mountPort: port,
    pid,
    stop,
  };
}

async function compareProxies(server: ServerUnderTest, directory: string): Promise<object> {
  const proxies: ServerUnderTest[] = [];
  const plan: Plan = {
    workloads: workloadsNamed(PROXY_WORKLOADS),
    rounds,
    warmUpMs: 500,
    measureMs,
    connections: 4,
    depth: 16,
  };
  try {
    for (const checkout of checkouts) proxies.push(await startProxy(server, checkout, directory));
    console.log(tableHead('other revision'));
    return await compare(proxies, plan, (figures) => console.log(tableRow(figures)));
  } finally {
    for (const proxy of proxies) await proxy.stop();
  }
}

mkdirSync(join(ROOT, '.cache'), { recursive: true });
const directory = mkdtempSync(join(ROOT, '.cache/bench-'));
const server = await startFilerpair(directory, { nodeArguments: [] });
try {
  const library = values.only === 'proxy' ? null : await compareLibraries(server);
  const proxy = values.only === 'library' ? null : await compareProxies(server, directory);
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const result = { measuredAt: new Date().toISOString(), rounds, measureMs, library, proxy };
  writeFileSync(join(ROOT, 'out/revisions.json'), `${JSON.stringify(result, null, 2)}\n`);
} finally {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
