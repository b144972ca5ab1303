// Do tests notice faults in the code that safety depends on? Makes one small fault at a time in a copy of the checkout, runs
// the tests that have to notice it, and lists those that nobody did.
//
//   node mutants/main.ts [--area NAME] [--file PATH] [--changed REF] [--count N] [--seconds N] [--seed N]
//
// changed: only files that differ from that commit; when none does, all. count: so many mutants at random. seconds: stops after
// that, and uses only tests that are quick. Writes out/mutants.json: run, killed, explained, survived, and the survivors.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../protocol/testing/seeded-random.ts';
import { AREAS, type Area } from './areas.ts';
import { EXPLAINED, type Explained } from './explained.ts';
import { applied, type Mutant, mutantsOf } from './mutate.ts';
import { TestRunner } from './test-runner.ts';

const { values } = parseArgs({
  options: {
    area: { type: 'string' },
    file: { type: 'string' },
    changed: { type: 'string' },
    count: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});

const ROOT = join(import.meta.dirname, '..');
/** A mutant may make a test wait for ever: it has so many times what it takes otherwise, and this on top. */
const PATIENCE = 4;
const PATIENCE_MS = 20_000;
/** With --seconds, of each area: tests that take longer together are left out. */
const QUICK_MS = 15_000;

/** A test file, and how long it takes without a mutant. */
interface Timed {
  readonly test: string;
  readonly ms: number;
  /** Mutants that it has noticed. */
  kills: number;
}

function git(...args: string[]): string[] {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(Boolean);
}

/** What is committed or would be; packages are shared. */
function copyCheckout(): string {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const copy = mkdtempSync(join(ROOT, '.cache/mutants-'));
  for (const file of git('ls-files', '--cached', '--others', '--exclude-standard')) {
    mkdirSync(join(copy, dirname(file)), { recursive: true });
    copyFileSync(join(ROOT, file), join(copy, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** The area's tests without a mutant. Throws when one fails: then nothing could be told. */
async function timeTests(runner: TestRunner, { name, tests }: Area, quick: boolean): Promise<Timed[]> {
  const timed: Timed[] = [];
  let sumMs = 0;
  for (const test of tests) {
    const limitMs = quick ? QUICK_MS - sumMs : 15 * 60_000;
    const begun = performance.now();
    const outcome = await runner.run({ changed: [], tests: [test] }, limitMs);
    const ms = performance.now() - begun;
    if (outcome === 'failed') throw new Error(`${name}: ${test} fails without a mutant`);
    if (outcome === 'late') break;
    timed.push({ test, ms, kills: 0 });
    sumMs += ms;
  }
  return timed;
}

/** Those first that have noticed most mutants for their time: the first that fails is enough. */
function inOrder(tests: readonly Timed[]): Timed[] {
  const worth = ({ ms, kills }: Timed): number => (kills + 1) / ms;
  return [...tests].sort((one, other) => worth(other) - worth(one));
}

async function isKilled(
  runner: TestRunner,
  copy: string,
  mutant: Mutant,
  tests: readonly Timed[],
): Promise<boolean> {
  const path = join(copy, mutant.file);
  const text = readFileSync(join(ROOT, mutant.file), 'utf8');
  const changed = [path];
  writeFileSync(path, applied(text, mutant));
  try {
    for (const timed of inOrder(tests)) {
      const { test, ms } = timed;
      if ((await runner.run({ changed, tests: [test] }, ms * PATIENCE + PATIENCE_MS)) === 'passed') continue;
      timed.kills += 1;
      return true;
    }
    return false;
  } finally {
    writeFileSync(path, text);
    await runner.run({ changed, tests: [] }, PATIENCE_MS);
  }
}

const lineOf = ({ file, line }: Mutant): string =>
  readFileSync(join(ROOT, file), 'utf8').split('\n')[line - 1]!;

function explains(one: Explained, mutant: Mutant): boolean {
  const { file, code, becomes } = mutant;
  return (
    one.file === file && one.code === code && one.becomes === becomes && lineOf(mutant).includes(one.line)
  );
}

function chosenFiles(): readonly string[] {
  const all = AREAS.filter(({ name }) => values.area === undefined || name === values.area).flatMap(
    ({ files }) => files,
  );
  if (values.file !== undefined) return all.filter((file) => file === values.file);
  if (values.changed === undefined) return all;
  const differing = git('diff', '--name-only', values.changed);
  const changed = all.filter((file) => differing.includes(file));
  return changed.length === 0 ? all : changed;
}

function shuffled<T>(list: readonly T[], random: SeededRandom): T[] {
  const rest = [...list];
  return list.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}

async function main(): Promise<void> {
  const everything = AREAS.flatMap(({ files }) => files).flatMap((file) =>
    mutantsOf(file, readFileSync(join(ROOT, file), 'utf8')),
  );
  for (const one of EXPLAINED) {
    if (!everything.some((mutant) => explains(one, mutant)))
      throw new Error(
        `mutants/explained.ts: ${one.file} has no mutant of ${one.code} to ${one.becomes} any more`,
      );
  }
  const seconds = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds);
  const until = performance.now() + seconds * 1000;
  const files = chosenFiles();
  const sampled = values.seconds !== undefined || values.count !== undefined;
  const all = everything.filter(({ file }) => files.includes(file));
  const chosen = (sampled ? shuffled(all, new SeededRandom(Number(values.seed))) : all).slice(
    0,
    Number(values.count ?? all.length),
  );
  const copy = copyCheckout();
  const runner = new TestRunner(copy);
  const timed = new Map<Area, Timed[]>();
  const survivors: Mutant[] = [];
  let run = 0;
  let killed = 0;
  let explained = 0;
  try {
    for (const mutant of chosen) {
      if (performance.now() > until) break;
      if (EXPLAINED.some((one) => explains(one, mutant))) {
        run += 1;
        explained += 1;
        continue;
      }
      const area = AREAS.find(({ files: own }) => own.includes(mutant.file))!;
      let tests = timed.get(area);
      if (tests === undefined) {
        tests = await timeTests(runner, area, values.seconds !== undefined);
        timed.set(area, tests);
      }
      if (tests.length === 0) continue;
      run += 1;
      if (await isKilled(runner, copy, mutant, tests)) killed += 1;
      else {
        survivors.push(mutant);
        console.log(`survived: ${mutant.file}:${mutant.line}  ${mutant.code}  ->  ${mutant.becomes}`);
      }
    }
  } finally {
    runner.kill();
    rmSync(copy, { recursive: true, force: true });
  }
  const survived = survivors.length;
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const figures = { run, killed, explained, survived, of: all.length, sampled, survivors };
  writeFileSync(join(ROOT, 'out/mutants.json'), `${JSON.stringify(figures, null, 2)}\n`);
  console.log(
    `${run} of ${all.length} mutants: ${killed} killed, ${explained} explained, ${survived} survived (out/mutants.json)`,
  );
  // A sample with quick tests alone lets some live; that it kills none means that it tests nothing.
  if (sampled ? run >= 5 && killed === 0 : survived > 0) process.exitCode = 1;
}

await main();
