/**
 * Checks the links of all Markdown pages, and the source files that they name; with `--mend` it writes the lines of linked
 * symbols as they are now.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkLinks } from './links.ts';

const ROOT = join(import.meta.dirname, '../..');
const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
});
const files = listed.split('\n').filter((file) => file !== '' && existsSync(join(ROOT, file)));
for (const page of files.filter((file) => file.endsWith('.md'))) {
  const { mended } = checkLinks(ROOT, page, files);
  if (process.argv[2] === '--mend' && mended !== readFileSync(join(ROOT, page), 'utf8'))
    writeFileSync(join(ROOT, page), mended);
  for (const fault of checkLinks(ROOT, page, files).faults) {
    console.error(fault);
    process.exitCode = 1;
  }
}
