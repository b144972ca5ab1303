/**
 * The file map: every source file with the first sentence of its header comment, so that a newcomer finds the file to
 * change. The headers are its only source; no page of it is kept.
 *
 * `node scripts/file-map.ts [FOLDER]` prints it; with `--check` it prints what is missing.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const OLD_PAGE = 'docs/file-map.md';

/** The folders that hold code, from the inside to the edge. */
function codeFolders(): string[] {
  const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')) as { include: string[] };
  return include.filter((entry) => !entry.includes('*'));
}

function sourceFiles(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  const own = entries.filter((entry) => entry.isFile()).map((entry) => join(directory, entry.name));
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
  const isSource = (file: string) => file.endsWith('.ts') && !/\.(test|fixture|d)\.ts$/.test(file);
  return [...own.filter(isSource), ...below.flatMap(sourceFiles)];
}

/** The first sentence of the first comment that stands at the margin, or '' if the file has none. */
function firstSentence(file: string): string {
  const source = readFileSync(file, 'utf8').replace(/^#!.*\n/, '');
  // A file with one export may say it there, below the imports.
  const comment = /^\/\*\*?([\s\S]*?)\*\/|^(?:\/\/(?! biome).*\n)+/m.exec(source);
  const text = comment?.[1]?.replace(/^ *\* ?/gm, '') ?? comment?.[0].replace(/^\/\/ ?/gm, '') ?? '';
  const paragraph = text
    .trim()
    .split(/\n\s*\n/)[0]!
    .replace(/\s+/g, ' ')
    .trim();
  const end = /[.:](?= [A-Z`]|$)|:$/.exec(paragraph);
  return end === null ? paragraph : paragraph.slice(0, end.index);
}

/** What keeps the map from being complete, each with its remedy. */
function faults(): string[] {
  const silent = codeFolders()
    .flatMap((folder) => sourceFiles(join(ROOT, folder)))
    .filter((file) => firstSentence(file) === '')
    .map(
      (file) => `${relative(ROOT, file)}: say in one sentence, in a comment at the top, what the file is for`,
    );
  const page = `${OLD_PAGE}: the headers of the files say it now; run "git rm -f ${OLD_PAGE}"`;
  return existsSync(join(ROOT, OLD_PAGE)) ? [page, ...silent] : silent;
}

const [argument] = process.argv.slice(2);
if (argument === '--check') {
  const found = faults();
  for (const fault of found) console.error(fault);
  if (found.length > 0) process.exitCode = 1;
} else {
  for (const file of (argument === undefined ? codeFolders() : [argument]).flatMap((folder) =>
    sourceFiles(join(ROOT, folder)),
  ))
    console.log(`${relative(ROOT, file)}: ${firstSentence(file)}`);
}
