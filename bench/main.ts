// Compares our file server with nfs-ganesha on this machine: `node bench/main.ts [--quick] [--only WORKLOAD]...
// [--server filerpair|ganesha] [--profile DIRECTORY] [--built]`. Writes out/bench.json and a table.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Plan } from './comparison.ts';
import { compare } from './comparison.ts';
import type { WorkloadName } from './generator/messages.ts';
import { workloadNames } from './generator/messages.ts';
import { describeMachine } from './machine.ts';
import { startFilerpair } from './servers/filerpair.ts';
import { ganeshaVersion, startGanesha } from './servers/ganesha.ts';
import type { ServerUnderTest } from './servers/server-under-test.ts';
import { memoryLines, tableHead, tableRow } from './table.ts';

const ROOT = join(import.meta.dirname, '..');
const QUICK = { rounds: 1, warmUpMs: 500, measureMs: 1000 };
const FULL = { rounds: 3, warmUpMs: 1000, measureMs: 3000 };

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    server: { type: 'string' },
    connections: { type: 'string', default: '4' },
    depth: { type: 'string', default: '16' },
    profile: { type: 'string' },
    built: { type: 'boolean', default: false },
  },
});

function chosenWorkloads(): readonly WorkloadName[] {
  if (values.only === undefined) return workloadNames;
  for (const name of values.only) {
    if (workloadNames.includes(name as WorkloadName)) continue;
    throw new Error(`there is no workload ${name}; there are ${workloadNames.join(', ')}`);
  }
  return values.only as WorkloadName[];
}

async function startServers(directory: string): Promise<ServerUnderTest[]> {
  const servers: ServerUnderTest[] = [];
  try {
    if (values.server !== 'ganesha') servers.push(await startOurs(join(directory, 'filerpair')));
    const version = ganeshaVersion();
    if (values.server !== 'filerpair') {
      if (version === null) console.log('nfs-ganesha is not installed here, so FilerPair is measured alone.');
      else servers.push(await startTheirs(join(directory, 'ganesha'), version));
    }
    return servers;
  } catch (error) {
    for (const server of servers) await server.stop();
    throw error;
  }
}

function startOurs(directory: string): Promise<ServerUnderTest> {
  mkdirSync(directory);
  const nodeArguments =
    values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  return startFilerpair(directory, { nodeArguments, built: values.built });
}

function startTheirs(directory: string, version: string): Promise<ServerUnderTest> {
  mkdirSync(directory);
  return startGanesha(directory, version);
}

async function main(): Promise<void> {
  const [connections, depth] = [Number(values.connections), Number(values.depth)];
  const plan: Plan = { workloads: chosenWorkloads(), connections, depth, ...(values.quick ? QUICK : FULL) };
  const cache = join(ROOT, '.cache');
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, 'bench-'));
  const machine = describeMachine();
  console.log(`${machine.cores} cores (${machine.processor}), ${machine.kernel}, Node ${machine.node}`);
  const servers = await startServers(directory);
  try {
    console.log(tableHead());
    const figures = await compare(servers, plan, (workload) => console.log(tableRow(workload)));
    for (const line of memoryLines(figures)) console.log(line);
    const titles = Object.fromEntries(servers.map((server) => [server.name, server.title]));
    const result = { measuredAt: new Date().toISOString(), machine, servers: titles, plan, ...figures };
    mkdirSync(join(ROOT, 'out'), { recursive: true });
    writeFileSync(join(ROOT, 'out/bench.json'), `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    for (const server of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
