/** The proxy beside a plain forwarder in C, and beside the server without anything between: one run, round by round. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { bundleOf } from '../../scripts/programs.ts';
import { freePorts } from '../../testing/free-ports.ts';
import { type Ratio, ratioOf, runGenerator } from '../comparison.ts';
import { describeMachine } from '../machine.ts';
import { median } from '../rounds.ts';
import { startProcess } from '../servers/child-process.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { memoryOf } from '../servers/process-figures.ts';
import { addressOf, type ServerUnderTest, waitForPort } from '../servers/server-under-test.ts';
import { startForwarder } from './forwarder.ts';
import { type IdleFigures, measureIdle } from './idle.ts';
import { LOADS, type Load } from './loads.ts';

//   node bench/proxy/main.ts [--rounds 5] [--ms 2000] [--only NAME,...] [--volumes 200]
//
// All are on loopback, and the proxy is the bundle that packages hold. Writes out/proxy.json.

const ROOT = join(import.meta.dirname, '../..');
const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 90_000;
const WARM_UP_MS = 500;
/** Of files that are read or written. Bytes. */
const FILE_SIZE = 64 * 1024 * 1024;
const IDLE_MEASURE_MS = 10_000;

const ways = ['direct', 'forwarder', 'proxy'] as const;
type Way = (typeof ways)[number];

interface Rounds {
  readonly perSecond: number[];
  readonly p50Us: number[];
  /** CPU time of what is between, for one operation. */
  readonly cpuUs: number[];
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '2000' },
    only: { type: 'string', default: Object.keys(LOADS).join(',') },
    volumes: { type: 'string', default: '200' },
  },
});
const roundCount = Number(values.rounds);
const measureMs = Number(values.ms);
const names = values.only.split(',');
for (const name of names) if (LOADS[name] === undefined) throw new Error(`there is no load ${name}`);

async function startProxy(
  server: ServerUnderTest,
  port: number,
  directory: string,
): Promise<ServerUnderTest> {
  const bundles = join(directory, 'bundles');
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/bundle.ts'), bundles]);
  const main = join(bundles, bundleOf('client/cli/main.ts')!);
  const url = `nfs://${HOST}:${server.port}${server.exportPath}?alone`;
  const args = [main, 'proxy', url, '--listen', `${HOST}:${port}`];
  const started = await startProcess(process.execPath, args, join(directory, 'proxy.log'));
  await waitForPort(HOST, port, START_TIMEOUT_MS, started.gone);
  const { pid, stop } = started;
  return { ...server, name: 'other revision', title: 'the proxy', port, mountPort: port, pid, stop };
}

async function measure(load: Load, servers: Record<Way, ServerUnderTest>): Promise<Record<Way, Rounds>> {
  const figures = Object.fromEntries(ways.map((way) => [way, { perSecond: [], p50Us: [], cpuUs: [] }]));
  for (let round = 0; round < roundCount; round++) {
    // Who goes first changes from round to round.
    for (const [i] of ways.entries()) {
      const way = ways[(i + round) % ways.length]!;
      const server = servers[way];
      const request = { ...addressOf(server), ...load, fileSize: FILE_SIZE, warmUpMs: WARM_UP_MS, measureMs };
      const result = await runGenerator(request, server);
      const perSecond = (result.operations * 1000) / result.elapsedMs;
      const of = figures[way] as Rounds;
      of.perSecond.push(perSecond);
      of.p50Us.push(result.latencyUs.p50);
      of.cpuUs.push((result.serverCpu * 1e6) / perSecond);
    }
  }
  return figures as unknown as Record<Way, Rounds>;
}

interface LoadFigures {
  /** Medians of the rounds. */
  readonly perSecond: Record<Way, number>;
  readonly p50Us: Record<Way, number>;
  readonly cpuUs: Record<Way, number>;
  /** Proxy to forwarder, and proxy to direct, round by round. */
  readonly toForwarder: Ratio;
  readonly toDirect: Ratio;
}

function summarize(figures: Record<Way, Rounds>): LoadFigures {
  const medians = (of: keyof Rounds) =>
    Object.fromEntries(ways.map((way) => [way, median(figures[way][of])])) as Record<Way, number>;
  const { direct, forwarder, proxy } = figures;
  return {
    perSecond: medians('perSecond'),
    p50Us: medians('p50Us'),
    cpuUs: medians('cpuUs'),
    toForwarder: ratioOf(proxy.perSecond, forwarder.perSecond),
    toDirect: ratioOf(proxy.perSecond, direct.perSecond),
  };
}

function line(name: string, { perSecond, p50Us, toForwarder, toDirect }: LoadFigures): string {
  const rates = ways.map((way) => Math.round(perSecond[way]).toLocaleString('en').padStart(9)).join('');
  const p50 = ways.map((way) => Math.round(p50Us[way]).toString().padStart(7)).join('');
  const ratio = ({ median, least, greatest }: Ratio) =>
    `${median.toFixed(2)} (${least.toFixed(2)} to ${greatest.toFixed(2)})`.padStart(22);
  return `${name.padEnd(12)}${rates}  |${p50}  |${ratio(toForwarder)}${ratio(toDirect)}`;
}

const medianRatios = (loads: Record<string, LoadFigures>, of: 'toForwarder' | 'toDirect') =>
  Object.fromEntries(
    Object.entries(loads)
      .filter(([name]) => name !== 'getattrLone')
      .map(([name, figures]) => [name, figures[of].median]),
  );

/** What bench/kernel-path has measured stays. */
function kernelPathIn(file: string): object {
  if (!existsSync(file)) return {};
  const { kernelPath } = JSON.parse(readFileSync(file, 'utf8')) as { kernelPath?: object };
  return kernelPath === undefined ? {} : { kernelPath };
}

mkdirSync(join(ROOT, '.cache'), { recursive: true });
mkdirSync(join(ROOT, 'out'), { recursive: true });
const directory = mkdtempSync(join(ROOT, '.cache/bench-'));
const started: ServerUnderTest[] = [];
try {
  const direct = await startFilerpair(directory, { nodeArguments: [] });
  started.push(direct);
  const [forwarderPort, proxyPort] = (await freePorts(2)) as [number, number];
  const forwarder = await startForwarder(direct, forwarderPort, directory);
  started.push(forwarder);
  const proxy = await startProxy(direct, proxyPort, directory);
  started.push(proxy);
  const volumes = Number(values.volumes);
  const idle: IdleFigures | null = volumes === 0 ? null : await measureIdle(proxy, volumes, IDLE_MEASURE_MS);
  if (idle !== null) console.log(JSON.stringify(idle));
  console.log(
    `${''.padEnd(12)}${'direct, forwarder, proxy a second'.padStart(27)}  |  p50 us, the same  |  proxy to forwarder, to direct`,
  );
  const loads: Record<string, LoadFigures> = {};
  let residentMiB = 0;
  for (const name of names) {
    loads[name] = summarize(await measure(LOADS[name]!, { direct, forwarder, proxy }));
    residentMiB = Math.max(residentMiB, memoryOf(proxy.pid).resident);
    console.log(line(name, loads[name]));
  }
  const { peak } = memoryOf(proxy.pid);
  console.log(
    `memory of the proxy: ${Math.round(residentMiB)} MiB between loads, ${Math.round(peak)} MiB at most`,
  );
  const file = join(ROOT, 'out/proxy.json');
  const result = {
    measuredAt: new Date().toISOString(),
    machine: describeMachine(),
    rounds: roundCount,
    measureMs,
    ratios: medianRatios(loads, 'toForwarder'),
    toDirect: medianRatios(loads, 'toDirect'),
    lonePercentile50Us: loads['getattrLone']?.p50Us,
    memoryMiB: { loaded: residentMiB, peak },
    idle,
    loads,
    ...kernelPathIn(file),
  };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
} finally {
  for (const server of started.reverse()) await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
