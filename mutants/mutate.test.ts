import { expect, test } from 'vitest';
import { applied, mutantsOf } from './mutate.ts';

const programs = (text: string): string[] =>
  mutantsOf('file.ts', text).map((mutant) => applied(text, mutant));

test('a condition is always true, never, and its boundary is moved', () => {
  expect(programs('if (a < b) c();')).toEqual([
    'if (true) c();',
    'if (false) c();',
    'if (a <= b) c();',
    'if (a < b) ;',
  ]);
});

test('types and texts are left alone', () => {
  expect(programs("interface A { readonly b: true }\ntype C = false;\nconst d = 'e' + f;")).toEqual([]);
});

test('a statement is left out, but not the call of a constructor above', () => {
  expect(programs('class A extends B { constructor() { super(); this.c = true; } }')).toEqual([
    'class A extends B { constructor() { super(); ; } }',
    'class A extends B { constructor() { super(); this.c = false; } }',
  ]);
});

test('a mutant says where it is', () => {
  expect(mutantsOf('file.ts', 'one();\ntwo();')[1]).toEqual({
    file: 'file.ts',
    line: 2,
    start: 7,
    end: 13,
    code: 'two();',
    becomes: ';',
  });
});
