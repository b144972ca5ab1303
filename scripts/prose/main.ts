/** The prose linter: docs, comments, messages and identifiers against the house style of docs/glossary.md. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, faultsOf, faultsOfName, readStyle } from './style.ts';
import { textsOf } from './texts.ts';

// `node scripts/prose/main.ts` checks all files. With FILE... it prints the faults of these.

const ROOT = join(import.meta.dirname, '../..');
/** Generated files, which are checked at their source, and the examples of this check's own test. */
const EXEMPT = /^(crds\/.*\.yaml|docs\/(api|conformance|failure-modes)\.md|scripts\/prose\/prose\.test\.ts)$/;

const style = readStyle(readFileSync(join(ROOT, 'docs/glossary.md'), 'utf8'));

function checkedFiles(): string[] {
  const listed = execFileSync(
    'git',
    ['ls-files', '-co', '--exclude-standard', '*.md', '*.ts', '*.yaml', '*.sh'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  );
  return listed.split('\n').filter((file) => file !== '' && !EXEMPT.test(file));
}

function faultsIn(file: string): Fault[] {
  const { paragraphs, names } = textsOf(file, readFileSync(join(ROOT, file), 'utf8'));
  // The page of words to avoid names them.
  const own = file === 'docs/glossary.md' ? paragraphs.filter(({ kind }) => kind !== 'text') : paragraphs;
  return [
    ...own.flatMap((paragraph) => faultsOf(paragraph, style)),
    ...names.flatMap(({ name, line }) => faultsOfName(name, line, style)),
  ];
}

function print(file: string, faults: readonly Fault[]): void {
  for (const { line, message } of [...faults].sort((a, b) => a.line - b.line))
    console.error(`${file}:${line}: ${message}`);
}

function checkAll(): boolean {
  let isGood = true;
  for (const file of checkedFiles()) {
    const faults = faultsIn(file);
    if (faults.length === 0) continue;
    isGood = false;
    print(file, faults);
  }
  if (!isGood) console.error('The words and their better ones: docs/glossary.md, "Words to avoid".');
  return isGood;
}

const given = process.argv.slice(2);
if (given.length > 0) for (const file of given) print(file, faultsIn(file));
else if (!checkAll()) process.exitCode = 1;
