/** Where a program or the first file of a thread is that a test starts. */

import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleOf } from '../scripts/programs.ts';

const ROOT = join(import.meta.dirname, '..');

/** Directory that `node scripts/bundle.ts DIRECTORY --failpoints` has made of these sources; absent: the sources run. */
const VARIABLE = 'FILERPAIR_TEST_BUNDLES';

/**
 * Path of what runs `source`. A bundle starts in a third of the processor time of its sources, which is most of what a test of
 * whole processes costs.
 */
export function program(source: URL): string {
  const path = fileURLToPath(source);
  const directory = process.env[VARIABLE];
  if (directory === undefined) return path;
  const bundle = bundleOf(relative(ROOT, path));
  if (bundle === null) throw new Error(`${path} is no program that scripts/programs.ts knows`);
  return join(directory, bundle);
}
