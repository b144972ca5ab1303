/** Which files of the repository are pages of the site, and where. */
import { existsSync, globSync } from 'node:fs';
import { join, relative } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** At the root of the repository, and of interest to readers of the site. */
const PROJECT = ['CHANGELOG.md', 'HACKING.md', 'CONTRIBUTING.md', 'SECURITY.md'];

/** Path on the site, without .md; null: it is not on the site. */
export function pageOf(file: string): string | null {
  if (PROJECT.includes(file)) return `project/${file.replace(/\.md$/, '')}`;
  if (file === 'README.md') return 'index';
  if (existsSync(join(ROOT, file, 'README.md')) && file.startsWith('docs/'))
    return pageOf(`${file}/README.md`);
  return /^docs\/.*\.md$/.test(file) && existsSync(join(ROOT, file))
    ? file.replace(/^docs\//, '').replace(/\.md$/, '')
    : null;
}

/** Paths in the repository of all files that are pages. */
export function pageFiles(): string[] {
  const docs = globSync('docs/**/*.md', { cwd: ROOT });
  return [...docs.map((file) => relative('.', file)), ...PROJECT];
}
