/** Checks the links of all Markdown pages; with `--mend` it writes the lines of linked symbols as they are now. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkLinks } from './links.ts';

const ROOT = join(import.meta.dirname, '../..');
const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
});
for (const page of pages.split('\n').filter(Boolean)) {
  const { mended } = checkLinks(ROOT, page);
  if (process.argv[2] === '--mend' && mended !== readFileSync(join(ROOT, page), 'utf8'))
    writeFileSync(join(ROOT, page), mended);
  for (const fault of checkLinks(ROOT, page).faults) {
    console.error(fault);
    process.exitCode = 1;
  }
}
