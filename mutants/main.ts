/**
 * Do tests notice faults in the code that safety depends on? Makes one small fault at a time in a copy of the checkout, runs the
 * tests that have to notice it, and lists those that nobody did.
 */
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
import { SeededRandom } from '../testing/seeded-random.ts';
import { AREAS, type Area } from './areas.ts';
import type { Explained } from './explained/explained-mutant.ts';
import { EXPLAINED } from './explained.ts';
import { runInProcess } from './in-process.ts';
import { applied, type Mutant, mutantsOf } from './mutate.ts';
import { Noticed, namesOf, type Verdict } from './noticed.ts';
import { TestRunner } from './test-runner.ts';

//   node mutants/main.ts [--area NAME] [--file PATH] [--unit] [--quick] [--fresh] [--changed REF] [--count N] [--seconds N] [--seed N]
//
// unit: only the areas' unit tests. Quick: only tests that are quick. Fresh: also those that a test found in an earlier run
// (out/mutants/AREA.json), which are otherwise taken as killed. Changed: only files that differ from that commit; when none does,
// all. Count: a sample of so many mutants. Seconds: a sample that stops after that, by quick tests; samples keep nothing. Writes
// out/mutants.json: run, killed, explained, survived, the same for each area, and the survivors; but for a sample of all that was
// run so far.

const { values } = parseArgs({
  options: {
    area: { type: 'string' },
    file: { type: 'string' },
    unit: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    changed: { type: 'string' },
    count: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});

const ROOT = join(import.meta.dirname, '..');
/** A mutant may make a test wait forever: it has so many times what it takes otherwise, and this on top. */
const PATIENCE = 4;
const PATIENCE_MS = 20_000;
/** With --quick and --seconds, of each area: tests that take longer together are left out. */
const QUICK_MS = 15_000;

/** A test file, and how long it takes without a mutant. */
interface Timed {
  readonly test: string;
  readonly ms: number;
  /** Mutants that it has noticed, by file. */
  readonly kills: Map<string, number>;
}

function git(...args: string[]): string[] {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(Boolean);
}

const texts = new Map<string, string>();

/** As it was at first: work on the tests may change it meanwhile. */
function textOf(file: string): string {
  const text = texts.get(file) ?? readFileSync(join(ROOT, file), 'utf8');
  texts.set(file, text);
  return text;
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
    if (limitMs <= 0) break;
    const begun = performance.now();
    const outcome = await runner.run({ changed: [], tests: [test] }, limitMs);
    const ms = performance.now() - begun;
    sumMs += ms;
    if (outcome === 'failed') throw new Error(`${name}: ${test} fails without a mutant`);
    if (outcome === 'late') continue;
    timed.push({ test, ms, kills: new Map() });
  }
  return timed;
}

/** Those first that have noticed most mutants of the file for their time: the first that fails is enough. */
function inOrder(tests: readonly Timed[], file: string): Timed[] {
  const worth = ({ ms, kills }: Timed): number => ((kills.get(file) ?? 0) + 1) / ms;
  return [...tests].sort((one, other) => worth(other) - worth(one));
}

async function isKilled(
  runner: TestRunner,
  copy: string,
  mutant: Mutant,
  tests: readonly Timed[],
): Promise<boolean> {
  const path = join(copy, mutant.file);
  const text = textOf(mutant.file);
  const changed = [path];
  writeFileSync(path, applied(text, mutant));
  try {
    for (const timed of inOrder(tests, mutant.file)) {
      const { test, ms } = timed;
      if ((await runner.run({ changed, tests: [test] }, ms * PATIENCE + PATIENCE_MS)) === 'passed') continue;
      timed.kills.set(mutant.file, (timed.kills.get(mutant.file) ?? 0) + 1);
      return true;
    }
    return false;
  } finally {
    writeFileSync(path, text);
    await runner.run({ changed, tests: [] }, PATIENCE_MS);
  }
}

const lineOf = ({ file, line }: Mutant): string => textOf(file).split('\n')[line - 1]!;

function explains(one: Explained, mutant: Mutant): boolean {
  const { file, code, becomes } = mutant;
  return (
    one.file === file &&
    (one.code ?? code) === code &&
    (one.becomes ?? becomes) === becomes &&
    lineOf(mutant).includes(one.line)
  );
}

/** Throws RangeError when nothing is chosen: a wrong name must not look like a run without survivors. */
function chosenFiles(): readonly string[] {
  if (values.area !== undefined && !AREAS.some(({ name }) => name === values.area))
    throw new RangeError(`no area "${values.area}"; there are ${AREAS.map(({ name }) => name).join(', ')}`);
  const all = AREAS.filter(({ name }) => values.area === undefined || name === values.area).flatMap(
    ({ files }) => files,
  );
  if (values.file !== undefined) {
    if (!all.includes(values.file)) throw new RangeError(`no area has the file ${values.file}`);
    return [values.file];
  }
  if (values.changed === undefined) return all;
  const differing = git('diff', '--name-only', values.changed);
  const changed = all.filter((file) => differing.includes(file));
  return changed.length === 0 ? all : changed;
}

function shuffled<T>(list: readonly T[], random: SeededRandom): T[] {
  const rest = [...list];
  return list.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}

/** A mutant with all that is known of it. */
interface Candidate {
  readonly mutant: Mutant;
  /** Of all mutants, no other one has it. */
  readonly name: string;
  readonly area: Area;
  readonly explained: boolean;
  verdict: Verdict | undefined;
}

function candidatesOf(area: Area, noticed: Noticed): Candidate[] {
  return area.files.flatMap((file) => {
    const text = textOf(file);
    const mutants = mutantsOf(file, text);
    const names = namesOf(mutants, text);
    return mutants.map((mutant) => {
      const name = names.get(mutant)!;
      const explained = EXPLAINED.some((one) => explains(one, mutant));
      return { mutant, name, area, explained, verdict: noticed.of(name) };
    });
  });
}

function figuresOf(candidates: readonly Candidate[]) {
  const explained = candidates.filter((one) => one.explained).length;
  const killed = candidates.filter((one) => !one.explained && one.verdict === 'killed').length;
  const survived = candidates.filter((one) => !one.explained && one.verdict === 'survived').length;
  return { run: killed + explained + survived, killed, explained, survived, of: candidates.length };
}

/** The area's own unit tests first: only who is not noticed by them meets the others. */
async function meetUnitTests(
  copy: string,
  area: Area,
  chosen: readonly Candidate[],
  noticed: Noticed,
): Promise<void> {
  const open = new Map(
    chosen
      .filter((one) => one.area === area && !one.explained && one.verdict !== 'killed')
      .map((one) => [one.mutant, one]),
  );
  const files = [...new Set([...open.keys()].map(({ file }) => file))].map((file) => ({
    text: textOf(file),
    mutants: chosen.filter(({ mutant }) => mutant.file === file).map(({ mutant }) => mutant),
  }));
  await runInProcess(
    copy,
    files,
    open.size === 0 ? [] : (area.unitTests ?? []),
    (mutant) => open.has(mutant),
    (mutant) => {
      const one = open.get(mutant)!;
      one.verdict = 'killed';
      noticed.set(one.name, one.verdict);
    },
  );
}

async function main(): Promise<void> {
  const sampled = values.seconds !== undefined || values.count !== undefined;
  const noticed = new Map(AREAS.map(({ name }) => [name, new Noticed(join(ROOT, 'out/mutants'), name)]));
  const everything = AREAS.flatMap((area) => candidatesOf(area, noticed.get(area.name)!));
  for (const one of EXPLAINED) {
    if (!everything.some(({ mutant }) => explains(one, mutant)))
      throw new Error(`mutants/explained.ts: ${one.file} has no such mutant any more in ${one.line}`);
  }
  const seconds = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds);
  const until = performance.now() + seconds * 1000;
  const quick = values.quick || values.seconds !== undefined;
  const files = chosenFiles();
  const all = everything.filter(({ mutant }) => files.includes(mutant.file));
  const chosen = (sampled ? shuffled(all, new SeededRandom(Number(values.seed))) : all).slice(
    0,
    Number(values.count ?? all.length),
  );
  for (const one of chosen) if (sampled || values.fresh) one.verdict = undefined;
  const copy = copyCheckout();
  const runner = new TestRunner(copy);
  const timed = new Map<Area, Timed[]>();
  try {
    if (!sampled) {
      for (const area of AREAS) await meetUnitTests(copy, area, chosen, noticed.get(area.name)!);
    }
    for (const one of chosen) {
      if (performance.now() > until) break;
      const { mutant, name, area } = one;
      if (one.explained || one.verdict === 'killed') continue;
      if (values.unit) {
        one.verdict = 'survived';
        noticed.get(area.name)!.set(name, one.verdict);
        console.log(`survived: ${mutant.file}:${mutant.line}  ${mutant.code}  ->  ${mutant.becomes}`);
        continue;
      }
      let tests = timed.get(area);
      if (tests === undefined) {
        tests = await timeTests(runner, area, quick);
        timed.set(area, tests);
      }
      if (tests.length === 0) continue;
      one.verdict = (await isKilled(runner, copy, mutant, tests)) ? 'killed' : 'survived';
      if (!sampled) noticed.get(area.name)!.set(name, one.verdict);
      if (one.verdict === 'survived')
        console.log(`survived: ${mutant.file}:${mutant.line}  ${mutant.code}  ->  ${mutant.becomes}`);
    }
  } finally {
    runner.kill();
    rmSync(copy, { recursive: true, force: true });
  }
  const told = sampled ? chosen : everything;
  const areas = Object.fromEntries(
    AREAS.map((area) => [area.name, figuresOf(told.filter((one) => one.area === area))]),
  );
  const survivors = told
    .filter((one) => !one.explained && one.verdict === 'survived')
    .map((one) => one.mutant);
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const figures = { ...figuresOf(told), sampled, areas, survivors };
  writeFileSync(join(ROOT, 'out/mutants.json'), `${JSON.stringify(figures, null, 2)}\n`);
  const { run, killed, explained, survived } = figuresOf(chosen);
  console.log(
    `${run} of ${all.length} mutants: ${killed} killed, ${explained} explained, ${survived} survived (out/mutants.json)`,
  );
  // A sample with quick tests alone lets some live; that it kills none means that it tests nothing.
  if (sampled ? run >= 5 && killed === 0 : survived > 0) process.exitCode = 1;
}

await main();
