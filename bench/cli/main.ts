/** The `cp` of this checkout beside that of an earlier revision: many small files and a large one, both ways, interleaved on one server. */

import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { describeMachine } from '../machine.ts';
import { inTurn, median } from '../rounds.ts';
import { startFilerpair } from '../servers/filerpair.ts';

//   node bench/cli/main.ts [--revision 87b8449e] [--rounds 5] [--files 2000] [--mib 1024]
//
// Both programs run as bundles, as they are installed. The earlier one is built from a work tree of the revision with the packages
// of this checkout. Data and volume lie in .cache, on one file system. Writes out/cli.json.

const ROOT = join(import.meta.dirname, '../..');
const SMALL_SIZE = 4096;
const MIB = 1024 * 1024;
const run = promisify(execFile);

const { values } = parseArgs({
  options: {
    revision: { type: 'string', default: '87b8449e' },
    rounds: { type: 'string', default: '5' },
    files: { type: 'string', default: '2000' },
    mib: { type: 'string', default: '1024' },
  },
});

const directory = mkdtempSync(join(ROOT, '.cache', 'bench-cli-'));
const at = (...names: string[]): string => join(directory, ...names);

/** Bundles of a checkout; returns the program. */
function bundled(checkout: string, name: string): string {
  execFileSync(process.execPath, ['scripts/bundle.ts', at(name)], { cwd: checkout });
  return at(name, 'client/cli/main.js');
}

function earlier(): string {
  const tree = at('tree-of-earlier');
  execFileSync('git', ['worktree', 'add', '--detach', tree, values.revision], { cwd: ROOT, stdio: 'ignore' });
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  return bundled(tree, 'earlier');
}

function makeSources(): void {
  mkdirSync(at('small'));
  for (let i = 0; i < Number(values.files); i++)
    writeFileSync(at('small', `file-${i}`), Buffer.alloc(SMALL_SIZE, i % 251));
  writeFileSync(at('large'), '');
  for (let i = 0; i < Number(values.mib); i++)
    writeFileSync(at('large'), Buffer.alloc(MIB, i % 251), { flag: 'a' });
}

type Name = 'now' | 'earlier';
type Work = 'small files up' | 'small files down' | 'large file up' | 'large file down';
const seconds: Record<Work, Record<Name, number[]>> = {
  'small files up': { now: [], earlier: [] },
  'small files down': { now: [], earlier: [] },
  'large file up': { now: [], earlier: [] },
  'large file down': { now: [], earlier: [] },
};

async function measure(): Promise<void> {
  const programs: readonly (readonly [Name, string])[] = [
    ['now', bundled(ROOT, 'now')],
    ['earlier', earlier()],
  ];
  makeSources();
  mkdirSync(at('server'));
  const server = await startFilerpair(at('server'), { nodeArguments: [] });
  const url = (path: string): string =>
    `nfs://${server.host}:${server.port}${server.exportPath}/${path}?alone`;
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [name, program] of inTurn(programs, round)) {
        const timed = async (work: Work, ...args: string[]): Promise<void> => {
          const begun = performance.now();
          await run(process.execPath, [program, 'cp', ...args]);
          const took = (performance.now() - begun) / 1000;
          seconds[work][name].push(took);
          console.log(`round ${round}  ${work.padEnd(16)}  ${name.padEnd(7)}  ${took.toFixed(2)} s`);
        };
        // Each time under new names: nothing is replaced, and nothing is in a cache of a name.
        const own = `${round}-${name}`;
        await timed('small files up', '-r', at('small'), url(own));
        await timed('small files down', '-r', url(own), at(`back-${own}`));
        await timed('large file up', at('large'), url(`large-${own}`));
        await timed('large file down', url(`large-${own}`), at(`large-back-${own}`));
        await run(process.execPath, [program, 'rm', '-r', url(own), url(`large-${own}`)]);
        for (const copy of [`back-${own}`, `large-back-${own}`]) rmSync(at(copy), { recursive: true });
      }
    }
  } finally {
    await server.stop();
  }
}

try {
  await measure();
  const figures = Object.fromEntries(
    Object.entries(seconds).map(([work, { now, earlier: before }]) => {
      const ratios = before.map((each, round) => each / now[round]!);
      console.log(
        `${work}: ${median(now).toFixed(2)} s, earlier ${median(before).toFixed(2)} s: ${median(ratios).toFixed(2)} times as fast`,
      );
      return [
        work,
        { now, earlier: before, timesAsFast: { median: median(ratios), least: Math.min(...ratios) } },
      ];
    }),
  );
  const { revision, files, mib } = values;
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  writeFileSync(
    join(ROOT, 'out/cli.json'),
    `${JSON.stringify({ machine: describeMachine(), revision, files: Number(files), mib: Number(mib), figures }, null, 2)}\n`,
  );
} finally {
  execFileSync('git', ['worktree', 'remove', '--force', at('tree-of-earlier')], {
    cwd: ROOT,
    stdio: 'ignore',
  });
  rmSync(directory, { recursive: true, force: true });
}
