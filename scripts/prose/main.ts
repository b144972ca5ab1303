/** The prose linter: docs, comments, messages and identifiers against the house style of docs/glossary.md. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, faultsOf, faultsOfName, readStyle } from './style.ts';
import { textsOf } from './texts.ts';

// `node scripts/prose/main.ts` checks all files. Those of unclean.txt are older than the check and may have faults; a file
// leaves the list when it is clean (`--shrink` does that), and none is added. With FILE... it prints the faults of these.

const ROOT = join(import.meta.dirname, '../..');
const LIST = 'scripts/prose/unclean.txt';
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

function listed(): Set<string> {
  return new Set(readFileSync(join(ROOT, LIST), 'utf8').split('\n').filter(Boolean));
}

function checkAll(): boolean {
  const unclean = listed();
  let isGood = true;
  for (const file of checkedFiles()) {
    const faults = faultsIn(file);
    const isListed = unclean.delete(file);
    if (isListed === faults.length > 0) continue;
    isGood = false;
    if (isListed) console.error(`${file}: clean, but in ${LIST}; run "node scripts/prose/main.ts --shrink"`);
    else print(file, faults);
  }
  for (const file of unclean)
    console.error(`${file}: gone, but in ${LIST}; run "node scripts/prose/main.ts --shrink"`);
  if (!isGood) console.error('The words and their better ones: docs/glossary.md, "Words to avoid".');
  return isGood && unclean.size === 0;
}

/** Takes files that are clean, or gone, off the list. */
function shrink(): void {
  const checked = new Set(checkedFiles());
  const left = [...listed()].filter((file) => checked.has(file) && faultsIn(file).length > 0);
  writeFileSync(join(ROOT, LIST), left.map((file) => `${file}\n`).join(''));
}

const given = process.argv.slice(2);
if (given[0] === '--shrink') shrink();
else if (given.length > 0) for (const file of given) print(file, faultsIn(file));
else if (!checkAll()) process.exitCode = 1;
