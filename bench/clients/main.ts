/** Several client implementations on FilerPair and on nfs-ganesha: our own library, libnfs, and the Linux kernel's client. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readGuestImage } from '../../e2e/environment.ts';
import { Guest, HOST_IN_GUEST } from '../../e2e/linux/guest.ts';
import { run } from '../../e2e/machine/command.ts';
import { needPackages } from '../../e2e/machine/debian-packages.ts';
import { ratioOf } from '../comparison.ts';
import { inTurn, median } from '../rounds.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';
import { withServersSideBySide } from '../servers/side-by-side.ts';
import { ratioCell } from '../table.ts';
import { type Figures, type Workload, workloads } from './figures.ts';
import { runLibrary } from './library.ts';

//   node bench/clients/main.ts [--ms 2000] [--rounds 3] [--only library|libnfs|kernel]
//
// Each does the same work, one operation after the other: writes and reads of 64 MiB in pieces of 1 MiB, a file's attributes, a
// create and a remove. (The kernel and our library stream with several calls in flight.) The kernel's client runs in an emulated
// machine (docs/testing.md): its own time is most of what it measures, so only its ratio says anything. In rounds that alternate
// between the servers: medians of rates, and of ratios the median, the least and the greatest. `make clients` prepares what
// libnfs and the guest need; Debian's libnfs-dev and gcc build the load.

type Client = (server: ServerUnderTest, forMs: number) => Promise<Map<Workload, Figures>>;

const GUEST_MS_MAX = 10 * 60_000;

const { values } = parseArgs({
  options: {
    ms: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true },
  },
});

/** Built once for each client: load.c with the client's own half. */
function build(directory: string, client: 'libnfs' | 'mounted', flags: readonly string[]): string {
  const program = join(directory, client);
  const sources = ['load.c', `${client}.c`].map((name) => join(import.meta.dirname, name));
  execFileSync('gcc', ['-std=gnu17', '-O2', '-Wall', '-o', program, ...sources, ...flags]);
  return program;
}

function figuresIn(said: string): Map<Workload, Figures> {
  const lines = [...said.matchAll(/^WORKLOAD (\w+) (\d+) ([\d.]+)$/gm)];
  return new Map(
    lines.map(([, name, operations, ms]) => [
      name as Workload,
      { operations: Number(operations), ms: Number(ms) },
    ]),
  );
}

function clients(directory: string): Readonly<Record<string, () => Client>> {
  return {
    library:
      () =>
      ({ host, port, mountPort, exportPath }, forMs) =>
        runLibrary(`nfs://${host}:${port}${exportPath}?alone&mountport=${mountPort}`, forMs),
    libnfs: () => {
      const program = build(directory, 'libnfs', ['-lnfs']);
      return async ({ host, port, mountPort, exportPath }, forMs) => {
        const url = `nfs://${host}${exportPath}?nfsport=${port}&mountport=${mountPort}&version=3&uid=0&gid=0`;
        return figuresIn(await run([program, url, String(forMs)]));
      };
    },
    kernel: () => {
      const program = build(directory, 'mounted', ['-static']);
      return async ({ port, mountPort, exportPath }, forMs) => {
        const options = `vers=3,proto=tcp,port=${port},mountport=${mountPort},mountproto=tcp,nolock,hard,noresvport,actimeo=0`;
        const script = `set -e
mkdir -p /mnt/nfs && mount -t nfs -o ${options} ${HOST_IN_GUEST}:${exportPath} /mnt/nfs
./mounted /mnt/nfs ${forMs}
umount /mnt/nfs
`;
        const guest = await Guest.boot(readGuestImage(), script, [program]);
        try {
          if ((await guest.exitCode(GUEST_MS_MAX)) !== 0) throw new Error(guest.output());
          return figuresIn(guest.output());
        } finally {
          await guest.discard();
        }
      };
    },
  };
}

async function compare(
  client: Client,
  servers: readonly ServerUnderTest[],
): Promise<(workload: Workload) => number[][]> {
  const rates = servers.map(() => new Map<Workload, number[]>(workloads.map((workload) => [workload, []])));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const index of inTurn([...servers.keys()], round)) {
      const found = await client(servers[index]!, Number(values.ms));
      for (const [workload, { operations, ms }] of found)
        rates[index]!.get(workload)!.push((operations * 1000) / ms);
    }
  }
  return (workload) => rates.map((one) => one.get(workload)!);
}

async function main(): Promise<void> {
  await needPackages(['gcc', 'libc6-dev', 'libnfs-dev'], 'Measuring with libnfs');
  await withServersSideBySide({ built: false }, async (servers, directory) => {
    console.log(
      `| client | workload | ${servers.map(({ title }) => `${title}, per second`).join(' | ')} | ratio |`,
    );
    console.log(`| --- | --- | ${servers.map(() => '---:').join(' | ')} | ---: |`);
    for (const [name, prepare] of Object.entries(clients(directory))) {
      if (values.only !== undefined && !values.only.includes(name)) continue;
      const ratesOf = await compare(prepare(), servers);
      for (const workload of workloads) {
        const rates = ratesOf(workload);
        const cells = rates.map((one) => Math.round(median(one)).toLocaleString('en'));
        const [ours, theirs] = rates;
        const ratio = ratioCell(theirs && ratioOf(ours!, theirs));
        console.log(`| ${name} | ${workload} | ${cells.join(' | ')} | ${ratio} |`);
      }
    }
  });
}

await main();
