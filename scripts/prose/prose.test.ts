import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultsOf, faultsOfName, readStyle } from './style.ts';
import { textsOf } from './texts.ts';

const style = readStyle(readFileSync(join(import.meta.dirname, '../../docs/glossary.md'), 'utf8'));
const faults = (file: string, source: string): string[] =>
  textsOf(file, source).paragraphs.flatMap((each) =>
    faultsOf(each, style).map(({ line, message }) => `${line} ${message}`),
  );

describe('words to avoid', () => {
  test.each([
    ['a.md', 'Some text.\n\nThe server begins\nanew.', ['3 "begins anew": write restarts']],
    ['a.ts', '/**\n * Sent for ever.\n */\nexport const A = 1;', ['2 "for ever": write forever']],
    ['a.ts', 'fail("The server of late has no port");', ['1 "of late": write recently']],
    ['a.yaml', 'name: nobody\n# In good order.\n', ['2 "In good order": write gracefully']],
  ])('%s: %j', (file, source, expected) => expect(faults(file, source)).toEqual(expected));

  test.each([
    ['a.md', 'The user `whoever` and the word "whoever".\n\n```\nwhoever\n```'],
    ['a.ts', "const SET = /nobody|heir/;\nimport { x } from './nobody.ts';\nconst path = '/nobody/of late';"],
    ['a.ts', '// biome-ignore lint/style: for ever\nconst a = 1;'],
  ])('text that is not prose has none: %s %j', (file, source) => expect(faults(file, source)).toEqual([]));
});

describe('sentences', () => {
  test('of more than 35 words', () => {
    const words = (count: number): string => `A${' word'.repeat(count - 1)}`;
    expect(faults('a.md', `${words(35)}. ${words(35)}.`)).toEqual([]);
    expect(faults('a.md', `${words(36)}.`)).toEqual([
      `1 a sentence of 36 words: split it ("A word word word word word ...")`,
    ]);
  });

  test('that name the actor last', () => {
    expect(faults('a.md', 'The Lease is written by the holder.')).toHaveLength(1);
    expect(faults('a.md', 'The Lease is written by now, and sorted by name.')).toEqual([]);
  });
});

test('parts of identifiers', () => {
  expect(faultsOfName('heirProvenSince', 3, style)).toHaveLength(1);
  expect(faultsOfName('takeLeftBehind', 3, style)).toHaveLength(1);
  expect(faultsOfName('theirs', 3, style)).toEqual([]);
});

test('a glossary without its tables is refused', () => {
  expect(() => readStyle('# Glossary\n')).toThrow('no table under "## Words to avoid"');
});
