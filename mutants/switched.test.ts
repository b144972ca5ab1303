import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { applied, mutantsOf } from './mutate.ts';
import { switched } from './switched.ts';

const TEXT = `
function f(a, b, said) {
  if (a < b && (b !== 3 || said.length > 0)) said.push(a + b - 1);
  else said.push('else');
  for (let i = 0; i < b; i++) if (i > a) said.push(i);
  const found = said.length === 1 ? true : !(a <= b);
  return { found, said };
}
result = JSON.stringify([[0, 1], [1, 1], [2, 3], [3, 2], [0, 3]].map(([a, b]) => f(a, b, [])));
`;

const mutants = mutantsOf('file.js', TEXT);

/** What the program finds in its process. */
const processWith = (switches: Int32Array | undefined) => ({
  getBuiltinModule: () => ({ getEnvironmentData: () => switches }),
});

function resultOf(program: string, active: number | null): unknown {
  const context = { result: '', process: processWith(Int32Array.of(active ?? -1)) };
  try {
    runInNewContext(program, context);
  } catch (error) {
    return (error as Error).name;
  }
  return context.result;
}

test('without a mutant, and where nobody has said which one, it does what the text does', () => {
  expect(resultOf(switched(TEXT, mutants, 7), null)).toBe(resultOf(TEXT, null));
  const alone = { process: processWith(undefined) };
  expect(runInNewContext(`let result; ${switched(TEXT, mutants, 7)}; result`, alone)).toBe(
    resultOf(TEXT, null),
  );
});

test('with each mutant it does what the text with that one does', () => {
  const program = switched(TEXT, mutants, 7);
  const results = mutants.map((_, index) => resultOf(program, 7 + index));
  expect(results).toEqual(mutants.map((mutant) => resultOf(applied(TEXT, mutant), null)));
  expect(new Set(results).size).toBeGreaterThan(mutants.length / 2);
});

test('it says which it has reached', () => {
  const switches = new Int32Array(1 + 7 + mutants.length).fill(-1, 0, 1);
  runInNewContext(switched('if (a) b();', mutantsOf('file.js', 'if (a) b();'), 7), {
    a: false,
    process: processWith(switches),
  });
  // Those of the condition, and not that of the call.
  expect([...switches.subarray(8, 11)]).toEqual([1, 1, 0]);
});
