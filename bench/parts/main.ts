/** What single parts of the server cost or bring: the figures of /metrics, and threads that poll after a lone call. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type WorkloadName, workloadNames } from '../generator/messages.ts';
import { type FilerpairOptions, startFilerpair } from '../servers/filerpair.ts';
import { memoryOf } from '../servers/process-figures.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';
import { compareVariants } from '../variants.ts';

//   node bench/parts/main.ts [--rounds 5] [--ms 1000] [--only 'never awake']
//
// The same server with and without the part, at the same time, in turns. Prints a table; the ratio is to the server as it
// is. `small engines` runs the compiled server (`make build`).

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
});

/** Engines that compile functions when they are called first, and have no helper threads of their own. */
const SMALL_ENGINES = ['--max-lazy', '--single-threaded-gc', '--v8-pool-size=1'];

const AS_IT_IS = 'as it is';
const PARTS: readonly {
  name: string;
  /** Of both servers. */
  both?: Partial<FilerpairOptions>;
  without: Partial<FilerpairOptions>;
  workloads: readonly WorkloadName[];
}[] = [
  {
    name: 'no figures',
    without: { failpoints: { uncounted: true } },
    workloads: ['getattr', 'read4k', 'write4k'],
  },
  {
    name: 'never awake',
    without: { settings: { threads: { stayAwake: false } } },
    workloads: ['getattr1x1', 'read4k1x1'],
  },
  {
    name: 'small engines',
    both: { built: true },
    without: { nodeArguments: SMALL_ENGINES },
    workloads: workloadNames,
  },
];

const CACHE = join(import.meta.dirname, '../../.cache');

async function compare({ name, both, without, workloads }: (typeof PARTS)[number]): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'bench-'));
  const servers = new Map<string, ServerUnderTest>();
  try {
    for (const [variant, settings] of [
      [AS_IT_IS, {}],
      [name, without],
    ] as const) {
      const own = join(directory, variant.replaceAll(' ', '-'));
      mkdirSync(own);
      servers.set(variant, await startFilerpair(own, { nodeArguments: [], ...both, ...settings }));
    }
    for (const workload of workloads) {
      const single = workload.endsWith('1x1');
      const figures = await compareVariants(servers, {
        workload,
        rounds: Number(values.rounds),
        measureMs: Number(values.ms),
        connections: single ? 1 : 4,
        depth: single ? 1 : 16,
      });
      const whole = figures.get(AS_IT_IS)!.perSecond;
      for (const [variant, { perSecond, p50Us, p99Us, cpuUs }] of figures) {
        const cells = [
          Math.round(perSecond),
          `${Math.round(p50Us)} / ${Math.round(p99Us)}`,
          cpuUs.toFixed(1),
        ];
        console.log(
          `| ${workload} | ${variant} | ${cells.join(' | ')} | ${(perSecond / whole).toFixed(2)} |`,
        );
      }
    }
    for (const [variant, { pid }] of servers) {
      const { resident, peak } = memoryOf(pid);
      console.log(`${variant}: ${resident.toFixed(0)} MiB resident, ${peak.toFixed(0)} at most`);
    }
  } finally {
    for (const server of servers.values()) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

console.log('| workload | server | per second | p50 / p99 us | cpu us | ratio |');
console.log('| --- | --- | ---: | ---: | ---: | ---: |');
for (const part of PARTS) if (values.only === undefined || values.only === part.name) await compare(part);
