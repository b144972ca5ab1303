/**
 * What it costs to execute operations once: CREATE and REMOVE with the journal as it is (one flush for a group), with two
 * flushes, and without any journal. Metadata is durable before each answer in all three.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type FileSystemType, missingForDisks, RecordingDisk } from '../../e2e/disk/recording-disk.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';
import { compareVariants } from '../variants.ts';

//   node bench/journal/main.ts [--rounds 3] [--ms 2000] [--connections 4] [--depth 16] [--only ext4]
//
// On a loop device in memory with ext4 or xfs whose flushes take 0 and 5 ms (e2e/disk/recording-disk.ts), so as root. The
// three servers run at the same time and take turns. Prints a table; the ratio is to the server without a journal.

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
        await startFilerpair(directory!, {
          nodeArguments: [],
          data: data!,
          failpoints: MODES[mode],
        }),
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
  const figures = await compareVariants(servers, {
    workload: 'createRemove',
    rounds: Number(values.rounds),
    measureMs: Number(values.ms),
    connections: Number(values.connections),
    depth: Number(values.depth),
  });
  const without = figures.get('no journal')!.perSecond;
  for (const [mode, { perSecond, p50Us }] of figures) {
    const ratio = (perSecond / without).toFixed(2);
    console.log(`| ${title} | ${mode} | ${Math.round(perSecond)} | ${Math.round(p50Us)} | ${ratio} |`);
  }
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
