/**
 * Runs test files again and again in one process, which spares starting Vitest and transforming every file for each mutant.
 * Started by test-runner.ts; told by messages, and killed when a mutant never lets it answer.
 */
import { createVitest } from 'vitest/node';

/** `changed`: files that are to be read again, absolute. `tests`: what `vitest run` takes; none is none. */
export interface RunRequest {
  readonly changed: readonly string[];
  readonly tests: readonly string[];
}

export interface RunResult {
  readonly passed: boolean;
}

/** Of a test file; other users skip those for root. */
const ENDED_WELL: ReadonlySet<string> = new Set(['passed', 'skipped']);

const vitest = await createVitest('test', { watch: false, bail: 1, reporters: [{}], maxWorkers: 1 });

async function run({ changed, tests }: RunRequest): Promise<RunResult> {
  for (const file of changed) vitest.invalidateFile(file);
  if (tests.length === 0) return { passed: true };
  const specifications = await vitest.globTestSpecifications([...tests]);
  if (specifications.length === 0) throw new Error(`no test file matches ${tests.join(', ')}`);
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
  // The result holds the files of earlier runs too.
  const files = new Set(specifications.map(({ moduleId }) => moduleId));
  // One whose worker died, by a mutant that takes all memory, has no result; it is no failure to Vitest.
  const passed = testModules
    .filter(({ moduleId }) => files.has(moduleId))
    .every((module) => ENDED_WELL.has(module.state()));
  return { passed: passed && unhandledErrors.length === 0 };
}

process.on('message', (request: RunRequest) => {
  run(request).then(
    (result) => process.send!(result),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
// Else what it has started would outlive it.
process.on('disconnect', () => process.exit());
process.send!('ready');
