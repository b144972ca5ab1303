// What it costs to execute operations once: CREATE and REMOVE with the journal as it is (one flush for a group), with two
// flushes, and without any journal. Metadata is durable before each answer in all three.
//
//   node bench/journal/main.ts [--rounds 3] [--ms 2000] [--connections 4] [--depth 16] [--only ext4]
//
// On a loop device in memory with ext4 or xfs whose flushes take 0 and 5 ms (e2e/disk/recording-disk.ts), so as root. The
// three servers run at the same time and take turns. Prints a table; the ratio is to the server without a journal.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type FileSystemType, missingForDisks, RecordingDisk } from '../../e2e/disk/recording-disk.ts';
import { runGenerator } from '../comparison.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '4' },
    depth: { type: 'string', default: '16' },
    only: { type: 'string' },
  },
});

const MODES = {
  'no journal': { journalDisabled: true },
  'one flush': {},
  'two flushes': { intents: 'flush' },
} as const;
type Mode = keyof typeof MODES;

const FLUSH_MS = [0, 5];
const DISK_SIZE_MIB = 640;

async function measure(type: FileSystemType): Promise<void> {
  const disk = await RecordingDisk.make(type, { record: false, sizeMiB: DISK_SIZE_MIB });
  const mounted = disk.mount();
  const servers = new Map<Mode, ServerUnderTest>();
  try {
    for (const mode of Object.keys(MODES) as Mode[]) {
      // Only the volume lies on the disk: leases are renewed whatever it does.
      const [directory, data] = [disk.directory, mounted.path].map((path) =>
        join(path, mode.replace(' ', '-')),
      );
      for (const path of [directory!, data!]) mkdirSync(path);
      servers.set(
        mode,
        await startFilerpair(directory!, { nodeArguments: [], data: data!, testing: MODES[mode] }),
      );
    }
    for (const flushMs of FLUSH_MS) {
      await disk.behave({ flushMs });
      await compareModes(`${type}, flush ${flushMs} ms`, servers);
    }
  } finally {
    await disk.behave({});
    for (const server of servers.values()) await server.stop();
    mounted.unmount();
    await disk.discard();
  }
}

async function compareModes(title: string, servers: ReadonlyMap<Mode, ServerUnderTest>): Promise<void> {
  const rates = new Map<Mode, number[]>();
  const latencies = new Map<Mode, number[]>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [mode, server] of servers) {
      const { host, port, mountPort, exportPath } = server;
      const { operations, elapsedMs, latencyUs } = await runGenerator(
        {
          ...{ host, port, mountPort, exportPath, workload: 'createRemove', fileSize: 1024 * 1024 },
          connections: Number(values.connections),
          depth: Number(values.depth),
          warmUpMs: 500,
          measureMs: Number(values.ms),
        },
        server,
      );
      rates.set(mode, [...(rates.get(mode) ?? []), (operations * 1000) / elapsedMs]);
      latencies.set(mode, [...(latencies.get(mode) ?? []), latencyUs.p50]);
    }
  }
  const without = median(rates.get('no journal')!);
  for (const mode of servers.keys()) {
    const rate = median(rates.get(mode)!);
    const p50 = Math.round(median(latencies.get(mode)!));
    console.log(`| ${title} | ${mode} | ${Math.round(rate)} | ${p50} | ${(rate / without).toFixed(2)} |`);
  }
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

console.log(
  '| disk | mode | CREATE + REMOVE a second | p50 us | ratio |\n| --- | --- | ---: | ---: | ---: |',
);
for (const type of ['ext4', 'xfs'] as const) {
  if (values.only !== undefined && values.only !== type) continue;
  const missing = missingForDisks(type);
  if (missing !== null) console.log(`${type}: skipped, ${missing}`);
  else await measure(type);
}
