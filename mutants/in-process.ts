/**
 * Tests against many mutants in one process and its threads (switched.ts, switching-runner.ts), which spares starting one for
 * each. Processes that a test starts have no mutant there; so a mutant that is not found here has to meet the area's other
 * tests, in a copy that has it alone (test-runner.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mutant } from './mutate.ts';
import { switched } from './switched.ts';

/** A test that waits longer for something has noticed the mutant, ms. */
const TEST_MS = 15_000;
/** Without a word for so long, the process is in a loop. */
const SILENT_MS = 30_000;
/** Before its first word. */
const START_MS = 120_000;
/** So often it may end for no reason that can be seen, or a test may fail without a mutant: on a busy machine one takes too long. */
const TRIES = 3;

const CONFIG = `export default { test: {
  include: ['**/*.test.ts'], runner: './mutants/switching-runner.ts', pool: 'forks', maxWorkers: 1, reporters: [{}],
  testTimeout: ${TEST_MS}, hookTimeout: ${TEST_MS}, expect: { poll: { timeout: 12_000 } },
} };
`;

/**
 * Calls back with each that a test finds. The copy is as it was afterwards.
 *
 * @param copy a checkout of its own
 * @param mutants all of some files, with each file's text
 * @param isWanted those that are to be run
 */
export async function runInProcess(
  copy: string,
  files: readonly { readonly text: string; readonly mutants: readonly Mutant[] }[],
  tests: readonly string[],
  isWanted: (mutant: Mutant) => boolean,
  onKilled: (mutant: Mutant) => void,
): Promise<void> {
  const all = files.flatMap(({ mutants }) => mutants);
  const numbers = new Map(all.map((mutant, number) => [mutant, number]));
  const todo = new Set(all.filter(isWanted).map((mutant) => numbers.get(mutant)!));
  for (const { text, mutants } of files) {
    if (mutants.length === 0) continue;
    writeFileSync(join(copy, mutants[0]!.file), switched(text, mutants, numbers.get(mutants[0]!)!));
  }
  writeFileSync(join(copy, 'mutants.config.mjs'), CONFIG);
  try {
    for (const test of tests) {
      await runTest(copy, test, todo, all.length, (number) => {
        todo.delete(number);
        onKilled(all[number]!);
      });
    }
  } finally {
    for (const { text, mutants } of files)
      if (mutants.length > 0) writeFileSync(join(copy, mutants[0]!.file), text);
  }
}

async function runTest(
  copy: string,
  test: string,
  todo: ReadonlySet<number>,
  count: number,
  onKilled: (number: number) => void,
): Promise<void> {
  const told = join(copy, 'mutants.told');
  const todoFile = join(copy, 'mutants.todo');
  let passed: string[] = [];
  let first: number | undefined;
  let triesLeft = TRIES;
  for (;;) {
    const order = [...todo].sort((one, other) => Number(other === first) - Number(one === first));
    writeFileSync(todoFile, JSON.stringify(order));
    writeFileSync(told, passed.map((line) => `${line}\n`).join(''));
    const child = spawn(
      process.execPath,
      ['node_modules/vitest/vitest.mjs', 'run', '--config', 'mutants.config.mjs', test],
      {
        cwd: copy,
        env: { ...process.env, MUTANTS_TOLD: told, MUTANTS_TODO: todoFile, MUTANTS_COUNT: String(count) },
        stdio: 'ignore',
        detached: true,
      },
    );
    let heard = 0;
    const hear = (): void => {
      const lines = readFileSync(told, 'utf8').split('\n');
      for (const line of lines.slice(heard, -1))
        if (line.startsWith('killed ')) onKilled(Number(line.split(' ')[1]));
      heard = lines.length - 1;
    };
    await ended(child, told, hear);
    hear();
    const lines = readFileSync(told, 'utf8').split('\n').filter(Boolean);
    const has = (word: string): string[] => lines.filter((line) => line.startsWith(`${word} `));
    const [broken] = has('broken');
    passed = has('passed');
    const last = lines.at(-1) ?? '';
    if (last === 'done' && broken === undefined) return;
    const number = Number(last.split(' ')[1]);
    // It took the process with it, or never ended.
    if (last.startsWith('begun ')) onKilled(number);
    else if (last.startsWith('restart ')) first = number;
    else if (--triesLeft === 0)
      throw new Error(
        broken === undefined
          ? `${test} ended without a result, after: ${last}`
          : `without a mutant: ${broken}`,
      );
  }
}

/** Resolves when it has ended, or has been killed because it says nothing. onWord: it has said something. */
async function ended(child: ChildProcess, told: string, onWord: () => void): Promise<void> {
  const exit = once(child, 'exit');
  const over = new AbortController();
  const watch = async (): Promise<void> => {
    const atFirst = readFileSync(told).length;
    let size = atFirst;
    let since = performance.now();
    while (!over.signal.aborted) {
      await sleep(250);
      const now = readFileSync(told).length;
      if (now !== size) {
        since = performance.now();
        onWord();
      }
      size = now;
      if (performance.now() - since > (size === atFirst ? START_MS : SILENT_MS)) killGroup(child);
    }
  };
  const watching = watch();
  await exit;
  over.abort();
  await watching;
  killGroup(child);
}

function killGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-pid!, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}
