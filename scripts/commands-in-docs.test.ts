/** Commands of ours that docs, runbooks and notes tell people to type: each exists, with these options and so many arguments. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FILES, PAIRS } from '../client/cli/commands/index.ts';
import { parseLine } from '../client/cli/parser.ts';

const ROOT = join(import.meta.dirname, '..');
const PAGES = ['README.md', 'docs/**/*.md', 'helm/filerpair/templates/NOTES.txt'];

interface Typed {
  readonly where: string;
  readonly line: string;
}

/** In code blocks and between backticks. A form with brackets, dots or bars is no command to type. */
function commands(): Typed[] {
  return PAGES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).flatMap((page) =>
    readFileSync(join(ROOT, page), 'utf8')
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .flatMap((text, index) =>
        [...text.matchAll(/(?:^ {2,}(?:\$ )?|^\$ |`)((?:kubectl )?filerpair [a-z-][^`#]*)/g)].map(
          ([, line]) => ({
            where: `${page}:${index + 1}`,
            line: line!.trim().replace(/ [|>&].*$/, ''),
          }),
        ),
      )
      .filter(({ line }) => !/[[\]|]|\.\.\.|^filerpair [a-z]+:|COMMAND/.test(line)),
  );
}

/** In the operator's messages; the names in them are filled in later. */
function commandsInMessages(): Typed[] {
  return globSync('operator/**/*.ts', { cwd: ROOT })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((text, index) =>
          [...text.replaceAll(/\$\{[^{}]*\}/g, 'NAME').matchAll(/kubectl filerpair [^`}]*/g)].map(
            ([line]) => ({
              where: `${file}:${index + 1}`,
              line,
            }),
          ),
        ),
    );
}

const told = commandsInMessages();

test("the operator's messages do, too", () => {
  expect(told.length).toBeGreaterThan(4);
});

const found = [...commands(), ...told];

test('docs do tell what to type', () => {
  expect(found.length).toBeGreaterThan(20);
});

test.each(found)('$where: $line', ({ line }) => {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!);
  const isPlugin = words[0] === 'kubectl';
  const parse = () => parseLine(isPlugin ? PAIRS : FILES, '0.0.0', words.slice(isPlugin ? 2 : 1), 80);
  // Text that names a command need not name what it is for.
  try {
    parse();
  } catch (error) {
    expect((error as Error).message).toMatch(/^missing argument: /);
  }
});
