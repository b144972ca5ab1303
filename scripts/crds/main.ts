/**
 * Compares the CustomResourceDefinitions with those of the last release, which are in crds/released/.
 * `node scripts/crds/main.ts` fails if users of that release would lose something; a release records its own with `--record`.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { type Definition, incompatibilities } from './compatibility.ts';

const NOW = join(import.meta.dirname, '../../crds');
const RELEASED = join(NOW, 'released');

const filesIn = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => name.endsWith('.filerpair.dev.yaml'))
        .map((name) => join(directory, name))
    : [];

const read = (path: string): Definition | undefined =>
  existsSync(path) ? (parse(readFileSync(path, 'utf8'), { version: '1.1' }) as Definition) : undefined;

if (process.argv.includes('--record')) {
  mkdirSync(RELEASED, { recursive: true });
  for (const path of filesIn(NOW)) copyFileSync(path, join(RELEASED, basename(path)));
  console.log(`recorded ${filesIn(RELEASED).length} definitions in crds/released/`);
} else {
  const released = filesIn(RELEASED);
  const problems = released.flatMap((path) =>
    incompatibilities(read(path)!, read(join(NOW, basename(path)))),
  );
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error(
      'the last release accepts or keeps what these definitions do not: add, and leave the rest as it is',
    );
    process.exitCode = 1;
  } else if (released.length === 0)
    console.log('no release is recorded in crds/released/: nothing to compare with');
}
