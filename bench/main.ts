/** Compares our file server with nfs-ganesha on this machine. Writes out/bench.json and a table. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type FileSystemType,
  LoopMount,
  makeImage,
  missingForDisks,
  RecordingDisk,
  workDirectory,
} from '../e2e/disk/recording-disk.ts';
import type { ComparisonFigures, Plan, WorkloadFigures } from './comparison.ts';
import { compare } from './comparison.ts';
import { workloadNames, workloadsNamed } from './generator/messages.ts';
import { describeMachine } from './machine.ts';
import { inBothPlaces } from './places.ts';
import { startFilerpair } from './servers/filerpair.ts';
import { ganeshaVersion, startGanesha } from './servers/ganesha.ts';
import type { ServerUnderTest } from './servers/server-under-test.ts';
import { memoryLines, tableHead, tableRow } from './table.ts';

// node bench/main.ts [--quick] [--only WORKLOAD]... [--rounds 15] [--server filerpair|ganesha] [--beside CHECKOUT]
//                    [--profile DIRECTORY] [--built] [--file-system ext4|xfs|btrfs] [--flush-ms 5]
//
// With --beside all rounds run twice, the second time with the directories made in the other order: the place on the file system counts.
// With --file-system the data of both servers lies on a loop device in memory, on a new file system of its kind (root only); with
// --flush-ms as well, on one whose flushes take that long. Without, in .cache. --beside CHECKOUT: the peer is the server of
// another checkout of this project, its packages installed, not nfs-ganesha.

const ROOT = join(import.meta.dirname, '..');
const QUICK = { rounds: 1, warmUpMs: 500, measureMs: 1000 };
const FULL = { rounds: 3, warmUpMs: 1000, measureMs: 3000 };

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', multiple: true },
    server: { type: 'string' },
    beside: { type: 'string' },
    connections: { type: 'string', default: '4' },
    depth: { type: 'string', default: '16' },
    profile: { type: 'string' },
    built: { type: 'boolean', default: false },
    'file-system': { type: 'string' },
    'flush-ms': { type: 'string' },
  },
});

/** Holds the files of both servers, with room for their file systems' own. */
const DISK_MIB = 3072;

interface Disk {
  /** Where the server's data is to lie. */
  readonly data: (server: string) => string;
  readonly remove: () => Promise<void>;
}

/** null: data lies with the rest of what a server has. */
async function prepareDisk(): Promise<Disk | null> {
  const type = values['file-system'] as FileSystemType | undefined;
  if (type === undefined) return null;
  const missing = missingForDisks(type);
  if (missing !== null) throw new Error(`${type}: ${missing}`);
  const flushMs = values['flush-ms'];
  return flushMs === undefined ? plainDisk(type) : slowDisk(type, Number(flushMs));
}

function plainDisk(type: FileSystemType): Disk {
  const directory = workDirectory();
  const image = join(directory, 'image');
  makeImage(image, type, DISK_MIB);
  const mounted = new LoopMount(type, image, join(directory, 'mounted'));
  const remove = async (): Promise<void> => {
    await mounted.unmount();
    rmSync(directory, { recursive: true, force: true });
  };
  return { data: (server) => directoryOf(mounted, server), remove };
}

/** Through a process of ours: slower at everything else, too, for both servers. */
async function slowDisk(type: FileSystemType, flushMs: number): Promise<Disk> {
  const disk = await RecordingDisk.make(type, { record: false, sizeMiB: DISK_MIB });
  const mounted = disk.mount();
  await disk.behave({ flushMs });
  const remove = async (): Promise<void> => {
    await disk.behave({});
    await mounted.unmount();
    await disk.discard();
  };
  return { data: (server) => directoryOf(mounted, server), remove };
}

function directoryOf(mounted: LoopMount, server: string): string {
  const path = join(mounted.path, server);
  mkdirSync(path, { recursive: true });
  return path;
}

type Data = ((server: string) => string) | undefined;

/** Ours comes first, whichever directory was `madeFirst`. */
async function startBeside(
  directory: string,
  data: Data,
  checkout: string,
  madeFirst: 'filerpair' | 'other',
): Promise<ServerUnderTest[]> {
  const servers = new Map<string, ServerUnderTest>();
  const order = madeFirst === 'filerpair' ? ['filerpair', 'other'] : ['other', 'filerpair'];
  try {
    for (const name of order) {
      const peer = name === 'other' ? resolve(checkout) : undefined;
      servers.set(name, await startOurs(join(directory, name), data?.(name), peer));
    }
  } catch (error) {
    for (const server of servers.values()) await server.stop();
    throw error;
  }
  return [servers.get('filerpair')!, servers.get('other')!];
}

async function startServers(directory: string, data: Data): Promise<ServerUnderTest[]> {
  const servers: ServerUnderTest[] = [];
  try {
    if (values.server !== 'ganesha')
      servers.push(await startOurs(join(directory, 'filerpair'), data?.('filerpair')));
    const version = ganeshaVersion();
    if (values.server !== 'filerpair') {
      if (version === null) console.log('nfs-ganesha is not installed here, so FilerPair is measured alone.');
      else servers.push(await startTheirs(join(directory, 'ganesha'), version, data?.('ganesha')));
    }
    return servers;
  } catch (error) {
    for (const server of servers) await server.stop();
    throw error;
  }
}

function startOurs(directory: string, data: string | undefined, checkout?: string): Promise<ServerUnderTest> {
  mkdirSync(directory);
  const nodeArguments =
    values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const options = { nodeArguments, built: values.built, ...(checkout === undefined ? {} : { checkout }) };
  return startFilerpair(directory, data === undefined ? options : { ...options, data });
}

function startTheirs(directory: string, version: string, data: string | undefined): Promise<ServerUnderTest> {
  mkdirSync(directory);
  return startGanesha(directory, version, data);
}

const LINES_OF_LOG = 10;

function printEnd(log: string): void {
  if (!existsSync(log)) return;
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  console.error([`${log}:`, ...lines.slice(-LINES_OF_LOG)].join('\n  '));
}

interface Run {
  readonly figures: ComparisonFigures;
  readonly titles: Readonly<Record<string, string>>;
}

/** On a file system, and in directories, of its own. */
async function run(
  cache: string,
  plan: Plan,
  start: (directory: string, data: Data) => Promise<ServerUnderTest[]>,
  onWorkload: (figures: WorkloadFigures) => void,
): Promise<Run> {
  const directory = mkdtempSync(join(cache, 'bench-'));
  const disk = await prepareDisk();
  let servers: ServerUnderTest[] = [];
  try {
    servers = await start(directory, disk?.data);
    const figures = await compare(servers, plan, onWorkload);
    return { figures, titles: Object.fromEntries(servers.map((server) => [server.name, server.title])) };
  } catch (error) {
    // Why a server did not answer stands in its log, which goes with the directory.
    for (const name of ['filerpair', 'other', 'ganesha']) printEnd(join(directory, name, 'output.log'));
    throw error;
  } finally {
    for (const server of servers) await server.stop();
    await disk?.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

const printRow = (figures: WorkloadFigures): void => console.log(tableRow(figures));

/** Beside another revision: twice, with the directories in both places. */
async function runBeside(cache: string, plan: Plan, checkout: string): Promise<Run> {
  const place = (madeFirst: 'filerpair' | 'other'): Promise<Run> =>
    run(
      cache,
      plan,
      (directory, data) => startBeside(directory, data, checkout, madeFirst),
      () => {},
    );
  const first = await place('filerpair');
  const second = await place('other');
  const figures = inBothPlaces(first.figures, second.figures);
  for (const workload of figures.workloads) printRow(workload);
  return { figures, titles: second.titles };
}

async function main(): Promise<void> {
  const [connections, depth] = [Number(values.connections), Number(values.depth)];
  const length = values.quick ? QUICK : FULL;
  const rounds = Number(values.rounds ?? length.rounds);
  const plan: Plan = {
    workloads: workloadsNamed(values.only ?? workloadNames),
    connections,
    depth,
    ...length,
    rounds,
  };
  const { beside } = values;
  const cache = join(ROOT, '.cache');
  mkdirSync(cache, { recursive: true });
  const machine = describeMachine();
  console.log(`${machine.cores} cores (${machine.processor}), ${machine.kernel}, Node ${machine.node}`);
  console.log(tableHead(beside === undefined ? 'nfs-ganesha' : 'other revision'));
  const { figures, titles } =
    beside === undefined
      ? await run(cache, plan, startServers, printRow)
      : await runBeside(cache, plan, beside);
  for (const line of memoryLines(figures)) console.log(line);
  const dataOn = { fileSystem: values['file-system'] ?? 'of .cache', flushMs: values['flush-ms'] ?? '' };
  const result = { measuredAt: new Date().toISOString(), machine, dataOn, servers: titles, plan, ...figures };
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  writeFileSync(join(ROOT, 'out/bench.json'), `${JSON.stringify(result, null, 2)}\n`);
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
