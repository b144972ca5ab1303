// Which system calls a server makes for an operation, ours and nfs-ganesha, counted by strace (Debian: strace; as root).
//
//   node bench/system-calls/main.ts [--only read4k]... [--built] [--ms 3000]
//
// A traced process is several times as slow: only the counts say anything. They are of all threads, and contain what there is
// to set up a run: some dozen calls beside thousands of operations.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runGenerator } from '../comparison.ts';
import { type WorkloadName, workloadNames } from '../generator/messages.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { ganeshaVersion, startGanesha } from '../servers/ganesha.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';

const ROOT = join(import.meta.dirname, '../..');
const FILE_SIZE = 4 * 1024 * 1024;
const CONNECTIONS = 4;
const DEPTH = 16;
/** Until strace has taken hold of every thread. */
const ATTACH_MS = 1000;
/** Rarer than this for an operation: summed up as `others`. */
const SHOWN_MIN = 0.02;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    built: { type: 'boolean', default: false },
    ms: { type: 'string', default: '3000' },
  },
});

/** Calls by name in strace's summary: `% time, seconds, usecs/call, calls, errors (may be missing), syscall`. */
function callsIn(summary: string): Map<string, number> {
  const lines = summary.matchAll(/^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$/gm);
  const calls = [...lines].filter(([, , name]) => name !== 'total');
  return new Map(calls.map(([, count, name]) => [name!, Number(count)]));
}

async function count(server: ServerUnderTest, workload: WorkloadName, directory: string): Promise<string> {
  const summary = join(directory, 'summary');
  const args = ['--follow-forks', '--summary-only', '--output', summary, '--attach', String(server.pid)];
  const strace = spawn('strace', args, { stdio: 'ignore' });
  const ended = once(strace, 'exit');
  await once(strace, 'spawn');
  await delay(ATTACH_MS);
  const { host, port, mountPort, exportPath } = server;
  const load = { connections: CONNECTIONS, depth: DEPTH, fileSize: FILE_SIZE };
  const request = {
    host,
    port,
    mountPort,
    exportPath,
    workload,
    ...load,
    warmUpMs: 0,
    measureMs: Number(values.ms),
  };
  try {
    const { operations } = await runGenerator(request, server);
    strace.kill('SIGINT');
    await ended;
    return describe(callsIn(readFileSync(summary, 'utf8')), operations);
  } finally {
    strace.kill('SIGINT');
  }
}

function describe(calls: ReadonlyMap<string, number>, operations: number): string {
  const all = [...calls].map(([name, count]) => ({ name, each: count / operations }));
  const sum = all.reduce((total, { each }) => total + each, 0);
  const shown = all.filter(({ each }) => each >= SHOWN_MIN).toSorted((a, b) => b.each - a.each);
  const others = sum - shown.reduce((total, { each }) => total + each, 0);
  const words = shown.map(({ name, each }) => `${name} ${each.toFixed(2)}`);
  return `${sum.toFixed(2)} | ${words.join(', ')}, others ${others.toFixed(2)}`;
}

async function main(): Promise<void> {
  const workloads =
    (values.only as WorkloadName[] | undefined) ?? workloadNames.filter((name) => !name.endsWith('1x1'));
  const cache = join(ROOT, '.cache');
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, 'bench-'));
  const servers: ServerUnderTest[] = [];
  try {
    for (const name of ['filerpair', 'ganesha']) mkdirSync(join(directory, name));
    servers.push(
      await startFilerpair(join(directory, 'filerpair'), { nodeArguments: [], built: values.built }),
    );
    const version = ganeshaVersion();
    if (version !== null) servers.push(await startGanesha(join(directory, 'ganesha'), version));
    console.log(
      '| workload | server | system calls for each operation | which |\n| --- | --- | ---: | --- |',
    );
    for (const workload of workloads) {
      for (const server of servers) {
        console.log(`| ${workload} | ${server.name} | ${await count(server, workload, directory)} |`);
      }
    }
  } finally {
    for (const server of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
