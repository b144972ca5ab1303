/** Which system calls a server makes for an operation, ours and nfs-ganesha, counted by strace (Debian: strace; as root). */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { needPackages } from '../../e2e/machine/debian-packages.ts';
import { runGenerator } from '../comparison.ts';
import { type WorkloadName, workloadNames, workloadsNamed } from '../generator/messages.ts';
import { addressOf, type ServerUnderTest } from '../servers/server-under-test.ts';
import { withServersSideBySide } from '../servers/side-by-side.ts';

//   node bench/system-calls/main.ts [--only read4k]... [--built] [--ms 3000]
//
// A traced process is several times as slow: only the counts say anything. They are of all threads, and contain what there is
// to set up a run: some dozen calls beside thousands of operations.

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
  const load = { workload, connections: CONNECTIONS, depth: DEPTH, fileSize: FILE_SIZE };
  const request = { ...addressOf(server), ...load, warmUpMs: 0, measureMs: Number(values.ms) };
  const { operations } = await runGenerator(request, server).finally(async () => {
    strace.kill('SIGINT');
    await ended;
  });
  return describe(callsIn(readFileSync(summary, 'utf8')), operations);
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
  await needPackages(['strace'], 'Counting system calls');
  const workloads = workloadsNamed(values.only ?? workloadNames.filter((name) => !name.endsWith('1x1')));
  await withServersSideBySide({ built: values.built }, async (servers, directory) => {
    console.log(
      '| workload | server | system calls for each operation | which |\n| --- | --- | ---: | --- |',
    );
    for (const workload of workloads) {
      for (const server of servers) {
        console.log(`| ${workload} | ${server.name} | ${await count(server, workload, directory)} |`);
      }
    }
  });
}

main().catch((error: Error) => {
  console.error(`system-calls: ${error.message}`);
  process.exitCode = 1;
});
