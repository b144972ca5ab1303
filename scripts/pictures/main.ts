/** Writes the pictures of docs/pictures/; with `--check` it says which are not up to date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { drawParts } from './parts.ts';
import { draw } from './sequence.ts';
import { sequences } from './sequences.ts';

const ROOT = join(import.meta.dirname, '../..');
const DIRECTORY = join(ROOT, 'docs/pictures');

mkdirSync(DIRECTORY, { recursive: true });
const pictures = new Map(Object.entries(sequences).map(([name, sequence]) => [name, draw(sequence)]));
pictures.set('parts', drawParts());
for (const [name, wanted] of pictures) {
  const path = join(DIRECTORY, `${name}.svg`);
  if (process.argv[2] !== '--check') writeFileSync(path, wanted);
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== wanted) {
    console.error(`${relative(ROOT, path)} is not up to date: run "make generate" and commit the result`);
    process.exitCode = 1;
  }
}
