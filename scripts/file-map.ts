/**
 * The file map: every source file with the first sentence of its header, so that a newcomer finds the file to change. The headers
 * are its only source; no page of it is kept.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

// `node scripts/file-map.ts [FOLDER]` prints it. With `--check` it prints the files whose header is missing or of another form:
// a file begins with one block comment of one to three lines. Reasons stand below the imports, or at the declaration that they
// are about. Tests need no header, since their titles say what they do; one that they have is of the same form.

const ROOT = join(import.meta.dirname, '..');
const LINES_MAX = 3;

/** The folders that hold code, from the inside to the edge. */
function codeFolders(): string[] {
  const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')) as { include: string[] };
  return include.filter((entry) => !entry.includes('*'));
}

function typescriptFiles(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  const own = entries.filter((entry) => entry.isFile()).map((entry) => join(directory, entry.name));
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
  const isSource = (file: string) => file.endsWith('.ts') && !file.endsWith('.d.ts');
  return [...own.filter(isSource), ...below.flatMap(typescriptFiles)];
}

const isTest = (file: string) => /\.(test|fixture)\.ts$/.test(file);

function sourceOf(file: string): string {
  return readFileSync(file, 'utf8').replace(/^#!.*\n/, '');
}

/** The first sentence of the first comment that stands at the margin, or '' if the file has none. */
function firstSentence(file: string): string {
  // A file with one export may say it there, below the imports.
  const comment = /^\/\*\*?([\s\S]*?)\*\/|^(?:\/\/(?! biome).*\n)+/m.exec(sourceOf(file));
  const text = comment?.[1]?.replace(/^ *\* ?/gm, '') ?? comment?.[0].replace(/^\/\/ ?/gm, '') ?? '';
  const paragraph = text
    .trim()
    .split(/\n\s*\n/)[0]!
    .replace(/\s+/g, ' ')
    .trim();
  const end = /[.:](?= [A-Z`]|$)|:$/.exec(paragraph);
  return end === null ? paragraph : paragraph.slice(0, end.index);
}

/** What is wrong with the header, with the remedy; null: nothing. */
function faultOfHeader(file: string): string | null {
  const source = sourceOf(file);
  const header = /^\/\*\*([\s\S]*?)\*\//.exec(source)?.[1];
  if (header === undefined) {
    const isOther = /^\/[/*](?! biome)/.test(source);
    if (isOther) return 'write the header as one block, /** ... */';
    return isTest(file) ? null : 'say in one sentence, in a block comment at the top, what the file is for';
  }
  const lines = header.split('\n').filter((line) => line.replace(/^ *\*/, '').trim() !== '').length;
  return lines <= LINES_MAX
    ? null
    : `a header of ${lines} lines: keep what the file does, ${LINES_MAX} at most`;
}

function checkHeaders(): boolean {
  let isGood = true;
  for (const path of codeFolders().flatMap((folder) => typescriptFiles(join(ROOT, folder)))) {
    const file = relative(ROOT, path);
    const fault = faultOfHeader(path);
    if (fault === null) continue;
    console.error(`${file}: ${fault}`);
    isGood = false;
  }
  return isGood;
}

const [argument] = process.argv.slice(2);
if (argument === '--check') {
  if (!checkHeaders()) process.exitCode = 1;
} else {
  const folders = argument === undefined ? codeFolders() : [argument];
  for (const file of folders.flatMap((folder) => typescriptFiles(join(ROOT, folder))))
    if (!isTest(file)) console.log(`${relative(ROOT, file)}: ${firstSentence(file)}`);
}
