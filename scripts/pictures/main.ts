/** Writes the pictures of docs/pictures/; with `--check` it says which are not up to date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { lives } from './lives.ts';
import { draw } from './sequence.ts';

const ROOT = join(import.meta.dirname, '../..');
const DIRECTORY = join(ROOT, 'docs/pictures');

mkdirSync(DIRECTORY, { recursive: true });
for (const [name, sequence] of Object.entries(lives)) {
  const path = join(DIRECTORY, `${name}.svg`);
  const wanted = draw(sequence);
  if (process.argv[2] !== '--check') writeFileSync(path, wanted);
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== wanted) {
    console.error(`${relative(ROOT, path)} is not up to date: run "make generate" and commit the result`);
    process.exitCode = 1;
  }
}
